"""Lifecycle: the states of a unit, and the events that lead from one to the next. Pure.

    joining    applied, its agent was not heard yet; takes clients at its operator's word
    active     takes clients
    cordoned   keeps its clients, takes no new ones
    draining   its clients are being moved away
    drained    has no clients any more, takes none
    lost       its agent has not been heard for too long; its clients are moved away
    removed    gone

What an operator wants outlives a loss: a cordoned unit that is heard again is cordoned. A
unit whose agent flaps is given up later and trusted later each time, so that its clients
are not moved to and fro (the damping of routes that flap, RFC 2439, is the model).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Where a unit stands; see the module."""

    JOINING = "joining"
    ACTIVE = "active"
    CORDONED = "cordoned"
    DRAINING = "draining"
    DRAINED = "drained"
    LOST = "lost"
    REMOVED = "removed"


class Event(StrEnum):
    """What can happen to a unit."""

    APPLIED = "applied"  # an operator or the agent wrote its record
    HEARD = "heard"  # its agent has sent heartbeats for long enough
    SILENT = "silent"  # its agent has sent none for too long
    CORDON = "cordon"
    DRAIN = "drain"
    EMPTIED = "emptied"  # nobody is assigned to it any more
    UNDRAIN = "undrain"
    REMOVE = "remove"


_STAYS: dict[State, State] = {state: state for state in State if state is not State.REMOVED}
# Each row: what becomes of a unit in this state. What is missing cannot happen to it.
TABLE: dict[Event, dict[State, State]] = {
    Event.APPLIED: {**_STAYS, State.REMOVED: State.JOINING},
    Event.HEARD: {**_STAYS, State.JOINING: State.ACTIVE, State.LOST: State.ACTIVE},
    Event.SILENT: {**_STAYS, State.ACTIVE: State.LOST, State.CORDONED: State.LOST},
    Event.CORDON: {
        **_STAYS,
        State.JOINING: State.CORDONED,
        State.ACTIVE: State.CORDONED,
        State.DRAINING: State.CORDONED,
    },
    Event.DRAIN: {**dict.fromkeys(_STAYS, State.DRAINING), State.DRAINED: State.DRAINED},
    Event.EMPTIED: {**_STAYS, State.DRAINING: State.DRAINED},
    Event.UNDRAIN: {
        **_STAYS,
        State.CORDONED: State.ACTIVE,
        State.DRAINING: State.ACTIVE,
        State.DRAINED: State.ACTIVE,
    },
    Event.REMOVE: dict.fromkeys(_STAYS, State.REMOVED),
}
TAKING = frozenset({State.JOINING, State.ACTIVE})  # may be given new clients
LEAVING = frozenset({State.DRAINING, State.LOST})  # whose clients are moved away


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleRecord:
    """A unit's state, as stored under lifecycle/<unit>."""

    state: State
    since_ms: int = 0  # Unix time, ms
    reason: str = ""  # one sentence
    returns_to: State = State.ACTIVE  # of a lost unit: what it is when it is heard again
    losses: int = 0  # in a row, each within `calm_s` of the one before
    lost_ms: int = 0  # when it was lost last; 0: never


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPolicy:
    """How long agents may be silent. Seconds, on the monotonic clock of the
    server that detects it."""

    lost_after_s: float = 30.0  # of silence, beyond the agent's own lease
    back_after_s: float = 10.0  # of being heard, before a lost unit is trusted again
    calm_s: float = 900.0  # without a loss, after which earlier ones are forgotten
    most_doublings: int = 5

    def before_lost_s(self, record: LifecycleRecord, now_ms: int) -> float:
        """How long the unit may be silent before its clients are moved."""
        return self.lost_after_s * self._stretch(self.recent_losses(record, now_ms))

    def before_back_s(self, record: LifecycleRecord, now_ms: int) -> float:
        """How long a lost unit must be heard before it takes clients again."""
        return self.back_after_s * self._stretch(max(0, record.losses - 1))

    def recent_losses(self, record: LifecycleRecord, now_ms: int) -> int:
        """Losses that still count. A wall clock that is wrong counts them wrongly, no more."""
        calm = not record.lost_ms or abs(now_ms - record.lost_ms) > self.calm_s * 1000
        return 0 if calm else record.losses

    def _stretch(self, losses: int) -> float:
        return float(2 ** min(losses, self.most_doublings))


def detected_event(
    record: LifecycleRecord, *, heard: bool, for_s: float, now_ms: int, policy: LossPolicy
) -> Event | None:
    """What has happened to a unit whose agent has been heard, or not, without a break for
    `for_s`; None: nothing yet. Only for units that have, or had, an agent."""
    if heard:
        if record.state is State.JOINING:
            return Event.HEARD
        if record.state is State.LOST and for_s >= policy.before_back_s(record, now_ms):
            return Event.HEARD
        return None
    could_be_lost = TABLE[Event.SILENT].get(record.state) is not record.state
    if could_be_lost and for_s >= policy.before_lost_s(record, now_ms):
        return Event.SILENT
    return None


_SENTENCES = {
    State.JOINING: "it was applied, and its agent was not heard yet",
    State.ACTIVE: "it takes clients",
    State.CORDONED: "an operator cordoned it",
    State.DRAINING: "an operator drains it",
    State.DRAINED: "it was drained, and nobody is left",
    State.LOST: "its agent is not heard any more",
    State.REMOVED: "it was removed",
}


def advance(
    record: LifecycleRecord, event: Event, *, now_ms: int, policy: LossPolicy
) -> LifecycleRecord:
    """The record after the event; the very same where nothing changes."""
    state = TABLE[event].get(record.state)
    if record.state is State.LOST and event in (Event.CORDON, Event.UNDRAIN):
        # It stays lost; what it is when it comes back is the operator's to say.
        wanted = State.CORDONED if event is Event.CORDON else State.ACTIVE
        return record if record.returns_to is wanted else replace(record, returns_to=wanted)
    if record.state is State.LOST and event is Event.HEARD:
        state = record.returns_to
    if state is None or state is record.state:
        return record
    after = replace(record, state=state, since_ms=now_ms, reason=_SENTENCES[state],
                    returns_to=State.ACTIVE)  # fmt: skip
    if state is State.LOST:
        back = State.CORDONED if record.state is State.CORDONED else State.ACTIVE
        losses = policy.recent_losses(record, now_ms) + 1
        after = replace(after, returns_to=back, losses=losses, lost_ms=now_ms)
    elif record.state is State.LOST and event is Event.HEARD:
        after = replace(after, reason=f"{_SENTENCES[state]}; its agent is heard again")
    return after


def unwritten(*, had_agent: bool) -> LifecycleRecord:
    """The state of a unit nobody wrote one for: from before there were any."""
    state = State.ACTIVE if had_agent else State.JOINING
    return LifecycleRecord(state=state, reason=_SENTENCES[state])
