"""The values of presses: what somebody pressed on a card in a message, and how far that is.

Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_INPUTS = 500  # that one press brings
ROOM_BYTES = 24 << 10  # no less than what keeping a press takes


class PressState(StrEnum):
    """KEPT: on disk here, and still to be handed on: to the unit of whose card it is, or from there
    to its application. WAITING: handed on. DONE: answered. SUPERSEDED, REFUSED: the application's
    unit did not take it, because the card had changed, or for good."""

    KEPT = "kept"
    WAITING = "waiting"
    DONE = "done"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


WAITS = frozenset({PressState.KEPT, PressState.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPress:
    """A press that somebody makes. message: with the card, or any revision of it."""

    id: bytes  # 16, of the presser's choice: the same again is the same press
    message: bytes
    action: str
    revision: int  # of the card that was seen; 0: the one that is shown now
    author: str = ""  # whose card it is; empty: of the one account that brought that message
    inputs: Mapping[str, str] = field(default_factory=dict)  # what was filled in, by id


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPress:
    """A press as one account keeps it: the presser, and whose card it is."""

    message: bytes  # the first revision
    action: str
    viewer: str
    number: int  # of the viewer's presses of the action, from 1
    id: bytes
    revision: int
    inputs: str  # JSON, checked
    state: PressState
    pressed_ms: int  # Unix ms
    author: str = ""  # whose card it is; empty: of whoever brought that message first
