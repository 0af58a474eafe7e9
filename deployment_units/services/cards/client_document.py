"""What a client gets of a card to render: its document, with images from us or not at all.

A client would ask the address of an image itself, and tell its author who reads what, and when.
So an image has an address of our own, or its words stand in its place. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployment_units.services.cards.card import Card
from deployment_units.services.cards.viewing import no_images


def client_document(
    card: Card, image_address: Callable[[str], str | None] = no_images
) -> dict[str, Any]:
    """A document of its own. image_address: our address of an image, or None where it is not
    shown."""
    found = _without(card.document, image_address)
    assert isinstance(found, dict)
    return found


def _without(node: Any, image_address: Callable[[str], str | None]) -> Any:
    """(Nested no deeper than a card may be.)"""
    if isinstance(node, list):
        return [_without(one, image_address) for one in node]
    if not isinstance(node, Mapping):
        return node
    kept = {
        name: _images(one, image_address)
        if name == "images" and node.get("type") == "ImageSet"
        else one
        if name == "data"  # the author's own, whatever it looks like
        else _without(one, image_address)
        for name, one in node.items()
    }
    return _shown(kept, image_address) if kept.get("type") == "Image" else kept


def _images(images: Any, image_address: Callable[[str], str | None]) -> list[Any]:
    """Of a set, where nothing else may stand: those that are shown."""
    found = [_without(one, image_address) for one in images]
    return [one for one in found if one["type"] == "Image"]


def _shown(image: dict[str, Any], image_address: Callable[[str], str | None]) -> dict[str, Any]:
    """The image at our address, or its words, pressed as the image is."""
    address = image_address(image["url"])
    if address is not None:
        return {**image, "url": address}
    words = {"type": "TextBlock", "text": image.get("altText", ""), "wrap": True, "isSubtle": True}
    found: dict[str, Any] = {"type": "Container", "items": [words] if words["text"] else []}
    return found | {one: image[one] for one in ("id", "isVisible", "selectAction") if one in image}
