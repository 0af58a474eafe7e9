"""SharingPolicies: the policies of all tenants that are in force. Immutable.

A feed without one is as open as its producer's manifest makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from data_sharing.event import Event
from data_sharing.sharing.audience import Audience
from data_sharing.sharing.field_view import FieldView
from data_sharing.sharing.fields import Path, path_of, subject_at
from data_sharing.sharing.policy import FeedPolicy

MOST_VIEWS = 1_024  # kept; of others they are made anew
MOST_AUDIENCES = 64  # of one feed, whose rules differ in owner, purpose or in whom they have act
_encode = msgspec.json.Encoder(order="deterministic").encode


class GovernedFeed(NamedTuple):
    """A policy with what it needs. print: of its content; subject: where events say whom they are
    about, None: no grant asks for consent."""

    policy: FeedPolicy
    secret: bytes  # of the tenant
    print: str
    subject: Path | None

    @classmethod
    def of(cls, policy: FeedPolicy, secret: bytes) -> GovernedFeed:
        by_consent = any(one.basis == "consent" for one in policy.grants)
        return cls(
            policy,
            secret,
            blake2b(_encode(policy), digest_size=8).hexdigest(),
            path_of(policy.subject) if by_consent else None,
        )


class Memory(NamedTuple):
    """What a rule or forecast keeps. kind: "rule" or "forecast"; name: of its state."""

    tenant: str
    kind: str
    name: str


class SharingPolicies:
    """By tenant and feed. resets: of memories that begin anew, by the number of the newest one:
    what they kept before is dead, though it may still be there."""

    def __init__(
        self,
        governed: Mapping[tuple[str, str], GovernedFeed] | None = None,
        resets: Mapping[Memory, int] | None = None,
    ) -> None:
        self._governed = dict(governed or {})
        self._resets = dict(resets or {})
        self._tenants = frozenset(tenant for tenant, _ in self._governed)
        self._views: dict[tuple[str, str, Audience], FieldView] = {}

    def with_resets(self, resets: Mapping[Memory, int]) -> SharingPolicies:
        """These as well; the same policies, with the views that are made already."""
        made = SharingPolicies({}, self._resets | dict(resets))
        made._governed, made._tenants, made._views = self._governed, self._tenants, self._views
        return made

    def reset_since(self, other: SharingPolicies) -> frozenset[Memory]:
        """The memories that have begun anew there and not here, or the other way about."""
        mine, theirs = self._resets, other._resets
        if mine is theirs:
            return frozenset()
        return frozenset(one for one, _ in mine.items() ^ theirs.items())

    def __bool__(self) -> bool:
        return bool(self._governed)

    def get(self, tenant: str, feed: str) -> GovernedFeed | None:
        """None: the feed has no policy."""
        return self._governed.get((tenant, feed))

    def governs(self, tenant: str) -> bool:
        """Whether any feed of the tenant has a policy."""
        return tenant in self._tenants

    def subjects(self, tenant: str, events: Iterable[Event]) -> set[str]:
        """Whose consents may count for these events of a tenant."""
        found, governed = set[str](), self._governed
        for event in events:
            one = governed.get((tenant, event.type))
            if one is not None and one.subject is not None:
                found.add(subject_at(one.subject, event))
        found.discard("")
        return found

    def of_tenant(self, tenant: str) -> list[FeedPolicy]:
        """By feed."""
        found = [one.policy for (whose, _), one in self._governed.items() if whose == tenant]
        return sorted(found, key=lambda one: one.feed)

    def changed(self, other: SharingPolicies) -> list[tuple[str, str]]:
        """The feeds that have another policy there, by tenant and type."""
        places = self._governed.keys() | other._governed.keys()
        return sorted(
            place for place in places if self._governed.get(place) != other._governed.get(place)
        )

    def view(self, tenant: str, feed: str, audience: Audience) -> FieldView | None:
        """How the audience sees the feed; None: it has no policy, and is seen as it is."""
        governed = self._governed.get((tenant, feed))
        if governed is None:
            return None
        place = (tenant, feed, audience)
        found = self._views.get(place)
        if found is None:
            if len(self._views) >= MOST_VIEWS:
                del self._views[next(iter(self._views))]
            found = FieldView(governed.policy, audience, governed.secret)
            self._views[place] = found
        return found

    def seal(self, memory: Memory, feeds: Iterable[str], audience: Audience) -> str:
        """Changes with what an audience may be shown of any of these feeds, and with each reset;
        empty: all are open, and there was none. What was kept under another seal must not be
        read."""
        tenant, reset = memory.tenant, self._resets.get(memory)
        prints = [
            (feed, governed.print)
            for feed in sorted(set(feeds))
            if (governed := self._governed.get((tenant, feed))) is not None
        ]
        if not prints and reset is None:
            return ""
        said = _encode([prints, sorted(audience.readers), audience.purpose, *_given(reset)])
        return blake2b(said, digest_size=8).hexdigest()


def _given(reset: int | None) -> tuple[int, ...]:
    return () if reset is None else (reset,)


OPEN = SharingPolicies()
"""No feed has a policy."""
