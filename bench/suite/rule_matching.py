"""Rules by the thousand: what compiling and adding them takes, and matching beside event-ruler.

Matching: from the JSON text of an event's data, checked against its schema, to the names of the
rules that match. Deciding: the same through intake, with a CloudEvent around the data, effects
computed, what each rule made of it told clause by clause as the worker has it, and one rule in ten
that remembers when it fired. Both in this process, without a store. The ceiling: Amazon's
event-ruler over the same rules and texts; it checks no schema and knows nothing but matching. All
of it on one thread and by its processor time, so that what else runs on the machine counts little.

There is a ratio only where each event matches the very same rules.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.ceilings import event_ruler
from bench.load.rule_population import SCHEMA, MixedRule, event_texts, mixed_rules
from bench.suite.measurement import (
    WARM_UP,
    Failed,
    Measurement,
    Ratio,
    Samples,
    Target,
)
from bench.suite.processes import scratch
from data_sharing.event import Event
from data_sharing.feed_key import KeyPath
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import Envelope, Intake
from data_sharing.feeds.port import Candidate
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.compiler import compile_rule, parse
from data_sharing.rules.evaluation_context import NoPlans
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.index import FeedIndex, Subscription
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RuleSpec
from data_sharing.schemas import DataSchema

EVENTS: Final = 10_000
FEW, MANY = 1_000, 10_000
REMEMBERING: Final = 10  # one rule in so many
TENANT, FEED = "bench", "bench.traffic"
JARS: Final = Path("build/bench/event-ruler")
_ADDED: Final = 20
_SCHEMAS: Final = {FEED: FeedSchema(FEED, SCHEMA)}


def specs(rules: Sequence[MixedRule]) -> list[RuleSpec]:
    """As documents have them: each invokes an application, one in REMEMBERING has a cooldown that
    no event here falls into."""
    found: list[RuleSpec] = []
    for start in range(0, len(rules), 1_000):
        text = "rules:\n"
        for number, one in enumerate(rules[start : start + 1_000]):
            text += (
                f"  - rule: {one.name}\n    watch: {{e: {{feed: {FEED}}}}}\n"
                f"    when: '{one.when}'\n"
                "    do: [{invoke: {application: lamp, action: blink, config: {speed: e.data.speed}}}]\n"  # noqa: E501
                + ("    cooldown: 1ms\n" if number % REMEMBERING == 0 else "")
            )
        found += parse(text).rules
    return found


def compiled(found: Sequence[RuleSpec]) -> list[CompiledRule]:
    """For the bench's tenant."""
    return [
        compile_rule(one, tenant=TENANT, version=1, schemas=_SCHEMAS, forecasts={}) for one in found
    ]


