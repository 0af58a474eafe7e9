"""Reaching: by which mode, and by which identifier, a viewer reaches an account. Pure.

What the request asks for, if the owner allows it to this viewer; else the first of the viewer's
wishes that the owner does not object to; else the first of the owner's. An identifier that is not
proved reaches nobody: its mail might be somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployment_units.services.profiles.profile import (
    REACHED_BY,
    Mode,
    Profile,
    ProfileIdentifier,
    Viewer,
)

ASKED, VIEWER, OWNER = "asked", "viewer", "owner"  # whose wish


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachReason:
    """One mode that was looked at."""

    rule: str  # whose wish it was
    clause: str  # what came of it
    value: str  # the mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How the viewer reaches the account."""

    mode: Mode
    identifier: ProfileIdentifier | None  # None: the mode needs none
    why: tuple[ReachReason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReachable:
    """The viewer reaches it by no mode."""

    why: tuple[ReachReason, ...]


def reach(
    profile: Profile, viewer: Viewer, *, asked: Mode | None = None, wished: Sequence[Mode] = ()
) -> Reached | NotReachable:
    """By which mode. asked: by the request; wished: by the viewer, the best first."""
    wishes = [(ASKED, asked)] if asked is not None else []
    wishes += [(VIEWER, mode) for mode in wished]
    wishes += [(OWNER, mode) for mode in in_order(profile.preferred)]
    seen: set[Mode] = set()
    why: list[ReachReason] = []
    for rule, mode in wishes:
        if mode in seen:
            continue
        seen.add(mode)
        if not viewer.is_in(profile.may_reach(mode)):
            why.append(ReachReason(rule=rule, clause="not open to this viewer", value=mode))
            continue
        identifier = _identifier(profile, mode)
        if identifier is None and REACHED_BY[mode]:
            why.append(ReachReason(rule=rule, clause="no proved identifier for it", value=mode))
            continue
        why.append(ReachReason(rule=rule, clause="open to this viewer", value=mode))
        return Reached(mode=mode, identifier=identifier, why=tuple(why))
    return NotReachable(why=tuple(why))


def is_open(profile: Profile, viewer: Viewer, mode: Mode) -> bool:
    """Whether the viewer reaches the account by this mode."""
    has = not REACHED_BY[mode] or _identifier(profile, mode) is not None
    return has and viewer.is_in(profile.may_reach(mode))


def in_order(preferred: Sequence[Mode]) -> tuple[Mode, ...]:
    """All modes, those first that the owner prefers."""
    return (*preferred, *(mode for mode in Mode if mode not in preferred))


def _identifier(profile: Profile, mode: Mode) -> ProfileIdentifier | None:
    """The one that reaches the account: by its kind, then by its URI, so that it is always the
    same."""
    kinds = REACHED_BY[mode]
    proved = [one for one in profile.identifiers if one.proved and one.kind in kinds]
    return min(proved, key=lambda one: (kinds.index(one.kind), one.uri), default=None)
