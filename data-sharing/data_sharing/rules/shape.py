"""The shape of a rule, checked before its expressions are compiled: sizes, names, counts, and which
of its parts go together."""

from __future__ import annotations

import re

import msgspec

from data_sharing.forecasts.spec import duration_ms
from data_sharing.memory_limits import MOST_BOUND, MemorySpec
from data_sharing.rules.document_faults import FaultCollector, within
from data_sharing.rules.spec import LateSpec, RolloutSpec, RuleSpec

ID = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
MOST_IN_DOCUMENT = 1_000  # rules, and as many forecasts
MOST_RULE_BYTES = 16_384  # as JSON: what is compiled on the event loop in one go
MOST_SETTINGS = 64  # of one effect
MOST_INPUTS = 4
MOST_STEP_INPUTS = 16  # of a sequence
MOST_WINDOWS = 8
MOST_EFFECTS = 16
MOST_KEPT = 256  # per input and key in a join
MOST_IN_WINDOW = 10_000
MOST_FAILING = 50  # keys of a producer, or producers, until all of them are parked
MOST_APPROVERS = 32  # that an approval names
MOST_STEPS = 16  # of a rollout
MOST_DECISIONS = 1_000_000  # that one of them waits for
_RESERVED = frozenset(("event", "key", "now", "plan", "window", "forecast", "events"))


def check_size(spec: RuleSpec, faults: FaultCollector) -> None:
    """Says what is too much, before anything else is looked at."""
    size, at = len(msgspec.json.encode(spec)), f"rules.{spec.rule[:63]}"
    if size > MOST_RULE_BYTES:
        faults.add(at, f"has {size:,} bytes as JSON; at most {MOST_RULE_BYTES:,}")
    for number, one in enumerate(spec.do):
        settings = len(one.invoke.config) if one.invoke is not None else 0
        if one.change is not None:
            settings += sum(map(len, one.change.config.values()))
        if settings > MOST_SETTINGS:
            faults.add(f"{at}.do[{number}]", f"{settings:,} settings; at most {MOST_SETTINGS}")


def check_shape(spec: RuleSpec, faults: FaultCollector) -> None:
    """Says what is wrong."""
    add, at = faults.add, f"rules.{spec.rule}"
    if ID.fullmatch(spec.rule) is None:
        add(f"{at}.rule", "an id is 1 to 63 of a-z 0-9 - . and starts and ends with none of -.")
    if not 0 <= spec.priority <= 999:
        add(f"{at}.priority", f"{spec.priority} is not within 0 to 999")
    if not 1 <= spec.park_after <= 1_000:
        add(f"{at}.park_after", f"{spec.park_after} is not within 1 to 1,000")
    if not 2 <= spec.park_wider_after <= MOST_FAILING:
        add(f"{at}.park_wider_after", f"{spec.park_wider_after} is not within 2 to {MOST_FAILING}")
    for name in (*spec.watch, *spec.windows):
        if NAME.fullmatch(name) is None or (name in _RESERVED and name in spec.watch):
            add(f"{at}.{name}", "is no name for this, or means something else already")
    present = [name for name, one in spec.watch.items() if not one.absent]
    most = MOST_INPUTS if spec.sequence is None else MOST_STEP_INPUTS
    if len(spec.watch) > most:
        add(f"{at}.watch", f"{len(spec.watch)} inputs; at most {most}")
    if len(spec.windows) > MOST_WINDOWS:
        add(f"{at}.windows", f"{len(spec.windows)} windows; at most {MOST_WINDOWS}")
    if not 1 <= len(spec.do) <= MOST_EFFECTS:
        add(f"{at}.do", f"{len(spec.do)} effects; 1 to {MOST_EFFECTS}")
    if spec.at_end_of is not None:
        ending = spec.windows.get(spec.at_end_of)
        if ending is None or ending.every is None:
            add(f"{at}.at_end_of", f'"{spec.at_end_of}" is no window of it with `every`')
        if spec.watch or spec.join:
            add(f"{at}.watch", "a rule that decides at the end of a window watches no events")
        if spec.max_age is not None:
            add(f"{at}.max_age", "is for rules that decide at events; windows have `late`")
    elif not present:
        add(f"{at}.watch", "watches no feed; name one, or a window in at_end_of")
    _check_pattern(spec, at, faults)
    if len(spec.watch) > 1 and spec.join is None and spec.sequence is None:
        add(f"{at}.join", "several inputs need `join` with `within` and `consume`, or `sequence`")
    if spec.join is not None and len(spec.watch) < 2:
        add(f"{at}.join", "needs two inputs at least")
    ordered = spec.sequence is not None or spec.absent_for is not None
    ordered = ordered or spec.join is not None or bool(spec.windows)
    if spec.late not in ("0s", LateSpec()) and not ordered:
        said = "is for rules with windows, a join, a sequence or absent_for; others have max_age"
        add(f"{at}.late", said)
    for number, one in enumerate(spec.do):
        approval = None if one.invoke is None else one.invoke.approval
        if approval is not None and len(approval.by) > MOST_APPROVERS:
            here = f"{at}.do[{number}].invoke.approval.by"
            add(here, f"{len(approval.by)} names; at most {MOST_APPROVERS}")
    check_memory(spec.memory, at, faults)
    if spec.rollout is not None:
        _check_rollout(spec.rollout, f"{at}.rollout", faults)


