"""FaultyPolicy: a policy document that cannot be applied, with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.errors import FaultyFile

MOST_TOLD = 20  # problems in one message


class FaultyPolicy(FaultyFile):
    """`problems` holds one sentence for each thing that is wrong."""

    reason = "FAULTY_POLICY"

    def __init__(self, problems: Sequence[str]) -> None:
        told = list(problems[:MOST_TOLD])
        if len(problems) > MOST_TOLD:
            told.append(f"and {len(problems) - MOST_TOLD:,} more")
        super().__init__("document", "\n".join(told))
        self.problems = tuple(problems)
