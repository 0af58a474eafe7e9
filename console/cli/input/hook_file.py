"""HookFile: what hooks say in a simulation or a test, from the file of --hook-answers."""

from __future__ import annotations

from pathlib import Path

from console.cli.input.text_file import read_text
from console.cli.output import warn
from simulation.policy.client_policy import ClientPolicy
from simulation.policy.hook_stand_ins import StandInPolicy, read_stand_ins


class HookFile:
    """file None: every hook is away."""

    def __init__(self, file: Path | None) -> None:
        self._answers = read_stand_ins(read_text(file)) if file is not None else {}
        self._made: list[StandInPolicy] = []

    def answer(self, policy: ClientPolicy) -> ClientPolicy:
        """The same policy, with hooks that answer by the file."""
        made = StandInPolicy(policy, self._answers)
        self._made.append(made)
        return made

    def tell_unknown(self) -> None:
        """Says which hooks were asked and have no answers."""
        for name in sorted({name for made in self._made for name in made.unknown}):
            warn([f"hook {name} counts as away; --hook-answers says what it would say"])