def check_memory(spec: MemorySpec | None, at: str, faults: FaultCollector) -> None:
    """Of a rule or forecast, before it is known what its tenant may have."""
    for name, (_, most) in (spec.bounds() if spec is not None else {}).items():
        if not 1 <= most <= MOST_BOUND:
            faults.add(f"{at}.memory.{name}", f"{most:,} is not within 1 to {MOST_BOUND:,}")


def _check_pattern(spec: RuleSpec, at: str, faults: FaultCollector) -> None:
    add = faults.add
    found = [
        name
        for name, given in (
            ("join", spec.join), ("sequence", spec.sequence), ("absent_for", spec.absent_for),
            ("at_end_of", spec.at_end_of),
        )
        if given is not None
    ]  # fmt: skip
    if len(found) > 1 and found != ["join", "at_end_of"]:
        add(f"{at}.{found[1]}", f"goes with no `{found[0]}`: a rule has one of them")
    if (
        spec.at_end_of is not None
        and spec.active_hours is not None
        and spec.active_hours.outside == "defer"
    ):
        said = "cannot be deferred with `at_end_of`: what the window held is gone when hours open"
        add(f"{at}.active_hours.outside", said)
    if spec.absent_for is not None and len(spec.watch) != 1:
        add(f"{at}.absent_for", "needs one input, of which no event comes for so long")
    if spec.sequence is not None or spec.absent_for is not None:
        for name, one in spec.watch.items():
            if one.absent:
                said = "`absent` is for joins; write `without` among the steps of a sequence"
                add(f"{at}.watch.{name}.absent", said)


def _check_rollout(rollout: RolloutSpec, at: str, faults: FaultCollector) -> None:
    add = faults.add
    if not 1 <= len(rollout.steps) <= MOST_STEPS:
        add(f"{at}.steps", f"{len(rollout.steps)} steps; 1 to {MOST_STEPS}")
    share: float = 0
    for number, step in enumerate(rollout.steps[:MOST_STEPS]):
        here = f"{at}.steps[{number}]"
        if step.shadow == (step.share is not None):
            add(here, "needs exactly one of `shadow: true` and `share`")
        elif step.shadow and number:
            add(here, "only the first step is `shadow`: a new version that acts goes on or back")
        if step.share is not None:
            if not share < step.share < 100:
                add(here, f"a share is a percentage below 100, greater than {share:g} before it")
            elif step.share * 100 != round(step.share * 100):
                add(here, "a share has at most two decimal places")
            share = step.share
        if step.decisions is not None and not 1 <= step.decisions <= MOST_DECISIONS:
            add(here, f"{step.decisions} decisions are not within 1 to {MOST_DECISIONS:,}")
        if step.lasts is not None:
            with faults.gather(), within(here):
                duration_ms(step.lasts, "for", least_ms=1_000)
    failed, differs = rollout.hold.failed, rollout.hold.differs
    with faults.gather(), within(f"{at}.hold.failed"):
        duration_ms(failed.within, "within", least_ms=1_000)
    for one, where in ((failed, "failed"), (differs, "differs")):
        if one is None:
            continue
        if not 0 <= one.share <= 1:
            add(f"{at}.hold.{where}.share", f"{one.share} is not within 0 to 1")
        if not 1 <= one.of <= MOST_DECISIONS:
            add(f"{at}.hold.{where}.of", f"{one.of} is not within 1 to {MOST_DECISIONS:,}")
    if failed.count is not None and not 1 <= failed.count <= MOST_DECISIONS:
        add(f"{at}.hold.failed.count", f"{failed.count} is not within 1 to {MOST_DECISIONS:,}")
