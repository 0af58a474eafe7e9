"""The values of this package: a card that was checked, its actions and inputs, and why a text is
no card.

A card is a document of Adaptive Cards 1.5 with three things done to it: what is not shown here
has given way to its fallback, every action that can be pressed has an id, and every address is
one that may be opened. That document, and never the one that came in, is kept, sent to clients
and rendered. A card that is refused is a normal answer and no exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_BYTES = 16 * 1024  # of a card as JSON, in UTF-8; events carry no more
MAX_DEPTH = 16  # objects and lists inside each other
MAX_FLAWS = 50  # that are told at once
MAX_ID = 64  # characters of the id of an action or an input
MAX_PATTERNS = 20  # `regex` of all inputs of a card
MAX_PATTERN = 512  # characters of one


class Once(StrEnum):
    """How often an action can be pressed. The value is what a card says at `once`."""

    VIEWER = "viewer"  # once by everybody who sees the card
    CARD = "card"  # once, by whoever is first
    REPEAT = "repeat"  # as often as somebody likes


class InputKind(StrEnum):
    """The inputs of Adaptive Cards; the value is the type."""

    TEXT = "Input.Text"
    NUMBER = "Input.Number"
    DATE = "Input.Date"
    TIME = "Input.Time"
    TOGGLE = "Input.Toggle"
    CHOICES = "Input.ChoiceSet"


class CardFlawReason(StrEnum):
    """Why a card, an input or a reply is refused. UPPER_SNAKE, for programs; never change."""

    NOT_JSON = "NOT_JSON"
    TOO_LARGE = "TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    NOT_A_CARD = "NOT_A_CARD"
    VERSION = "VERSION"
    TEMPLATE = "TEMPLATE"
    TYPE = "TYPE"
    FORM = "FORM"
    MEDIA = "MEDIA"
    HOST_SPECIFIC = "HOST_SPECIFIC"
    ADDRESS = "ADDRESS"
    ID_TAKEN = "ID_TAKEN"
    PATTERN = "PATTERN"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    UNKNOWN_INPUT = "UNKNOWN_INPUT"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_VALUE = "INPUT_VALUE"
    CONVERSATION = "CONVERSATION"
    REPLACES = "REPLACES"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFlaw:
    """One thing that is wrong, for the author to mend."""

    pointer: str  # JSON Pointer (RFC 6901) into what was given; empty: all of it
    reason: CardFlawReason
    message: str  # one sentence: what is wrong, and what would do

    def __str__(self) -> str:
        return f"{self.pointer or 'the whole'}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice of a set: what is shown, and what is sent."""

    title: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInput:
    """Something that a viewer fills in."""

    id: str
    kind: InputKind
    label: str = ""  # for people; empty: it has none
    value: str = ""  # what is in it at first
    required: bool = False
    error: str = ""  # the author's words for a value that will not do
    placeholder: str = ""
    multiline: bool = False
    secret: bool = False  # not to be shown as it is typed
    max_length: int | None = None  # characters
    pattern: str = ""  # found somewhere in the value; empty: none
    least: str = ""  # of a number, a date or a time, as the card says it; empty: none
    most: str = ""
    choices: tuple[Choice, ...] = ()  # of a set; of a toggle two: on, off
    several: bool = False  # of a set: more than one may be chosen

    @property
    def name(self) -> str:
        """What it is called for people."""
        return self.label or self.placeholder or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAction:
    """A button, or a part of a card that is one, that sends something to the application."""

    id: str
    title: str  # for people; never empty
    once: Once = Once.VIEWER
    enabled: bool = True
    verb: str = ""  # of Action.Execute
    data: str | Mapping[str, Any] | None = None  # the author's own, sent with each press
    inputs: tuple[str, ...] = ()  # ids of those whose values are sent with it, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that may be shown. Its document is not to be changed."""

    document: Mapping[str, Any]
    actions: tuple[CardAction, ...] = field(compare=False)  # made of the document, in its order
    inputs: Mapping[str, CardInput] = field(compare=False)

    def action(self, action_id: str) -> CardAction | None:
        """The action of that id, if there is one."""
        return next((one for one in self.actions if one.id == action_id), None)

    def inputs_of(self, action: CardAction) -> tuple[CardInput, ...]:
        """What is to be filled in before that action is pressed."""
        return tuple([self.inputs[one] for one in action.inputs])
