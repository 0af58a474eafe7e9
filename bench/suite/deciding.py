"""Deciding over rules, in this process: what an event costs with few and with many rules, and
what a rule costs in memory. No store, no feed: events are values, state is kept in memory.

Both rule sets have five rules that match every event; the others watch the same feed and ask for
other values, by equality, range, prefix and presence in turn.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import psutil

from bench.suite.measurement import Failed, Measurement, Ratio, Samples, Target
from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.compiler import compile_rule, parse
from data_sharing.rules.evaluation_context import NoPlans
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.ruleset import RuleSet

EVENTS = 20_000
MATCHING = 5
FEED = "bench.traffic"
_SCHEMAS = {FEED: FeedSchema(FEED, None)}
_OTHERS = (
    'e.data.road == "other-{n}"',
    "e.data.speed > {high} && e.data.speed < {higher}",
    'e.data.road.startsWith("else-{n}-")',
    "has(e.data.rare{n}) && e.data.speed > 10",
    'e.data.road in ["one-{n}", "two-{n}"] || e.key == "somebody-{n}"',
)


def rule(number: int, when: str) -> CompiledRule:
    """Invokes an application where it matches."""
    document = f"""
rules:
  - rule: rule-{number}
    watch: {{e: {{feed: {FEED}}}}}
    when: '{when}'
    do: [{{invoke: {{application: lamp, action: blink, config: {{speed: e.data.speed}}}}}}]
"""
    (spec,) = parse(document).rules
    return compile_rule(spec, tenant="bench", version=1, schemas=_SCHEMAS, forecasts={})


def rules(count: int, when: str) -> list[CompiledRule]:
    """MATCHING of them with this condition, the others with one that holds for no event here."""
    found = [rule(number, when) for number in range(min(MATCHING, count))]
    for number in range(len(found), count):
        text = _OTHERS[number % len(_OTHERS)]
        high = 1_000 + number
        found.append(rule(number, text.format(n=number, high=high, higher=high + 0.5)))
    return found


def events(count: int) -> list[Event]:
    """Of some 600 bytes as JSON; one in ten is on the road that rules may watch."""
    rng = random.Random(5)
    filler: dict[str, Any] = {f"field{n}": "x" * 24 for n in range(12)}
    return [
        Event(
            "bench", "bench/app", f"event-{n}", FEED, f"car-{rng.randrange(5_000)}", n * 10,
            {"road": "A100" if n % 10 == 0 else f"road-{rng.randrange(500)}",
             "speed": rng.randint(0, 130), **filler}, "", n + 1,
        )
        for n in range(count)
    ]  # fmt: skip


class Deciding:
    """Decides the same events by one rule set, again and again."""

    def __init__(self, made: list[CompiledRule], some: list[Event], expected: int) -> None:
        self._rules, self._events, self._expected = RuleSet(made), some, expected

    def per_s(self) -> float:
        """Raises Failed where not exactly the expected effects follow."""
        state, plans, effects = CellCache(lambda _: None), NoPlans(), 0
        decide = self._rules.decide
        began = time.perf_counter()
        for event in self._events:
            effects += len(decide(event, now_ms=event.time_ms, state=state, plans=plans).effects)
        took = time.perf_counter() - began
        if effects != self._expected:
            raise Failed(f"{effects} effects followed, not {self._expected}")
        return len(self._events) / took


def kib_per_rule(count: int) -> float:
    """What a rule takes, its share of the index included, by the growth of this process: much of
    it is CEL's, which Python does not see. For a fresh process, where nothing freed before is
    used again."""
    rules(10, "true")  # so that what all rules share is there
    gc.collect()
    before = psutil.Process().memory_info().rss
    kept = RuleSet(rules(count, "e.data.speed >= 0"))
    grown = psutil.Process().memory_info().rss - before
    return grown / 1_024 / len(kept.rules)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates few and many rules."""
    some = events(EVENTS // (5 if quick else 1))
    all_match, tenth = "e.data.speed >= 0", 'e.data.road == "A100"'
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        memory = fresh.submit(kib_per_rule, 2_000).result(timeout=120.0)
    few = Deciding(rules(10, all_match), some, MATCHING * len(some))
    many = Deciding(rules(10_000, all_match), some, MATCHING * len(some))
    usual = Deciding([*rules(1_000, tenth)[MATCHING - 1 :]], some, len(some) // 10)
    for number in range(-1, rounds):
        kept = samples if number >= 0 else Samples()  # round -1 warms everything up
        kept.add("decide_10_rules_per_s", few.per_s())
        kept.add("decide_10000_rules_per_s", many.per_s())
        per_s = usual.per_s()
        kept.add("rules_per_event_us", 1e6 / per_s)
        kept.add("rule_kib", memory)
        tick()


DECIDING = Measurement(
    name="deciding over rules",
    ratios=(
        Ratio(key="decide_10000_rules_vs_10", ours="decide_10000_rules_per_s",
              ceiling="decide_10_rules_per_s", target=0.70),
    ),
    units={
        "decide_10_rules_per_s": "events/s, 5 rules fire on each",
        "decide_10000_rules_per_s": "events/s, 5 rules fire on each",
        "rule_kib": "KiB a rule",
        "rules_per_event_us": "µs an event, 1,000 rules, one event in ten fires one",
    },
    targets=(Target(figure="rule_kib", target=8.0, at_least=False),),
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
