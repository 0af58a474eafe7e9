"""What a part of a card may contain: which property holds what, and which types may stand there.

The tables of Adaptive Cards 1.5. Parts are listed in the order in which they are shown: what is
in a container before the button that the container is, and the buttons of a card below its body.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

CARD = "AdaptiveCard"
SUBMITS = frozenset({"Action.Submit", "Action.Execute"})
OPEN_URL = "Action.OpenUrl"
SHOW_CARD = "Action.ShowCard"
TOGGLE = "Action.ToggleVisibility"
MEDIA = "Media"

_INPUTS = (
    "Input.Text", "Input.Number", "Input.Date", "Input.Time", "Input.Toggle", "Input.ChoiceSet",
)  # fmt: skip
_SELECT = (*sorted(SUBMITS), OPEN_URL, TOGGLE)


@dataclass(frozen=True, slots=True)
class Place:
    """What may stand in one place. implied: the type of what does not say its own."""

    what: str  # for people
    types: tuple[str, ...]
    implied: str = ""


class Places(Enum):
    """The places of a card."""

    CARD = Place("card", (CARD,), CARD)
    ELEMENT = Place(
        "element",
        (
            "TextBlock", "RichTextBlock", "FactSet", "Image", "ImageSet", "Container", "ColumnSet",
            "Table", "ActionSet", MEDIA, *_INPUTS,
        ),
    )  # fmt: skip
    COLUMN = Place("column", ("Column",), "Column")
    ROW = Place("row", ("TableRow",), "TableRow")
    CELL = Place("cell", ("TableCell",), "TableCell")
    IMAGE = Place("image", ("Image",), "Image")
    INLINE = Place("run of text", ("TextRun",), "TextRun")
    ACTION = Place("action", (*_SELECT, SHOW_CARD))
    SELECT = Place("action of a part that is pressed as a whole", _SELECT)


@dataclass(frozen=True, slots=True)
class Holds:
    """What one property holds."""

    place: Places
    several: bool = True


_ITEMS = Holds(Places.ELEMENT)
_ACTIONS = Holds(Places.ACTION)
_PRESSED = Holds(Places.SELECT, several=False)
_BOX = {"items": _ITEMS, "selectAction": _PRESSED}
CONTENTS: Mapping[str, Mapping[str, Holds]] = MappingProxyType(
    {
        CARD: {"body": _ITEMS, "actions": _ACTIONS, "selectAction": _PRESSED},
        "Container": _BOX,
        "Column": _BOX,
        "TableCell": _BOX,
        "ColumnSet": {"columns": Holds(Places.COLUMN), "selectAction": _PRESSED},
        "Table": {"rows": Holds(Places.ROW)},
        "TableRow": {"cells": Holds(Places.CELL)},
        "ImageSet": {"images": Holds(Places.IMAGE)},
        "Image": {"selectAction": _PRESSED},
        "RichTextBlock": {"inlines": Holds(Places.INLINE)},
        "TextRun": {"selectAction": _PRESSED},
        "ActionSet": {"actions": _ACTIONS},
        "Input.Text": {"inlineAction": _PRESSED},
        SHOW_CARD: {"card": Holds(Places.CARD, several=False)},
    }
)
