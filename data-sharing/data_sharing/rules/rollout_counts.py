"""RolloutCounts: how the decisions of a new version compare with those of the version in force,
over the same events and timers, as the worker keeps it between them.

A decision is what a version would have done: at which key, to which plan, which effects. Compared
are decisions in which one of the two at least would act. What comes of an event is compared at
once; what comes of timers, of which each version has its own, when the other one's has come too, or
did not for a minute. Everything is bounded here. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

MOST_EXAMPLES = 20  # the newest differences
MOST_WAITING = 256  # decisions of timers whose counterpart has not come
MOST_TEXTS = 4  # of what one version would do, in an example
LONGEST_TEXT = 400
WAIT_MS = 60_000


class ComparisonKind(StrEnum):
    SAME = "same"
    MORE = "more"  # only the new version would act
    LESS = "less"  # only the version in force would
    OTHER = "other"  # both would, and do something else
    FAILED = "failed"  # the new version failed


class Did(NamedTuple):
    """What one version would do of one event or timer: texts, in order; empty: nothing. failed:
    why it could not say; empty: it could."""

    effects: tuple[str, ...] = ()
    failed: str = ""


class Comparison(msgspec.Struct, array_like=True, frozen=True):
    """A decision on which both versions were asked. cause: the event's id, or the timer's.
    stable, candidate: what each would do."""

    kind: str
    at_ms: int
    position: int
    cause: str
    key: str
    stable: tuple[str, ...]
    candidate: tuple[str, ...]


class Waiting(msgspec.Struct, array_like=True, frozen=True):
    """A timer's decision of one version."""

    at_ms: int
    of_candidate: bool
    key: str
    effects: tuple[str, ...]
    failed: str = ""


class RolloutCounts(msgspec.Struct, array_like=True):
    """Of one rollout. examples: differences, the newest last. waiting: by what the timers of both
    versions have alike."""

    same: int = 0
    more: int = 0
    less: int = 0
    other: int = 0
    failed: int = 0
    examples: list[Comparison] = msgspec.field(default_factory=list)
    waiting: dict[str, Waiting] = msgspec.field(default_factory=dict)

    @property
    def compared(self) -> int:
        return self.same + self.differing

    @property
    def differing(self) -> int:
        return self.more + self.less + self.other + self.failed

    def add(
        self, stable: Did, candidate: Did, *, at_ms: int, position: int, cause: str, key: str
    ) -> bool:
        """One decision; whether anything has changed."""
        kind = kind_of(stable, candidate)
        if kind is None:
            return False
        setattr(self, kind.value, getattr(self, kind.value) + 1)
        if kind is not ComparisonKind.SAME:
            said = (f"failed: {candidate.failed}",) if candidate.failed else candidate.effects
            self.examples.append(
                Comparison(
                    kind.value, at_ms, position, _short(cause), _short(key),
                    stable.effects[:MOST_TEXTS], said[:MOST_TEXTS],
                )
            )  # fmt: skip
            del self.examples[:-MOST_EXAMPLES]
        return True

    def add_timer(self, label: str, of_candidate: bool, did: Did, *, at_ms: int, key: str) -> bool:
        """A timer's decision of one version; whether anything has changed. label: the same for the
        timer of the other version."""
        changed = self.end_waiting(at_ms)
        other = self.waiting.get(label)
        if other is not None and other.of_candidate is not of_candidate:
            del self.waiting[label]
            theirs = Did(other.effects, other.failed)
            stable, candidate = (theirs, did) if of_candidate else (did, theirs)
            self.add(stable, candidate, at_ms=at_ms, position=0, cause=label, key=key)
            return True
        if not did.effects and not did.failed:
            return changed
        if other is not None:  # the same timer once more: the first one stays alone
            self._alone(label, self.waiting.pop(label))
        self.waiting[label] = Waiting(at_ms, of_candidate, key, did.effects, did.failed)
        while len(self.waiting) > MOST_WAITING:
            first = next(iter(self.waiting))
            self._alone(first, self.waiting.pop(first))
        return True

    def end_waiting(self, now_ms: int) -> bool:
        """Counts those whose counterpart did not come in time; whether there were any."""
        over = [
            label for label, one in self.waiting.items() if now_ms - one.at_ms > WAIT_MS
        ]  # in the order in which they came, but a clock may have been set
        for label in over:
            self._alone(label, self.waiting.pop(label))
        return bool(over)

    def _alone(self, label: str, one: Waiting) -> None:
        did = Did(one.effects, one.failed)
        stable, candidate = (Did(), did) if one.of_candidate else (did, Did())
        self.add(stable, candidate, at_ms=one.at_ms, position=0, cause=label, key=one.key)


def kind_of(stable: Did, candidate: Did) -> ComparisonKind | None:
    """How they compare; None: neither would act."""
    if candidate.failed and candidate.failed != stable.failed:
        return ComparisonKind.FAILED
    if not stable.effects and not candidate.effects:
        return None
    if not stable.effects:
        return ComparisonKind.MORE
    if not candidate.effects:
        return ComparisonKind.LESS
    same = stable.effects == candidate.effects
    return ComparisonKind.SAME if same else ComparisonKind.OTHER


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
