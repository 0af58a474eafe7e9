"""What becomes of a press: accepted, done already, too late, or not theirs to make. Pure.

Whoever keeps presses asks here inside the transaction that keeps them, with what was pressed
before as it reads there; so two devices, or a mail and a client, cannot both be the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from deployment_units.services.cards.card import Card, CardAction, Once


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMessage:
    """A message with a card, as it is now."""

    card: Card
    revision: int  # of the card, 1 or more; later ones replaced earlier ones
    viewers: frozenset[str]  # accounts that have the message
    withdrawn: bool = False  # its application took it back


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A press that was accepted."""

    id: bytes  # the presser's own, by which a repeated request is known
    action: str
    viewer: str
    number: int  # of this viewer's presses of this action: 1, 2, …


@dataclass(frozen=True, slots=True)
class Accept:
    """It counts. number: of this viewer's presses of this action, from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """It was pressed before, and can be no more; or this is the same press again."""

    press: Press


@dataclass(frozen=True, slots=True)
class Superseded:
    """The card has changed since, or was taken back; the viewer sees the current one."""

    revision: int  # the current one
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class NotYours:
    """The viewer does not have the message."""


@dataclass(frozen=True, slots=True)
class NotPressable:
    """The card has no such action, or it is not enabled, or the revision is none yet."""

    message: str  # one sentence


Verdict: TypeAlias = Accept | AlreadyDone | Superseded | NotYours | NotPressable


def judge_click(
    message: CardMessage,
    revision: int,
    action: str,
    viewer: str,
    seen: Iterable[Press],
    *,
    press: bytes = b"",
) -> Verdict:
    """revision, action, viewer: what was pressed, and by whom. seen: all presses of the message,
    of whatever revision. press: the id of this one, if it has any.

    What was done stays done when the card is replaced: a press of an old revision whose action
    was pressed before is AlreadyDone and not Superseded."""
    if viewer not in message.viewers:
        return NotYours()
    same = [one for one in seen if one.action == action]
    own = [one for one in same if one.viewer == viewer]
    for one in own:
        if press and one.id == press:
            return AlreadyDone(one)
    found = message.card.action(action)
    if done := _done(found, revision == message.revision, own, same):
        return AlreadyDone(done)
    if message.withdrawn or revision < message.revision:
        return Superseded(message.revision, message.withdrawn)
    if revision > message.revision:
        return NotPressable(f"there is no revision {revision} of this card yet")
    if found is None:
        return NotPressable("this card has no such button")
    if not found.enabled:
        return NotPressable("this button is not available")
    return Accept(1 + max([one.number for one in own], default=0))


def _done(
    found: CardAction | None, current: bool, own: list[Press], same: list[Press]
) -> Press | None:
    """The press after which there can be no other. An action that is gone with a revision was
    pressed once by this viewer, or is superseded."""
    if found is None:
        return None if current or not own else own[0]
    match found.once:
        case Once.VIEWER:
            return own[0] if own else None
        case Once.CARD:
            return (own or same)[0] if same else None
        case Once.REPEAT:
            return None
