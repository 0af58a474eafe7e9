"""Compiles the sequence of a rule, or what it awaits the absence of, to a pattern; or says what is
wrong with it, each with its place.

A condition of a part may read the event of its own input, those of steps before it, and `key`: so
none waits for what another one waits for.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.expressions.environment import ValueType
from control_plane.expressions.tree import paths_read
from data_sharing.forecasts.spec import duration_ms
from data_sharing.rules.document_faults import FaultCollector, within
from data_sharing.rules.expression_readers import RuleReader
from data_sharing.rules.patterns import Pattern, PatternPart
from data_sharing.rules.spec import PatternStepSpec, RuleSpec

MOST_PARTS = 16
MOST_PARTIAL_MATCHES = 64  # of one key
_NOT_OF_A_STEP = ("event", "plan", "window", "forecast", "now")


class PatternCompiler:
    """Of one rule. shape_of: what determines the form and meaning of state, to a short text."""

    def __init__(
        self,
        spec: RuleSpec,
        reader: RuleReader,
        faults: FaultCollector,
        shape_of: Callable[..., str],
    ) -> None:
        self._spec, self._reader, self._faults = spec, reader, faults
        self._shape_of = shape_of
        self._at = f"rules.{spec.rule}"

    def compile(self) -> Pattern | None:
        """None: it has none, or one that is no pattern."""
        if self._spec.absent_for is not None:
            return self._silence(self._spec.absent_for)
        return self._sequence()

    def _silence(self, text: str) -> Pattern | None:
        with self._faults.gather(), within(self._at):
            length_ms = duration_ms(text, "absent_for", least_ms=1_000)
            part = PatternPart(
                name=next(iter(self._spec.watch), ""), condition=None, place="absent_for"
            )
            return Pattern(
                steps=(part,), without=((), ()), within_ms=length_ms, keep=16,
                shape=self._shape("absent_for", length_ms), silence=True,
            )  # fmt: skip
        return None

    def _sequence(self) -> Pattern | None:
        given = self._spec.sequence
        if given is None:
            return None
        within_ms = 1
        with self._faults.gather(), within(f"{self._at}.sequence"):
            within_ms = duration_ms(given.within, "within", least_ms=1)
        if not 1 <= given.keep <= MOST_PARTIAL_MATCHES:
            said = f"{given.keep} is not within 1 to {MOST_PARTIAL_MATCHES}"
            self._faults.add(f"{self._at}.sequence.keep", said)
        if not 2 <= len(given.steps) <= MOST_PARTS:
            said = f"{len(given.steps)} parts; 2 to {MOST_PARTS}"
            self._faults.add(f"{self._at}.sequence.steps", said)
            return None
        steps: list[PatternPart] = []
        without: list[tuple[PatternPart, ...]] = []
        between: list[PatternPart] = []
        used: set[str] = set()
        for number, one in enumerate(given.steps):
            place = f"sequence.steps[{number}]"
            name = self._input_of(one, place, used)
            if name is None:
                continue
            part = self._part(name, one, place, [step.name for step in steps])
            if one.step is None:
                if not steps:
                    self._fault(place, "`without` stands behind a step: before it nothing is open")
                between.append(part)
            else:
                steps.append(part)
                without.append(tuple(between))
                between = []
        without.append(tuple(between))
        for name in self._spec.watch.keys() - used:
            self._fault(f"watch.{name}", "is no step of the sequence; add it, or take it out")
        if not steps:
            self._fault("sequence.steps", "has no step")
            return None
        return Pattern(
            steps=tuple(steps), without=tuple(without), within_ms=within_ms, keep=given.keep,
            shape=self._shape(within_ms, *((one.step, one.without) for one in given.steps)),
        )  # fmt: skip

    def _input_of(self, one: PatternStepSpec, place: str, used: set[str]) -> str | None:
        name = one.without if one.step is None else one.step
        if name is None or (one.step is not None and one.without is not None):
            self._fault(place, "is either `step` or `without`")
            return None
        if name not in self._spec.watch:
            known = ", ".join(self._spec.watch) or "none"
            self._fault(place, f'"{name}" is no input under `watch`; there is {known}')
            return None
        if name in used:
            said = f'"{name}" stands there twice; watch its feed once more, by another name'
            self._fault(place, said)
            return None
        used.add(name)
        return name

    def _part(self, name: str, one: PatternStepSpec, place: str, before: list[str]) -> PatternPart:
        if one.when is None:
            return PatternPart(name=name, condition=None, place=place)
        field = f"{place}.when"
        condition = self._reader.expression(one.when, field, ValueType.BOOL)
        reads = {path[0] for path, _, _ in paths_read(condition.tree)}
        for other in sorted(reads & self._spec.watch.keys() - {name, *before}):
            self._fault(
                field, f'reads "{other}", which is no step before it: it may read its own event, '
                "those of steps before it, and key",
            )  # fmt: skip
        for other in sorted(reads & set(_NOT_OF_A_STEP)):
            self._fault(field, f"cannot read {other}: name the step, or ask in the rule's `when`")
        return PatternPart(name=name, condition=condition, place=field, reads=frozenset(reads))

    def _shape(self, *parts: object) -> str:
        """Of its state: another order or time is another, and so is another input."""
        watch = self._spec.watch.items()
        return self._shape_of(*((name, one.feed, one.key) for name, one in watch), *parts)

    def _fault(self, place: str, said: str) -> None:
        self._faults.add(f"{self._at}.{place}", said)
