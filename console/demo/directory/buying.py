"""Chapter 6: Anna orders from a program: pressed twice, killed between, one order; hours later it
writes again, by mail, and is answered on the page behind the button."""

from __future__ import annotations

import json
import uuid
from typing import Any

from console.demo.directory import mailed_cards, roastery
from console.demo.directory.demo_stack import ROASTERY, DemoStack
from console.demo.directory.mailed_cards import PageLink
from console.demo.directory.story import Story
from console.local.stack_plan import agent_name
from homeport.api.communication.v1 import conversation_pb2 as pb

HOURS = 5
ORDER = "order-yirgacheffe"
ONE_BAG = "Ordered: 1 × Yirgacheffe, 14 €."
SHIPPED_WORDS = "Your order is on its way, with a bicycle."


def buy(story: Story, stack: DemoStack) -> bytes:
    """Tells it; the conversation."""
    roastery.set_up(stack)
    conversation = uuid.uuid4().bytes
    with stack.person("anna") as person:
        found = stack.directory_account(f"@{ROASTERY}")
        person.send_to(
            [found], "Good morning!", conversation=conversation, message=uuid.uuid4().bytes
        )
    (offer,) = cards(stack, conversation, 1)
    story.check(
        "Anna writes to [bold]@roastery[/], a program in a sandbox; it answers with a card",
        ["Yirgacheffe", "Antigua", "Not now"],
        buttons(offer),
    )
    press = press_twice(story, stack, offer)
    answered(stack, conversation, offer, "Ordered: 2 × Yirgacheffe, 28 €.")
    story.check("one order", ["Ordered: 2 × Yirgacheffe, 28 €."], orders(stack))
    story.figure("orders", len(orders(stack)))
    ship(story, stack, conversation, press)
    return conversation


def press_twice(story: Story, stack: DemoStack, offer: pb.Message) -> bytes:
    """A double click, and her unit killed between the click and the answer; the press."""
    first, second = uuid.uuid4().bytes, uuid.uuid4().bytes
    seen, filled_in = max(offer.revision, 1), {"amount": "2"}  # what both clicks are on
    with stack.person("anna") as person:
        pressed = person.press(offer.id, ORDER, press=first, revision=seen, inputs=filled_in)
        stack.local.kill_program(agent_name("eu-west"))
    stack.until("eu-west to serve again", lambda: "eu-west" in stack.local.units)
    with stack.person("anna") as person:
        again = person.press(offer.id, ORDER, press=second, revision=seen, inputs=filled_in)
    story.check(
        "she double-clicks; eu-west is killed (-9) between the clicks: the second finds the first",
        [first.hex(), first.hex()],
        [pressed.press.hex(), again.press.hex()],
    )
    return first


def ship(story: Story, stack: DemoStack, conversation: bytes, press: bytes) -> None:
    """Five hours later by the clock of the decision service."""
    mailed_cards.prefer_mail(stack, stack.directory_account(f"@{ROASTERY}"))
    stack.clock.go_to(stack.clock.now_ms() + HOURS * 3_600_000)
    roastery.publish_shipped(stack, press)
    card = cards(stack, conversation, 2)[-1]
    story.check(
        f"{HOURS} hours later the shop says [bold]{roastery.SHIPPED}[/]: a new card in the "
        "conversation",
        [SHIPPED_WORDS, "Return"],
        [card.content.text, *buttons(card)],
    )
    mail = mailed_cards.mailed(stack, SHIPPED_WORDS, "Return")
    link = mailed_cards.links(mail)["Return"]
    story.check(
        "her client is closed: it comes by mail, with a page behind the button, in text and HTML",
        ["eu-west", True],
        [link.unit, mailed_cards.in_html(mail) == {link}],
    )
    told = mailed_cards.scan(stack, mail)
    with stack.person("anna") as person:
        presses = len(person.message(card.id).presses)
    story.check("the mail's scanner opens every link three times: nothing is pressed",
                [[200], 0], [told, presses])  # fmt: skip
    story.check("Anna presses Return on the page", 200, mailed_cards.press_page(stack, link))
    with stack.person("anna") as person:
        person.press(card.id, "return", press=uuid.uuid4().bytes)
    mailed_cards.press_page(stack, link)  # the page itself, or that the card has changed
    answered(stack, conversation, card, "Return recorded.")
    returns = [one for one in roastery.performed(stack, "take-order") if "Return" in said(one)]
    story.check("and again there and in the client: it is recorded once", 1, len(returns))


def offered_by_mail(stack: DemoStack, conversation: bytes) -> PageLink:
    """Anna writes again, and has the card by mail: the page behind its first button."""
    count = len(cards(stack, conversation, 0))
    with stack.person("anna") as person:
        person.send_to([], "The same again?", conversation=conversation, message=uuid.uuid4().bytes)
    offer = cards(stack, conversation, count + 1)[-1]
    mail = mailed_cards.mailed(stack, offer.content.text, "Yirgacheffe")
    return mailed_cards.links(mail)["Yirgacheffe"]


def orders(stack: DemoStack) -> list[str]:
    """What was said to each, as the decision service has it."""
    found = [said(one) for one in roastery.performed(stack, "take-order")]
    return [one for one in found if "Ordered" in one]


def said_in(stack: DemoStack, conversation: bytes, text: str) -> None:
    """Waits for a message of this text in Anna's."""

    def look() -> bool:
        found = stack.asking(lambda: messages(stack, conversation)) or []
        return any(one.content.text == text for one in found)

    stack.until(f"the answer {text}", look)


def cards(stack: DemoStack, conversation: bytes, count: int) -> list[pb.Message]:
    """Waits for so many first revisions with cards; as they are shown."""

    def look() -> list[pb.Message] | None:
        found = stack.asking(lambda: messages(stack, conversation)) or []
        shown = [one for one in found if one.content.card and not one.replaces]
        return shown if len(shown) >= count else None

    if not count:
        return look() or []
    return stack.until(f"{count} cards in the conversation", look)


def answered(stack: DemoStack, conversation: bytes, card: pb.Message, text: str) -> None:
    """Waits until a card has given way to what its press came to."""

    def look() -> bool:
        found = stack.asking(lambda: messages(stack, conversation)) or []
        return any(one.replaces == card.id and one.content.text == text for one in found)

    stack.until(f"the answer {text}", look)


def messages(stack: DemoStack, conversation: bytes) -> list[pb.Message]:
    """As Anna has them."""
    with stack.person("anna") as person:
        return list(person.messages(conversation))


def buttons(message: pb.Message) -> list[str]:
    """The titles of a card's buttons."""
    card: dict[str, Any] = json.loads(message.content.card)
    return [str(one["title"]) for one in card.get("actions", [])]


def said(output: dict[str, Any]) -> str:
    """The text of a reply."""
    return str(output["messages"][0]["text"])
