"""InFlightQueue: instructions between the outbox and their outcome, and the queues in which they
wait for a platform. In memory; the outbox has all of them as well."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from data_sharing.delivery.platform_sessions import PlatformSession
from data_sharing.instruction import Instruction

MOST_IN_MEMORY = 10_000  # and of one tenant half of it
ALWAYS_OF_TENANT = 64  # of one that has no more, also where others have filled the memory
READ_AT_LEAST = 32


@dataclass(slots=True, kw_only=True, eq=False)
class InFlight:
    """An instruction on its way. `held_by`: the platform that may have it."""

    instruction: Instruction
    deadline_ms: int
    attempt: int
    held_by: str = ""
    session: PlatformSession | None = None  # it was sent in this one
    retries: int = 0  # after refusals and failures so far
    backing_off: bool = False
    why_waiting: str = "no platform has the application"

    @property
    def only_for(self) -> str:
        """The platform that alone may get it now; empty: any."""
        return self.instruction.platform or self.held_by


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightTally:
    """How the instructions in memory are. states: how many are sent, waiting or backing off;
    overdue: whose deadline is over; oldest_ms: when the oldest was decided, Unix ms."""

    states: Mapping[str, int]
    overdue: int
    oldest_ms: int


class InFlightQueue:
    """By id and by queue. An item that moves on is not searched for in the queue where it was:
    whoever takes it from there asks `is_stale`."""

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        self._most = most
        self._all: dict[str, InFlight] = {}
        self._of_tenant: Counter[str] = Counter()
        self._by_application: dict[tuple[str, str, str], deque[InFlight]] = {}
        self._by_platform: dict[tuple[str, str], deque[InFlight]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def get(self, instruction_id: str) -> InFlight | None:
        return self._all.get(instruction_id)

    def holds(self, item: InFlight) -> bool:
        """Whether it is this one that is on its way, and not a later one of its instruction."""
        return self._all.get(item.instruction.id) is item

    def tally(self, now_ms: int) -> InFlightTally:
        """How things are; any thread may ask."""
        items = list(self._all.values())
        states: Counter[str] = Counter()
        for one in items:
            if one.session is not None:
                states["sent"] += 1
            elif one.backing_off:
                states["backing_off"] += 1
            else:
                states["waiting"] += 1
        return InFlightTally(
            states=states,
            overdue=sum(one.deadline_ms < now_ms for one in items),
            oldest_ms=min((one.instruction.decided_at_ms for one in items), default=now_ms),
        )

    def overdue(self, now_ms: int) -> list[InFlight]:
        """Those whose deadline is over."""
        return [one for one in self._all.values() if one.deadline_ms < now_ms]

    def room(self, tenant: str) -> int:
        """For how many more of a tenant; none where it is for few: they are read some at a time.
        Whatever others have, there is some for who has little."""
        held = self._of_tenant[tenant]
        room = min(self._most // 2 - held, self._most - len(self._all))
        room = max(room, ALWAYS_OF_TENANT - held)
        return room if room >= READ_AT_LEAST else 0

    def add(self, item: InFlight) -> None:
        """One whose instruction is not there yet."""
        self._all[item.instruction.id] = item
        self._of_tenant[item.instruction.tenant] += 1

    def remove(self, item: InFlight) -> None:
        tenant = item.instruction.tenant
        if self._all.pop(item.instruction.id, None) is not None:
            self._of_tenant[tenant] -= 1
            if not self._of_tenant[tenant]:
                del self._of_tenant[tenant]

    def append(self, item: InFlight) -> None:
        """Puts it at the end of the queue it belongs to."""
        instruction, only = item.instruction, item.only_for
        if only:
            queue = self._by_platform.setdefault((instruction.tenant, only), deque())
        else:
            key = (instruction.tenant, instruction.application, instruction.version)
            queue = self._by_application.setdefault(key, deque())
        queue.append(item)

    def for_platform(self, tenant: str, name: str) -> deque[InFlight]:
        """That no other platform may get."""
        return self._by_platform.get((tenant, name), deque())

    def for_application(self, tenant: str, application: str, version: str) -> deque[InFlight]:
        """That any platform may get that has the application."""
        return self._by_application.get((tenant, application, version), deque())

    def is_stale(self, item: InFlight, *, of: str) -> bool:
        """Whether it does not belong into the queue of that platform (empty: of any) any more."""
        return (
            not self.holds(item)
            or item.session is not None
            or item.backing_off
            or item.only_for != of
        )
