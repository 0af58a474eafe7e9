"""What a judge says: which promise was broken, where in the history, and by what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

SHOWN = 10
KEPT = 1_000  # violations told in full; the rest is only counted


class Violation(NamedTuple):
    """One broken promise. `promise`: P1, P2, P3, or `ledger` for the books that make P3 true."""

    promise: str
    revision: int  # of the store; 0: a client's log says so, not the history
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise} at revision {self.revision}, {self.key}: {self.what}"


@dataclass(slots=True)
class Verdict:
    """Violations as they are found, and how much was looked at."""

    revisions: int = 0
    calls: int = 0
    answers: int = 0
    restarts: int = 0  # clients that came back after a release, at epoch 1 again
    moves: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def accuse(self, promise: str, revision: int, key: str, what: str) -> None:
        """Notes a broken promise."""
        self.counts[promise] += 1
        if len(self.violations) < KEPT:
            self.violations.append(Violation(promise, revision, key, what))

    @property
    def broken(self) -> int:
        """How many violations there were."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        lines = [f"{self.broken} violations over {self.revisions} revisions, {self.calls} calls"]
        lines += [str(one) for one in self.violations[:SHOWN]]
        return "\n  ".join(lines)
