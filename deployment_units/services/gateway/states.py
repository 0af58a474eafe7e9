"""What is known of a delivery: evidence in, a state out that claims no more. Pure.

    kept → routed → handed over → delayed → delivered → seen
    ends: undeliverable, expired, withheld, unknown

Each attempt keeps the strongest that was heard of it, and the delivery's state is worked out from
the attempts and from what ended it. So evidence may come in any order and as often as it likes.
An attempt never goes back; of a delivery only `handed over` and `delayed` can be taken back, by the
very server that had taken it: a bounce, after which the next channel is tried or there is none.
What was delayed and then went on to a server that tells nothing more is `handed over` again.

Delivered and seen stand whatever else comes: a receipt that arrives after the end outweighs it.
An end that was declared while an attempt is with a server that has accepted it stays `handed
over`, and with an attempt whose outcome nobody knows, `unknown`: both may have arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

from control_plane.errors import InvalidInput
from control_plane.printable import printable
from deployment_units.services.channels.channel import TRAITS, Channel, Proof

MOST_ATTEMPTS = 32  # of one delivery, each time that it is driven
LAST_NUMBER = 999_999  # of an attempt, however often its delivery is driven anew
MOST_WORDS = 500  # characters of the other side's words that are kept
MOST_LOST, MOST_LOST_WORD = 16, 32  # kinds of what an attempt lost; characters of one


class DeliveryState(StrEnum):
    """What the sender is shown. Values never change."""

    KEPT = "kept"
    ROUTED = "routed"
    HANDED_OVER = "handed_over"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    SEEN = "seen"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    WITHHELD = "withheld"
    UNKNOWN = "unknown"


class AttemptState(Enum):
    """Of one attempt. Values are kept, and never change; what outweighs what, `strength` says: that
    it failed outweighs that it was taken, and a receipt outweighs that it failed."""

    BEGUN = 0  # it may or may not have left
    UNKNOWN = 1  # it left, and nobody knows what became of it
    HANDED_OVER = 2
    FAILED = 3
    DELIVERED = 4
    SEEN = 5
    DELAYED = 6  # a server has it, and says that it still tries
    RELAYED = 7  # it went on, to a server that says nothing more

    @property
    def strength(self) -> int:
        """Whatever is stronger outweighs it."""
        return _STRENGTH.index(self)


_STRENGTH = (
    AttemptState.BEGUN,
    AttemptState.UNKNOWN,
    AttemptState.HANDED_OVER,
    AttemptState.DELAYED,
    AttemptState.RELAYED,
    AttemptState.FAILED,
    AttemptState.DELIVERED,
    AttemptState.SEEN,
)


class DeliveryEnd(IntEnum):
    """Why nothing further is tried; the highest stands."""

    EXPIRED = 1
    UNDELIVERABLE = 2  # no channel is left
    WITHHELD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvidence:
    """What was heard of one attempt. number: from 1. words: the other side's own, such as
    "250 2.0.0 queued as 4F3". lost: of the message on its way into what the channel takes, a word
    for each kind (see `convert`)."""

    number: int
    channel: Channel
    state: AttemptState
    at_ms: int
    words: str = ""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEvidence:
    """Somebody has decided that it ends. words: a code, or the rule that withheld it."""

    end: DeliveryEnd
    at_ms: int
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedEvidence:
    """There is a plan."""

    at_ms: int


Evidence = AttemptEvidence | EndEvidence | RoutedEvidence


class AttemptRecord(NamedTuple):
    """The strongest that is known of one attempt, the earliest of several alike. lost: all that any
    evidence of it said, in order."""

    number: int
    channel: Channel
    state: AttemptState
    at_ms: int
    words: str
    lost: tuple[str, ...] = ()


class EndRecord(NamedTuple):
    end: DeliveryEnd
    at_ms: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """What is known of one message on its way to one recipient. attempts: by number, which is never
    used twice (see `driven_anew`)."""

    routed: bool = False
    attempts: tuple[AttemptRecord, ...] = ()
    end: EndRecord | None = None

    @property
    def next_number(self) -> int:
        """Of the attempt that would be made now."""
        return self.attempts[-1].number + 1 if self.attempts else 1

    @property
    def may_try(self) -> bool:
        """Whether another attempt is one of those that it has."""
        number = self.next_number
        return self.count_to(number) <= MOST_ATTEMPTS and number <= LAST_NUMBER

    def count_to(self, number: int) -> int:
        """How many attempts there are with the one of that number, since it is driven."""
        return number - self.attempts[0].number + 1 if self.attempts else number

    @property
    def state(self) -> DeliveryState:
        known = {one.state for one in self.attempts}
        if AttemptState.SEEN in known:
            return DeliveryState.SEEN
        if AttemptState.DELIVERED in known:
            return DeliveryState.DELIVERED
        if known & _TAKEN:
            return DeliveryState.HANDED_OVER
        if AttemptState.DELAYED in known:
            return DeliveryState.DELAYED
        if AttemptState.UNKNOWN in known:
            return DeliveryState.UNKNOWN
        if self.end is not None:
            begun = AttemptState.BEGUN in known
            return DeliveryState.UNKNOWN if begun else _ENDS[self.end.end]
        return DeliveryState.ROUTED if self.routed or known else DeliveryState.KEPT

    @property
    def decisive(self) -> AttemptRecord | EndRecord | None:
        """What the state stands on; None where there is nothing yet."""
        state = self.state
        if self.end is not None and _ENDS[self.end.end] is state:
            return self.end
        wanted = _SHOWN.get(state)
        found = [one for one in self.attempts if one.state in (wanted or ())]
        return min(found, key=lambda one: (one.at_ms, one.number)) if found else None


_ENDS = {
    DeliveryEnd.EXPIRED: DeliveryState.EXPIRED,
    DeliveryEnd.UNDELIVERABLE: DeliveryState.UNDELIVERABLE,
    DeliveryEnd.WITHHELD: DeliveryState.WITHHELD,
}
_TAKEN = frozenset({AttemptState.HANDED_OVER, AttemptState.RELAYED})
_SHOWN = {
    DeliveryState.SEEN: (AttemptState.SEEN,),
    DeliveryState.DELIVERED: (AttemptState.DELIVERED,),
    DeliveryState.HANDED_OVER: tuple(_TAKEN),
    DeliveryState.DELAYED: (AttemptState.DELAYED,),
    DeliveryState.UNKNOWN: (AttemptState.UNKNOWN, AttemptState.BEGUN),
}
_MOST_CLAIMED = {
    Proof.HANDED_OVER: AttemptState.HANDED_OVER,
    Proof.DELIVERED: AttemptState.DELIVERED,
    Proof.SEEN: AttemptState.SEEN,
}


def advance(delivery: DeliveryRecord, evidence: Evidence) -> DeliveryRecord:
    """The delivery with one more piece of evidence. What a channel cannot know counts as the most
    that it can (`ChannelTraits.strongest`). Raises InvalidInput for an attempt that cannot be."""
    if isinstance(evidence, RoutedEvidence):
        return delivery if delivery.routed else replace(delivery, routed=True)
    if isinstance(evidence, EndEvidence):
        heard = EndRecord(evidence.end, evidence.at_ms, _words(evidence.words))
        end = delivery.end
        if end is not None and _end_order(end) <= _end_order(heard):
            return delivery
        return replace(delivery, end=heard)
    return _attempted(delivery, evidence)


def driven_anew(delivery: DeliveryRecord) -> DeliveryRecord:
    """One that had ended without being anywhere, as it begins anew. Its last attempt stays: numbers
    go on, for what is sent is known to others by them."""
    return DeliveryRecord(attempts=delivery.attempts[-1:])


def _attempted(delivery: DeliveryRecord, evidence: AttemptEvidence) -> DeliveryRecord:
    if not 1 <= evidence.number <= LAST_NUMBER:
        raise InvalidInput(
            "attempt", f"attempt {evidence.number:,} is not within 1 to {LAST_NUMBER:,}"
        )
    heard = AttemptRecord(
        evidence.number,
        evidence.channel,
        _claimable(evidence),
        evidence.at_ms,
        _words(evidence.words),
        _lost(evidence.lost),
    )
    known = {one.number: one for one in delivery.attempts}
    before = known.get(heard.number)
    if before is not None:
        if before.channel is not heard.channel:
            raise InvalidInput(
                "attempt",
                f"attempt {heard.number} went over {before.channel}, and not {heard.channel}",
            )
        strongest = min(before, heard, key=_order)
        heard = strongest._replace(lost=_lost(before.lost + heard.lost))
        if heard == before:
            return delivery
    known[heard.number] = heard
    return replace(delivery, attempts=tuple(known[number] for number in sorted(known)))


def _claimable(evidence: AttemptEvidence) -> AttemptState:
    if evidence.state in (AttemptState.DELIVERED, AttemptState.SEEN):
        most = _MOST_CLAIMED[TRAITS[evidence.channel].strongest]
        return min(evidence.state, most, key=lambda one: one.strength)
    return evidence.state


def _order(attempt: AttemptRecord) -> tuple[int, int, str]:
    """The strongest first; of several alike the earliest, so that their order does not matter."""
    return -attempt.state.strength, attempt.at_ms, attempt.words


def _end_order(end: EndRecord) -> tuple[int, int, str]:
    return -end.end, end.at_ms, end.words


def _lost(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in order; the first ones of too many, so that their order does not matter."""
    found = sorted({printable(one[:MOST_LOST_WORD]) for one in kinds})
    return tuple(found[:MOST_LOST])


def _words(text: str) -> str:
    return printable(text[:MOST_WORDS])
