"""RuleSpec: what an operator writes. Text in `when`, keys, values and effects is CEL.

docs/reference/rules.md explains every field; the published JSON Schema is made from this.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.memory_limits import MemorySpec
from data_sharing.rules.watermarks import LateThen

Value = str | int | float | bool  # text: CEL; anything else stands for itself


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class InputSpec(_Strict, frozen=True, kw_only=True):
    """One feed that a rule watches. `key` and `where` are over `event`."""

    feed: str  # CloudEvents type
    key: str = "event.key"  # events with the same key meet
    where: str | None = None  # only these events count
    absent: bool = False  # in a join: fires where none of these came within its time


Consumption = Literal["recent", "unrestricted", "chronicle", "continuous", "cumulative"]


class JoinSpec(_Strict, frozen=True, kw_only=True):
    """Events of several inputs, with one key, within a time of each other."""

    within: str
    consume: Consumption  # which events are used up; no default, because it matters
    keep: int = 16  # events kept per input and key


class PatternStepSpec(_Strict, frozen=True, kw_only=True):
    """One part of a sequence: exactly one of `step` and `without`, each an input by its name."""

    step: str | None = None  # the next of its events for which `when` holds is taken
    without: str | None = None  # one of its events, here, ends the partial match
    when: str | None = None  # CEL over this input's event and those of steps before it


class SequenceSpec(_Strict, frozen=True, kw_only=True):
    """Events of one key in this order, others in between left out of account."""

    within: str  # from the first step's event to the last's
    steps: list[PatternStepSpec]
    keep: int = 16  # partial matches per key


class WindowSpec(_Strict, frozen=True, kw_only=True):
    """Count and aggregates over events of a feed: `over` slides, `every` tumbles."""

    feed: str | None = None  # default: the rule's only input
    key: str | None = None  # default: as the input of that feed, else event.key
    where: str | None = None
    value: str | None = None  # a number; without it only `count` can be read
    over: str | None = None
    every: str | None = None
    limit: int = 1_000  # events a sliding window keeps per key


class PlanSpec(_Strict, frozen=True, kw_only=True):
    """Which plans the rule looks at, one after another."""

    of: str = "key"  # CEL: whose plans, a text or a list of texts; matches owner or followed key
    named: str | None = None  # only those of this name


class DebounceSpec(_Strict, frozen=True, kw_only=True):
    """Fires once, when no further match came for `wait`; at the latest `at_most` after the
    first."""

    wait: str
    at_most: str | None = None


class LimitSpec(_Strict, frozen=True, kw_only=True):
    """Fires at most so often in any stretch of that length."""

    at_most: int
    per: str
    of: Literal["key", "rule"] = "key"  # at each key, or at all of them together


class OpenHoursSpec(_Strict, frozen=True, kw_only=True):
    """`from` and `to` on `days`, or `starts` and `lasts`, as often as it `repeats`."""

    days: list[str] = []  # MO, TU, WE, TH, FR, SA, SU; empty: each
    begin: str | None = msgspec.field(default=None, name="from")  # local: 08:00
    end: str | None = msgspec.field(default=None, name="to")  # of the next day, if not after it
    starts: str | None = None  # as `at` of a plan
    lasts: str | None = None
    repeats: str | None = None  # RFC 5545, as of a plan, without COUNT


class ActiveHoursSpec(_Strict, frozen=True, kw_only=True):
    """When the rule may fire; what becomes of a firing at another time."""

    open: list[OpenHoursSpec] = []
    zone: str = "UTC"  # IANA time zone
    closed_on: list[str] = []  # dates on which it is not open at all
    open_on: list[str] = []  # dates on which it is all day
    outside: Literal["drop", "defer"] = "drop"
    fold: Literal["latest", "all"] = "latest"  # of what is deferred at one key, for one plan


class ChangeSpec(_Strict, frozen=True, kw_only=True):
    """Modifies the plan. shift: a duration from its planned time, so that doing it twice moves
    it once. config: by action and field."""

    shift: str | None = None
    cancel: Value | None = None
    config: dict[str, dict[str, Value]] = {}
    occurrence: Literal["next", "every"] = "next"


class ApprovalSpec(_Strict, frozen=True, kw_only=True):
    """A person has to let it go first."""

    expires: str = "1h"  # waited for so long; then it is a dead letter
    by: list[str] = []  # names of callers, any of whom may; empty: whoever has the role
    role: Literal["operator", "admin"] = "operator"
    four_eyes: bool = False  # not who applied the rule


class InvokeSpec(_Strict, frozen=True, kw_only=True):
    """Has an application perform an action, now."""

    application: str
    action: str
    config: dict[str, Value] = {}
    deadline: str = "10m"  # not worth doing after
    approval: ApprovalSpec | None = None
    active_hours: ActiveHoursSpec | None = None  # outside of them it is left out


class EffectSpec(_Strict, frozen=True, kw_only=True):
    """Exactly one of both."""

    change: ChangeSpec | None = None
    invoke: InvokeSpec | None = None


class StepSpec(_Strict, frozen=True, kw_only=True):
    """One step of a rollout: the new version decides without acting (`shadow`), or acts for a
    share of the keys. It lasts until both conditions hold; without any, until an operator
    promotes it."""

    shadow: bool = False
    share: int | float | None = None  # percent of the keys, more than 0 and less than 100
    lasts: str | None = msgspec.field(default=None, name="for")
    decisions: int | None = None  # in which the versions were compared


class DiffersSpec(_Strict, frozen=True, kw_only=True):
    """Too many decisions differ from those of the version in force."""

    share: float  # of the decisions compared in this step, 0 to 1
    of: int = 100  # at least so many were


class FailedSpec(_Strict, frozen=True, kw_only=True):
    """Too many instructions of the new version fail."""

    share: float = 0.1  # of those that ended in this step, 0 to 1
    of: int = 10  # at least so many did
    count: int | None = None  # or so many failed, whatever their share
    within: str = "15m"  # only the newest


class HoldSpec(_Strict, frozen=True, kw_only=True):
    """When a rollout goes no further by itself."""

    failed: FailedSpec = FailedSpec()
    differs: DiffersSpec | None = None
    then: Literal["hold", "abort"] = "hold"


class RolloutSpec(_Strict, frozen=True, kw_only=True):
    """How a new version of a rule comes into force, step by step; after the last, for all keys."""

    steps: list[StepSpec]
    hold: HoldSpec = HoldSpec()


class LateSpec(_Strict, frozen=True, kw_only=True):
    """Of events that come out of order, in a rule with windows or a join."""

    allowed: str = "0s"  # how much older than the newest of its key an event may be
    ahead: str = "5m"  # a time further ahead of the clock makes no other event late
    then: LateThen = "drop"  # with what is too late


class RuleSpec(_Strict, frozen=True, kw_only=True):
    """One rule. `watch`: inputs by the name that their event has in CEL."""

    rule: str  # its id
    when: str | bool  # CEL
    do: list[EffectSpec]
    watch: dict[str, InputSpec] = {}
    join: JoinSpec | None = None
    sequence: SequenceSpec | None = None
    absent_for: str | None = None  # decide when no event came for so long after the last
    windows: dict[str, WindowSpec] = {}
    at_end_of: str | None = None  # a tumbling window: decide at its end, not at events
    plan: PlanSpec | None = None
    priority: int = 100  # 0 to 999; the greater wins where two rules change one field
    debounce: DebounceSpec | None = None
    cooldown: str | None = None  # not again for so long, per key and plan
    limits: list[LimitSpec] = []
    memory: MemorySpec | None = None  # what it may remember, no more than its tenant's rules may
    active_hours: ActiveHoursSpec | None = None
    late: str | LateSpec = "0s"  # as a text: `allowed`
    max_age: str | None = None  # events older than this by the clock are not decided
    park_after: int = 10  # failures in a row, of one producer at one key
    park_wider_after: int = 10  # failing keys of a producer, or producers of the rule, in a row
    retry_after: str = "1m"  # what is parked is tried again; doubles with each failure to
    retry_at_most: str = "1h"
    application: str | None = None  # whose rule it is; it then reads what that may read
    purpose: str | None = None  # what for; needed where a feed has a sharing policy
    description: str = ""
    rollout: RolloutSpec | None = None  # of this version; no part of what it decides

    @property
    def content(self) -> RuleSpec:
        """What it decides, however it comes into force."""
        return self if self.rollout is None else msgspec.structs.replace(self, rollout=None)

    @property
    def condition(self) -> str:
        """`when` as CEL."""
        return self.when if isinstance(self.when, str) else str(self.when).lower()


class RulesDocument(_Strict, frozen=True, kw_only=True):
    """A file of rules and forecasts."""

    rules: list[RuleSpec] = []
    forecasts: list[ForecastSpec] = []
