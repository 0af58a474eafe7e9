"""Dry run: rules on sample events and plans, decided as a worker would, keeping nothing. Pure.

The clock is the samples': timers and actions of plans come due between the events, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.calendars.zoned_time import is_rfc3339
from data_sharing.event import Event
from data_sharing.feed_key import MAX_KEY_BYTES, key_text
from data_sharing.feeds.attributes import extension_text, holds_nul, parse_time, shown
from data_sharing.forecasts.spec import duration_ms
from data_sharing.management.simulator import SimulatedStep, Simulator
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.ruleset import RuleSet

SAMPLES = "/samples"  # the source of an event that has none
MOST_DUE = 1_000  # timers and actions of plans, all together
DAY_MS = 86_400_000
END_MS = parse_time("2399-01-01T00:00:00Z")  # of samples: plans have no occurrence from then on
LONGEST_AFTER_MS = 31 * DAY_MS  # how long after the last event timers are still awaited


KeyOf = Callable[[str, Mapping[str, Any]], str | None]  # of a feed and an event in JSON


def dry_run_rules(
    rules: RuleSet,
    tenant: str,
    *,
    events: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]] = (),
    key_of: KeyOf = lambda feed, event: None,
) -> list[SimulatedStep]:
    """events: in the CloudEvents JSON format; `id` and `source` may be left out, and `key` says
    what it is about where `key_of` does not. `{"wait": "30m"}` lets time pass instead. Raises
    InvalidInput naming what is no event or plan."""
    samples: list[Event | int] = []  # an event, or until when nothing comes
    after_ms = 0
    for place, one in enumerate(events):
        until_ms = _until_ms(one, place, after_ms)
        samples.append(
            _event(tenant, one, place, key_of, after_ms) if until_ms is None else until_ms
        )
        after_ms = _time_of(samples[-1])
    start_ms = _time_of(samples[0]) if samples else 0
    made = [created(tenant, _plan(one, place), start_ms) for place, one in enumerate(plans)]
    simulator = Simulator(rules, made, start_ms, explaining=True, whole=True)
    steps: list[SimulatedStep] = []
    due_left = MOST_DUE

    def advance_to(until_ms: int, plans_to_ms: int) -> None:
        nonlocal due_left
        while due_left and (one := simulator.next(until_ms, plans_to_ms)) is not None:
            steps.append(one)
            due_left -= 1

    for sample in samples:
        time_ms = _time_of(sample)
        advance_to(time_ms, time_ms)
        if isinstance(sample, Event):
            steps.append(simulator.event(sample, time_ms))
    last_ms = max(simulator.now_ms, max(map(_time_of, samples), default=0))
    advance_to(last_ms + LONGEST_AFTER_MS, last_ms + DAY_MS)
    return steps


def _plan(given: Mapping[str, Any], place: int) -> Any:
    try:
        return parse_plan(msgspec.json.encode(given).decode())
    except InvalidInput as error:
        field = f"plans[{place}].{error.field}"
        raise InvalidInput(field, f"plans[{place}]: {error.message}") from None


def _time_of(sample: Event | int) -> int:
    return sample.time_ms if isinstance(sample, Event) else sample


def _until_ms(given: Mapping[str, Any], place: int, after_ms: int) -> int | None:
    """None: it is an event, or is to be one."""
    if not isinstance(given, Mapping) or "wait" not in given or "type" in given:
        return None
    field = f"events[{place}]"
    if len(given) > 1 or not isinstance(given["wait"], str):
        raise InvalidInput(f"{field}.wait", f'{field}: write {{"wait": "30m"}}, and nothing else')
    try:
        until_ms = after_ms + duration_ms(given["wait"], "wait")
    except InvalidInput as error:
        raise InvalidInput(f"{field}.wait", f"{field}.{error.message}") from None
    if until_ms >= END_MS:
        raise InvalidInput(f"{field}.wait", f"{field}.wait: is past the year 2398")
    return until_ms


def _event(
    tenant: str, given: Mapping[str, Any], place: int, key_of: KeyOf, after_ms: int
) -> Event:
    """One without a time comes with the one before it."""
    field = f"events[{place}]"
    if not isinstance(given, Mapping):
        raise InvalidInput(field, f"{field}: must be a CloudEvent, a JSON object")
    given = {name: value for name, value in given.items() if value is not None}  # not there
    data = given.get("data", {})
    if not isinstance(given.get("type"), str) or not isinstance(data, Mapping):
        raise InvalidInput(field, f"{field}: needs a type, and data: an object")
    if holds_nul(data):
        raise InvalidInput(
            f"{field}.data", f"{field}: its data holds U+0000, which no event may; leave it out"
        )
    time_ms = _time_ms(given.get("time"), f"{field}.time", after_ms)
    subject = str(given.get("subject", ""))
    key = key_of(given["type"], given)
    return Event(
        tenant=tenant,
        source=str(given.get("source", SAMPLES)),
        id=str(given.get("id", place + 1)),
        type=given["type"],
        key=_key(given, field) if key is None else key,
        time_ms=time_ms,
        data=dict(data),
        subject=subject,
        position=place + 1,
    )


def _key(given: Mapping[str, Any], field: str) -> str:
    """What a sample says that it is about; empty: nothing."""
    name = next((one for one in ("key", "partitionkey", "subject") if one in given), None)
    if name is None or given[name] == "":
        return ""
    value = given[name]
    if name == "partitionkey" and isinstance(value, bool):
        value = extension_text(value)
    key = key_text(value)
    if key is None:
        raise InvalidInput(
            f"{field}.{name}",
            f"{field}.{name}: must be text of at most {MAX_KEY_BYTES} bytes, or a whole number",
        )
    return key


def _time_ms(given: Any, field: str, after_ms: int) -> int:
    """A time as feeds read it, or one without offset, which is UTC. Raises InvalidInput."""
    if given is None:
        return after_ms
    if not isinstance(given, str):
        raise InvalidInput(field, f"{field} must be a string")
    try:
        time_ms = parse_time(given)
    except ValueError as error:
        local = _local(given)
        if local is None:
            raise InvalidInput(field, f"{field}: {error}") from None
        time_ms = round(local.timestamp() * 1_000)
    if not 0 <= time_ms < END_MS:
        raise InvalidInput(field, f"{field}: {shown(given)} is not within the years 1970 to 2398")
    return time_ms


def _local(text: str) -> datetime | None:
    """In UTC; None where it is no time, or has an offset."""
    if not is_rfc3339(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is not None else found.replace(tzinfo=UTC)
