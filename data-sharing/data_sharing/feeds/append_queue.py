"""AppendQueue: events that wait to be kept and decided, taken from tenants in turns that follow
what deciding their events costs and their weights.

How many bytes may wait is bounded for a tenant, for each of its producers and for all; who has
filled its own is told to come back, and nobody else is. While others have filled all of it, who
has little waiting is still let in. It reads no clock, and answers nobody: that is the caller's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from control_plane.errors import Exhausted
from control_plane.weighted_turns import WeightedTurns
from data_sharing.feeds.backlog import FeedName
from data_sharing.feeds.port import Appended, Candidate

CHEAP_S = 25e-6  # what deciding an event is taken to cost where nothing is known of it
LEAST_S = 2.5e-6  # and at least
ALWAYS_BYTES = 256 << 10  # of a tenant, also where others have filled all that there is
KNOWN_TENANTS = 10_000  # whose costs are remembered while nothing of theirs waits
AGAIN_S = 0.5  # when who was refused is to come back


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLimits:
    """Bytes that may wait; whoever is below may add one append more."""

    of_all: int = 64 << 20
    of_tenant: int = 16 << 20
    of_producer: int = 8 << 20  # events of one source


@dataclass(eq=False, slots=True, kw_only=True)
class WaitingAppend:
    """Events of one tenant that were handed in together."""

    tenant: str
    candidates: Sequence[Candidate]
    answer: asyncio.Future[Sequence[Appended]]
    size: int  # bytes
    by_producer: Mapping[str, int]  # of them, by source
    weights: Sequence[int]  # of each event, in events of ordinary size; empty: all are 1
    since: float  # monotonic s
    feeds: Mapping[FeedName, int]  # how many events of each
    kept: list[Appended] = field(default_factory=list)  # of the first ones
    durable: int = 0  # of those, how many are on disk
    is_queued: bool = False  # some of it is to be taken
    over: bool = False  # it was answered

    @property
    def is_whole(self) -> bool:
        """Whether all of it is kept."""
        return len(self.kept) == len(self.candidates)


class Part(NamedTuple):
    """What one turn takes of an append: the next so many events."""

    append: WaitingAppend
    events: int
    weight: int


class AppendQueue:
    """weight_of: a tenant's weight, above 0."""

    def __init__(self, limits: WaitingLimits, weight_of: Callable[[str], float]) -> None:
        self._limits = limits
        self._turns = WeightedTurns[WaitingAppend](weight_of)
        self._of_tenant: Counter[str] = Counter()
        self._of_producer: Counter[tuple[str, str]] = Counter()
        self._event_s: dict[str, float] = {}  # what an event costs, lately, by tenant that waits
        self.bytes = 0

    def __len__(self) -> int:
        """Appends that wait, or are under way and not all taken."""
        return len(self._turns)

    @property
    def tenants(self) -> int:
        """For whom something waits to be taken."""
        return self._turns.keys

    def why_full(self, tenant: str, producers: Mapping[str, int]) -> Exhausted | None:
        """Why nothing more of these is taken now; None: it is."""
        limits, held = self._limits, self._of_tenant[tenant]
        if held > limits.of_tenant:
            return Exhausted(
                f"{held:,} bytes of events of tenant {tenant} wait to be kept, more than the "
                f"{limits.of_tenant:,} of one tenant; slow down",
                retry_after_s=AGAIN_S,
            )
        for one in producers:
            waiting = self._of_producer.get((tenant, one), 0)
            if waiting > limits.of_producer:
                return Exhausted(
                    f"{waiting:,} bytes of events of one source wait to be kept, more than the "
                    f"{limits.of_producer:,} of one producer; slow down",
                    retry_after_s=AGAIN_S,
                )
        if self.bytes > (2 * limits.of_all if held <= ALWAYS_BYTES else limits.of_all):
            return Exhausted("too many events wait to be kept; slow down", retry_after_s=AGAIN_S)
        return None

    def has_room(self, tenant: str) -> bool:
        """Whether a producer of whom nothing waits could add to it."""
        return self.why_full(tenant, {}) is None

    def add(self, one: WaitingAppend) -> None:
        """It waits behind those of its tenant."""
        self.bytes += one.size
        self._of_tenant[one.tenant] += one.size
        for source, size in one.by_producer.items():
            self._of_producer[one.tenant, source] += size
        one.is_queued = True
        self._turns.append(one.tenant, one)

    def next_tenant(self) -> str:
        """Whose turn it is. Raises IndexError where nothing waits."""
        return self._turns.next_key()

    def take(self, tenant: str, *, seconds: float, weight: int) -> list[Part]:
        """The next events of a tenant: as many as are thought to be decided within that time, and
        weigh no more than that; one at least where it has any. Who takes them says what became of
        them: `put_back` what has events left, `charge`, and `end` once it is answered."""
        most = max(1, int(seconds / self._event_s.get(tenant, CHEAP_S)))
        parts = list[Part]()
        while most > 0 and (one := self._turns.take(tenant)) is not None:
            one.is_queued = False
            if one.over:
                continue
            left = len(one.candidates) - len(one.kept)
            count, used = _fitting(one, min(left, most), weight, at_least=0 if parts else 1)
            if count:
                parts.append(Part(one, count, used))
                most -= count
                weight -= used
            else:
                self.put_back(one)
            if count < left:
                break
        return parts

    def waits(self, tenant: str) -> bool:
        """Whether anything of a tenant is to be taken."""
        return any(not one.over for one in self._turns.waiting_of(tenant))

    def takes_longer(self, tenant: str, seconds: float) -> bool:
        """Whether what waits of a tenant is thought to take longer than that."""
        each = self._event_s.get(tenant, CHEAP_S)
        for one in self._turns.waiting_of(tenant):
            if not one.over:
                seconds -= each * (len(one.candidates) - len(one.kept))
            if seconds < 0:
                return True
        return False

    def put_back(self, one: WaitingAppend) -> None:
        """It has events left, and goes on before the others of its tenant."""
        one.is_queued = True
        self._turns.appendleft(one.tenant, one)

    def charge(self, tenant: str, events: int, seconds: float, *, cut_after: float | None) -> None:
        """What deciding so many events has cost. cut_after: s, where there was no time for all
        that were taken."""
        self._turns.charge(tenant, seconds)
        if not events:
            return
        before = self._event_s.get(tenant, CHEAP_S)
        # What the last one took beyond the end says little of the others; and once in a while the
        # machine was elsewhere.
        each = min(seconds / events, 3 * before) if cut_after is None else cut_after / events
        self._event_s[tenant] = max((before + each) / 2, LEAST_S)

    def end(self, one: WaitingAppend) -> None:
        """It is answered."""
        one.over = True
        self.bytes -= one.size
        self._of_tenant[one.tenant] -= one.size
        for source, size in one.by_producer.items():
            self._of_producer[one.tenant, source] -= size
            if self._of_producer[one.tenant, source] <= 0:
                del self._of_producer[one.tenant, source]
        if self._of_tenant[one.tenant] <= 0:
            del self._of_tenant[one.tenant]
            if len(self._event_s) > KNOWN_TENANTS:
                self._event_s.pop(one.tenant, None)

    def clear(self) -> list[WaitingAppend]:
        """All that waited; nothing does any more. Each is to be ended."""
        found = [one for one in self._turns if not one.over]
        self._turns.clear()
        return found


def _fitting(one: WaitingAppend, most: int, weight: int, *, at_least: int) -> tuple[int, int]:
    """How many of the next events weigh no more than that, and what they weigh."""
    if not one.weights:
        count = max(at_least, min(most, weight))
        return count, count
    count = used = 0
    for own in one.weights[len(one.kept) : len(one.kept) + most]:
        if used + own > weight and count >= at_least:
            break
        count += 1
        used += own
    return count, used
