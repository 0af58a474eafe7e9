"""A roastery that is written to: it offers coffee on a card, takes orders from its buttons, says
when one was shipped, and takes it back."""

SCHEMA = "homeport.communicant.reply/1"
PRICES_EUR = {"yirgacheffe": 14, "antigua": 12}
MOST_BAGS = 9


def handle(action: str, input: dict) -> dict:
    if action == "offer":
        return offer(input)
    if action == "take-order":
        return take_order(input)
    if action == "tell-shipped":
        return tell_shipped(input)
    raise ValueError(f"the roastery can offer, take-order and tell-shipped, not {action}")


def offer(message: dict) -> dict:
    """A card with what there is."""
    text = "Good morning! This is what we roasted today."
    return reply(message["conversation"], text, card=offer_card(), in_reply_to=message["message"])


def take_order(press: dict) -> dict:
    """The pressed card gives way to one that says what was ordered, or that nothing was."""
    said = {"conversation": press["conversation"], "replaces": press["message"]}
    if press["action"] == "later":
        return reply(**said, text="See you soon.", card=card([text_block("See you soon.")]))
    if press["action"] == "return":
        return reply(
            **said, text="Return recorded.", card=card([text_block("**Return recorded**")])
        )
    sku, bags = press["data"].get("sku", ""), int(press["inputs"].get("amount", "1"))
    if sku not in PRICES_EUR or not 0 < bags <= MOST_BAGS:
        return reply(press["conversation"], "We do not have that. Write to us for a new offer.")
    price = PRICES_EUR[sku] * bags
    text = f"Ordered: {bags} × {sku.title()}, {price} €."
    ordered = card(
        [text_block("**Ordered**"), facts(Coffee=sku.title(), Bags=bags, Price=f"{price} €")]
    )
    return reply(**said, text=text, card=ordered)


def tell_shipped(order: dict) -> dict:
    """A new card in the conversation of the order, hours after it."""
    text = f"Your order is on its way, with {order['carrier']}."
    give_back = {
        "type": "Action.Submit",
        "id": "return",
        "title": "Return",
        "data": {"order": order["order"]},
    }
    return reply(order["conversation"], text, card=card([text_block(text)], [give_back]))


def offer_card() -> dict:
    amount = {
        "type": "Input.Number",
        "id": "amount",
        "label": "Bags",
        "min": 1,
        "max": MOST_BAGS,
        "value": 1,
        "isRequired": True,
        "errorMessage": f"One bag at least, {MOST_BAGS} at most",
    }
    prices = {sku.title(): f"{price} €" for sku, price in PRICES_EUR.items()}
    orders = [
        {"type": "Action.Submit", "id": f"order-{sku}", "title": sku.title(), "data": {"sku": sku}}
        for sku in PRICES_EUR
    ]
    later = {
        "type": "Action.Submit",
        "id": "later",
        "title": "Not now",
        "associatedInputs": "none",
    }
    return card(
        [text_block("What may it be?", "heading"), facts(**prices), amount], [*orders, later]
    )


def card(body: list, actions: list | None = None) -> dict:
    return {"type": "AdaptiveCard", "version": "1.5", "body": body, "actions": actions or []}


def text_block(text: str, style: str = "default") -> dict:
    return {"type": "TextBlock", "text": text, "wrap": True, "style": style}


def facts(**named) -> dict:
    return {
        "type": "FactSet",
        "facts": [{"title": name, "value": str(value)} for name, value in named.items()],
    }


def reply(conversation: str, text: str, **more) -> dict:
    message = {"conversation": conversation, "text": text, **more}
    return {"schema": SCHEMA, "messages": [message]}
