"""Consent: that a user lets one consumer read fields for one purpose, until it is withdrawn. Pure.

What a record holds follows ISO/IEC TS 27560: whose it is, for whom and for what, which data, since
when and until when, and how it was given. Events are ordered with what users decide: a consent
holds for events behind the position it was given at, up to that at which it was withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from data_sharing.sharing.fields import Path, covers, path_of

MOST_OF_SUBJECT = 100  # that hold at a time
MOST_FIELDS = 50
LONGEST_EVIDENCE = 1_000
LONGEST_SUBJECT = 256


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """consumer: an application; empty: the tenant itself, whose rules, plans and operators read.
    feed empty: any. fields none: all that are granted for the purpose."""

    id: str
    tenant: str
    subject: str  # the user, as the policy's `subject` names one
    consumer: str
    purpose: str
    feed: str = ""
    fields: tuple[str, ...] = ()
    given_ms: int = 0  # Unix ms
    given_position: int = 0  # of the tenant's log: it holds for events behind it
    evidence: str = ""  # how it was given: a form, its version, a call
    withdrawn_ms: int | None = None  # None: it holds
    withdrawn_position: int = 0

    def holds_at(self, position: int) -> bool:
        """Whether it held when the event there was decided."""
        ended = self.withdrawn_ms is not None and position > self.withdrawn_position
        return position > self.given_position and not ended

    @property
    def held_at_none(self) -> bool:
        """Whether it is withdrawn, and no event came while it was not."""
        return self.withdrawn_ms is not None and self.withdrawn_position <= self.given_position

    def about(self, feed: str, purpose: str) -> bool:
        """Whether it is about reading this feed for that."""
        return self.purpose == purpose and self.feed in ("", feed)

    def paths(self) -> tuple[Path, ...]:
        """Of its fields."""
        return tuple(map(path_of, self.fields))


class Terms:
    """What some consents of a user say, less whose they are and since when: for all that say the
    same there is one object, so that it is quickly found what they show."""

    __slots__ = ()


class HeldConsents(tuple[Consent, ...]):
    """Those of a user that hold. terms: of all of them."""

    terms: Terms

    @classmethod
    def of(cls, consents: Sequence[Consent], terms: Terms) -> HeldConsents:
        made = cls(consents)
        made.terms = terms
        return made


class Consents(Protocol):
    """Those that hold for an event that is decided."""

    def of(self, tenant: str, subject: str, /) -> Sequence[Consent]: ...


class NoConsents:
    """Nobody has given any."""

    def of(self, tenant: str, subject: str, /) -> Sequence[Consent]:
        return ()


NO_CONSENTS = NoConsents()


class ConsentsAsOf:
    """Those that hold now and held when the event at a position was decided: a consent is for what
    comes behind it, and what was withdrawn does not come back."""

    __slots__ = ("_now", "_position")

    def __init__(self, now: Consents, position: int) -> None:
        self._now, self._position = now, position

    def of(self, tenant: str, subject: str, /) -> Sequence[Consent]:
        return [one for one in self._now.of(tenant, subject) if one.holds_at(self._position)]


what_of = attrgetter("consumer", "purpose", "feed", "fields")
"""What a consent says, less whose it is."""


def allows(consents: Sequence[Consent], consumer: str, path: Path) -> bool:
    """Whether one of them lets the consumer read what is there."""
    return any(
        one.consumer == consumer
        and (not one.fields or any(covers(field, path) for field in one.paths()))
        for one in consents
    )
