"""The picture of a conversation."""

from __future__ import annotations

from xml.etree import ElementTree

from console.demo.directory.picture import WIDTH, Bubble, DeliveryLine, draw_conversation

ASKED = Bubble(
    sender="Anna",
    via="",
    text="Shall we meet at <ten> & a half?\nBring cups.",
    own=True,
    states=(
        DeliveryLine(recipient="Carla", state="handed over", evidence="250 2.0.0 queued as M1"),
    ),
)
CARD = Bubble(
    sender="@roastery",
    via="card",
    text="Two bags of 250 g, " * 12,
    buttons=("Order", "Return"),
    pressed="Order",
)


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_it_holds_what_was_said_and_what_became_of_it() -> None:
    shown = texts(draw_conversation("Launch", "one message", [ASKED, CARD]))
    assert "Shall we meet at <ten> & a half?" in shown
    assert "Bring cups." in shown
    assert "Carla: handed over (250 2.0.0 queued as M1)" in shown
    assert "@roastery · card" in shown
    assert [one for one in shown if one in ("Order ✓", "Return")] == ["Order ✓", "Return"]


def test_nothing_is_drawn_beyond_the_page() -> None:
    """Long texts are broken, and the page grows with them."""
    root = ElementTree.fromstring(draw_conversation("t", "s", [CARD] * 9))
    height = float(root.attrib["height"])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        right = float(box.get("x", "0")) + float(box.attrib["width"])
        bottom = float(box.get("y", "0")) + float(box.attrib["height"])
        assert right <= WIDTH
        assert bottom <= height


def test_the_same_conversation_is_the_same_picture() -> None:
    drawn = draw_conversation("t", "s", [ASKED, CARD])
    assert drawn == draw_conversation("t", "s", [ASKED, CARD])
