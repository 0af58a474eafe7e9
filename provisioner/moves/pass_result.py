"""PassResult: how many clients one pass of a job moved, and why the others stay. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioner.moves.move_operation import Moved, NotMoved, Outcome


@dataclass(slots=True)
class PassResult:
    """Of one pass, so far."""

    moved: int = 0
    again: bool = False  # it was broken off, and begins anew
    stay_reasons: Counter[str] = field(default_factory=Counter)  # clients by reason

    @property
    def kept(self) -> int:
        """Clients that had to stay."""
        return self.stay_reasons.total()

    def add(self, outcomes: Iterable[Outcome]) -> int:
        """Counts these; how many of them moved. Whoever was superseded counts as neither."""
        moved = 0
        for outcome in outcomes:
            if isinstance(outcome, Moved):
                moved += 1
            elif isinstance(outcome, NotMoved):
                self.stay_reasons[outcome.reason] += 1
        self.moved += moved
        return moved

    def message(self) -> str:
        """How many clients stay, and why most of them do; empty when none had to."""
        if not self.kept:
            return ""
        reason, _ = min(self.stay_reasons.items(), key=lambda item: (-item[1], item[0]))
        count = self.kept
        return f"{count:,} {'clients stay' if count > 1 else 'client stays'}: {reason}"