class Matching:
    """The same events by one set of rules, again and again."""

    def __init__(self, rules: Sequence[CompiledRule], texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._schema = DataSchema(SCHEMA)
        self._index = FeedIndex(
            Subscription((rule, one), one.conjuncts)
            for rule in rules
            for one in rule.inputs.values()
        )
        self._rules = RuleSet(rules)
        feed = Feed(TENANT, FEED, "bench", self._schema, KeyPath.parse("/data/vehicle"))
        self._intake = Intake(lambda *_: feed)
        self._state = CellCache(lambda _: None)
        self._now_ms = 1_000_000
        self._decode = msgspec.json.Decoder().decode

    def matched(self) -> list[list[str]]:
        """The rules that each event matches. Raises Failed where an event breaks its schema."""
        return [self._names(text) for text in self._texts]

    def _names(self, text: bytes) -> list[str]:
        data = self._decode(text)
        if not self._schema.accepts(data):
            raise Failed("an event breaks its schema")
        event = Event(TENANT, "/bench", "event", FEED, "key", 0, data)
        names = []
        for rule, one in self._index.touched(event):
            if one.found:
                names.append(rule.id)
                continue
            asked = rule.condition_of_event
            said = None if asked is None else asked(event)
            if said is None:
                seen = rule.views["e", FEED].of(event)
                said = rule.when.holds(rule.environment.bind({"e": seen})) is True
            if said:
                names.append(rule.id)
        return names

    def decided(self) -> list[list[str]]:
        """The rules that fired on each event, with effects. Raises Failed where one was refused."""
        found, plans = [], NoPlans()
        check, decide, state = self._intake.check, self._rules.decide, self._state
        for number, text in enumerate(self._texts):
            self._now_ms += 2
            envelope = Envelope(f"event-{number}", "/bench", "1.0", FEED, text)
            candidate = check(TENANT, envelope, self._now_ms)
            if not isinstance(candidate, Candidate):
                raise Failed(f"an event was refused: {candidate}")
            event = candidate.event
            said = decide(event, now_ms=self._now_ms, state=state, plans=plans, explaining=True)
            found.append([one.cause.rule for one in said.effects])
            if number % 1_000 == 0:
                state.drain()
        return found


def per_s(work: Callable[[], list[list[str]]], expected: Sequence[frozenset[str]]) -> float:
    """Events a second by the processor time of this process. Raises Failed where other rules come
    than expected."""
    began = time.process_time()
    found = work()
    took = time.process_time() - began
    for number, (names, wanted) in enumerate(zip(found, expected, strict=True)):
        if frozenset(names) != wanted or len(names) != len(wanted):
            raise Failed(f"event {number} matches {sorted(names)}, not {sorted(wanted)}")
    return len(found) / took


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Of each number of rules: event-ruler, then ours, all rounds."""
    class_path = event_ruler.jars(Path.cwd() / JARS)
    for count in (FEW, MANY):
        name = "" if count == FEW else f"_{count}"
        rules, texts = mixed_rules(count), event_texts(EVENTS // (5 if quick else 1), count)
        with scratch() as folder:
            ruler = event_ruler.match(class_path, folder, rules, texts, rounds)
        ours = Matching(compiled(specs(rules)), texts)
        gc.collect()
        for number in range(WARM_UP, rounds):
            kept = samples if number != WARM_UP else Samples()
            kept.add(f"matched{name}_per_s", per_s(ours.matched, ruler.found))
            kept.add(f"rules_decided{name}_per_s", per_s(ours.decided, ruler.found))
            kept.add(f"event_ruler{name}_per_s", ruler.per_s[max(0, number)])
            tick()


def measure_scale(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Compiles MANY rules; a rule is added to them and retired, again and again. Each round lets go
    of its rules, because what somebody has is not compiled again."""
    found = specs(mixed_rules(MANY + _ADDED))
    for number in range(WARM_UP, rounds):
        kept = samples if number != WARM_UP else Samples()
        some = found[:MANY] if number != WARM_UP else found[: FEW // 2]
        gc.collect()
        began = time.process_time()
        rules = compiled(some)
        kept.add("compile_10000_rules_s", time.process_time() - began)
        kept.add("add_rule_ms", _add_ms(RuleSet(rules), compiled(found[MANY:])))
        del rules
        tick()


def _add_ms(rules: RuleSet, others: Sequence[CompiledRule]) -> float:
    """The median of what each of the others takes."""
    times = []
    for one in others:
        began = time.process_time()
        more = rules.with_changes([one])
        times.append(time.process_time() - began)
        rules = more.with_changes(retired=[(one.tenant, one.id)])
    return 1e3 * median(times)


RULE_MATCHING = Measurement(
    name="matching rules beside event-ruler",
    ratios=tuple(
        Ratio(key=f"{key}_vs_event_ruler{name}", ours=f"{ours}{name}_per_s",
              ceiling=f"event_ruler{name}_per_s", target=target)
        for name in ("", f"_{MANY}")
        for key, ours, target in (("match", "matched", 1.0), ("decide", "rules_decided", 0.30))
    ),
    units={
        f"{figure}{name}_per_s": f"events/s of a processor, {count:,} mixed rules{words}"
        for name, count in (("", FEW), (f"_{MANY}", MANY))
        for figure, words in (
            ("matched", ", names of those that match"), ("rules_decided", ", decided"),
            ("event_ruler", ""),
        )
    },
    run=measure,
    steps=lambda rounds: 2 * (rounds + 1),
)  # fmt: skip

RULES_AT_SCALE = Measurement(
    name="rules by the thousand",
    ratios=(),
    units={
        "compile_10000_rules_s": "s of a processor for 10,000 mixed rules",
        "add_rule_ms": "ms of a processor for one more on the feed of 10,000",
    },
    targets=(
        Target(figure="compile_10000_rules_s", target=2.0, at_least=False),
        Target(figure="add_rule_ms", target=5.0, at_least=False),
    ),
    run=measure_scale,
    steps=lambda rounds: rounds + 1,
)
