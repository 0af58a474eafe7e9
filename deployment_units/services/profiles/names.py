"""Names of an account as its profile shows them: which it has, and what became of others. Pure.

The directory says which names are whose. What a profile says of them is never more than what the
directory answered last: a picture of all of them, by which the profile is mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class NameState(StrEnum):
    """What a name is to the account. NOTHING: its owner's word alone. BEGUN: a code was sent.
    CONTESTED: held, and another account has proved it. CONTESTING: the other way round.
    QUARANTINED: a handle that was given back, and nobody else's yet. LOST: it was held."""

    NOTHING = ""
    BEGUN = "begun"
    HELD = "held"
    CONTESTED = "contested"
    CONTESTING = "contesting"
    QUARANTINED = "quarantined"
    LOST = "lost"


PROVED = frozenset({NameState.HELD, NameState.CONTESTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """since_ms: when the account took or proved it last; until_ms: the end of a contest or a
    quarantine; Unix ms, None: there is none. findable: others find the account by it."""

    state: NameState = NameState.NOTHING
    since_ms: int | None = None
    until_ms: int | None = None
    findable: bool = False


NO_NAME = Name()


def mended(kept: Name, told: Name | None) -> Name:
    """What the profile says of an identifier from now on. told: by the directory; None: nothing."""
    if told is not None:
        return told
    if kept.state in PROVED:
        return Name(state=NameState.LOST)
    if kept.state is NameState.CONTESTING:
        return Name(state=NameState.BEGUN)
    return replace(kept, until_ms=None)


def mended_handles(kept: Mapping[str, Name], told: Mapping[str, Name]) -> dict[str, Name]:
    """The handles that the profile shows from now on, with what they are. told: those that are held
    or quarantined. One whose quarantine is over, or that somebody else took then, is no more
    shown."""
    found = dict(told)
    for handle, name in kept.items():
        if handle not in told and name.state in (*PROVED, NameState.LOST):
            found[handle] = Name(state=NameState.LOST)
    return found
