"""Sequences and absence agree with what their documentation says, read literally.

The reference keeps every event and knows no partial match: at each event, and at each time that
something is due, it looks through all of them again from every first step on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.results import EvaluationResult
from tests.support.rule_harness import RuleHarness, fired, ids, rules_of

WITHIN_S, LATE_S = 12, 3


@dataclass(frozen=True)
class Part:
    """of: "step" or "without". asks: how its condition is written, and what it is."""

    of: str
    name: str
    feed: str
    asks: int

    @property
    def text(self) -> str:
        condition = [
            "",
            f", when: {self.name}.data.n > 1.0",
            f", when: {self.name}.data.n > one.data.n",
        ]
        return f"{{{self.of}: {self.name}{condition[self.asks]}}}"


@dataclass(frozen=True)
class Came:
    """An event, in the order in which it was accepted. clock_s: when."""

    id: str
    feed: str
    time_s: int
    n: int
    clock_s: int


def holds(part: Part, seen: Sequence[Came], event: Came) -> bool:
    if event.feed != part.feed:
        return False
    of: list[Callable[[], bool]] = [
        lambda: True,
        lambda: event.n > 1,
        lambda: event.n > (seen[0].n if seen else event.n),
    ]
    return of[part.asks]()


def followed(
    parts: Sequence[Part], events: Sequence[Came], start: int, least: int
) -> list[Came] | None:
    """The match that begins with that event; None: there is none, or it has ended. least: what
    the rule's condition asks of the last step."""
    first = events[start]
    steps = [number for number, part in enumerate(parts) if part.of == "step"]
    seen, at = [first], steps[0]
    if not holds(parts[at], [], first):
        return None
    for event in events[start + 1 :]:
        if event.time_s - first.time_s > WITHIN_S:
            continue
        following = next((number for number in steps if number > at), None)
        if following is not None and holds(parts[following], seen, event):
            last = following == steps[-1]
            if last and parts[-1].of == "step" and event.n < least:
                continue  # `when` is false, and it goes on waiting
            seen, at = [*seen, event], following
            if last and parts[-1].of == "step":
                return seen
            continue
        if following is None and event.time_s - first.time_s == WITHIN_S:
            continue  # its time is over then
        between = parts[at + 1 : following]
        if any(holds(part, seen, event) for part in between):
            return None
    return seen if at == steps[-1] else None


def reference(parts: Sequence[Part], events: Sequence[Came], least: int) -> list[list[str]]:
    """The matches that fire, as ids of their events."""
    over: set[str] = set()  # first steps that began before the last event of a match
    found: list[list[str]] = []
    places = {event.id: number for number, event in enumerate(events)}

    def fires(match: list[Came]) -> None:
        found.append([one.id for one in match])
        over.update(one.id for one in events[: places[match[-1].id] + 1])

    if parts[-1].of == "step":
        for number in range(len(events)):
            some = events[: number + 1]
            for start in range(number):
                match = followed(parts, some, start, least)
                if some[start].id not in over and match and match[-1] is some[-1]:
                    fires(match)
                    break
        return found
    due = sorted((one.time_s + WITHIN_S + LATE_S, number) for number, one in enumerate(events))
    for due_s, start in due:
        came = [one for one in events if one.clock_s < due_s]
        match = followed(parts, came, start, 0)
        if events[start].id not in over and match and match[0].n >= least:
            fires(match)
    return found


def parts_of(kinds: list[tuple[str, int, bool]], ends: bool) -> list[Part]:
    """kinds: feed, condition, and whether something must not come before it."""
    names = ("one", "two", "three")
    found: list[Part] = []
    for number, (feed, asks, without) in enumerate(kinds):
        if without and found:
            found.append(Part("without", f"not_{names[number]}", "gf"[feed == "g"], 1))
        found.append(Part("step", names[number], feed, asks if number else min(asks, 1)))
    if ends:
        found.append(Part("without", "not_after", "h", 2))
    return found


def rule_of(parts: Sequence[Part], least: int) -> str:
    watch = ", ".join(f"{part.name}: {{feed: {part.feed}}}" for part in parts)
    steps = ", ".join(part.text for part in parts)
    last = (
        [part.name for part in parts if part.of == "step"][-1] if parts[-1].of == "step" else "one"
    )
    return f"""
rules:
  - rule: r
    watch: {{{watch}}}
    late: {LATE_S}s
    sequence: {{within: {WITHIN_S}s, keep: 64, steps: [{steps}]}}
    when: {last}.data.n >= {float(least)}
    do: [{{invoke: {{application: a, action: b}}}}]
"""


KIND = st.tuples(st.sampled_from("fgh"), st.integers(0, 2), st.booleans())
EVENT = st.tuples(st.sampled_from("ffgh"), st.integers(1, 4), st.integers(0, 3), st.integers(0, 2))


@given(
    st.lists(KIND, min_size=2, max_size=3), st.booleans(), st.integers(0, 2),
    st.lists(EVENT, max_size=24), st.sets(st.integers(0, 23)),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_sequence_fires_as_the_reference_does(
    kinds: list[tuple[str, int, bool]],
    ends: bool,
    least: int,
    given_events: list[tuple[str, int, int, int]],
    restarts: set[int],
) -> None:
    parts = parts_of(kinds, ends)
    bench, events, clock_s = RuleHarness(rules_of(rule_of(parts, least))), list[Came](), 100
    found: list[EvaluationResult] = []
    for number, (feed, wait_s, n, behind_s) in enumerate(given_events):
        clock_s += wait_s
        time_s = clock_s - (0 if ends else behind_s)  # where all times differ, so do all ends
        events.append(Came(f"e{number + 1}", feed, time_s, n, clock_s))
        if number in restarts:
            bench.store()
            bench.restart()
        found += bench.pass_to(clock_s)
        found.append(bench.event(feed, {"n": n}, at_s=time_s, now_s=clock_s))
    found += bench.pass_to(clock_s + 10 * WITHIN_S)
    assert [ids(one) for one in fired(found)] == reference(parts, events, least)
    assert not bench.timers


SILENT = """
rules:
  - rule: r
    watch: {beat: {feed: f}}
    absent_for: 10s
    when: "true"
    do: [{invoke: {application: a, action: b}}]
"""


class Stopping(RuleHarness):
    """A worker that may not look at timers for a while."""

    stopped = False

    def pass_to(self, at_s: float) -> list[EvaluationResult]:
        if self.stopped:
            self.now_ms = max(self.now_ms, round(at_s * 1_000))
            return []
        return super().pass_to(at_s)


@given(
    st.lists(st.tuples(st.integers(0, 25), st.booleans(), st.booleans()), max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_each_silence_fires_once_whenever_its_timer_is_noticed(
    steps: list[tuple[int, bool, bool]],
) -> None:
    """By brute force: whatever has no other event for 10 s after it."""
    bench, at_s, beats = Stopping(rules_of(SILENT)), 0, list[int]()
    for wait_s, stopped, restart in steps:
        at_s += wait_s
        beats.append(at_s)
        if restart:
            bench.store()
            bench.restart()
        bench.stopped = stopped
        bench.event("f", {}, at_s=at_s)
    bench.stopped = False
    bench.pass_to(at_s + 1_000)
    silent = [
        f"e{number + 1}"
        for number, beat in enumerate(beats)
        if number + 1 == len(beats) or beats[number + 1] - beat >= 10
    ]
    assert [name for one in fired(bench.decided) for name in ids(one)] == silent
    assert not bench.timers
