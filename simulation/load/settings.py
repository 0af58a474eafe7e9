"""LoadSettings: all that decides which user arrives when, and what it asks for. Pure.

The same settings give the same arrivals, of the same users, at the same addresses; a report holds
them, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from simulation.load.user_kinds import KINDS, RETURNING, USUAL, UserKind, check_weights

MOST_ARRIVALS = 20_000_000  # of one run; each takes some 20 bytes before it begins
MOST_USERS = 50_000_000
LONGEST_S = 86_400.0
MOST_PROCESSES = 64
MOST_CONNECTIONS = 5_000  # of one process


class Scenario(StrEnum):
    """How arrivals are spread over the run."""

    CONSTANT = "constant"
    RAMP = "ramp"
    HERD = "herd"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """rate_per_s: constant: of arrivals; ramp: at its end; herd: in quiet times; day: on average.
    herd_within_s: in which all users come back. retries: how often a user who is refused comes
    back when it was told to; after that it counts as lost."""

    scenario: Scenario = Scenario.CONSTANT
    users: int = 10_000
    rate_per_s: float = 100.0
    duration_s: float = 60.0
    mix: Mapping[UserKind, float] = field(default_factory=dict)
    seed: int = 1
    processes: int = 1
    connections: int = 16  # of each process
    timeout_s: float = 5.0  # as long as a client waits for its answer
    retries: int = 0
    herd_within_s: float = 5.0

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("users", self.users, 1, MOST_USERS),
            ("rate", self.rate_per_s, 0.01, 1e6),
            ("duration", self.duration_s, 1.0, LONGEST_S),
            ("processes", self.processes, 1, MOST_PROCESSES),
            ("connections", self.connections, 1, MOST_CONNECTIONS),
            ("timeout", self.timeout_s, 0.01, 600.0),
            ("retries", self.retries, 0, 100),
            ("herd-within", self.herd_within_s, 0.01, LONGEST_S),
            ("seed", self.seed, 0, (1 << 31) - 1),
        )
        for name in ("users", "processes", "connections", "retries", "seed"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} has to be a whole number")
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}; it can be {low:g} to {high:g}")
        if self.mix:
            check_weights(self.mix)
        if self.scenario is Scenario.HERD and self.herd_within_s > self.duration_s / 2:
            raise ValueError("herd-within is more than half of the duration; make the run longer")
        if self.users < self.processes:
            raise ValueError("there are more processes than users")
        if self.rate_per_s * self.duration_s > MOST_ARRIVALS:
            raise ValueError(
                f"{self.rate_per_s * self.duration_s:,.0f} arrivals are more than the "
                f"{MOST_ARRIVALS:,} of one run; lower the rate or the duration"
            )

    @property
    def users_mix(self) -> Mapping[UserKind, float]:
        """What users do; the scenario's own mix, where none is given."""
        if self.mix:
            return self.mix
        return RETURNING if self.scenario is Scenario.HERD else USUAL

    def document(self) -> dict[str, Any]:
        """For a report."""
        found = asdict(self)
        found["scenario"] = self.scenario.value
        found["mix"] = {kind.word: weight for kind, weight in self.users_mix.items()}
        return found


def settings_of(document: Mapping[str, Any]) -> LoadSettings:
    """What `document` gave. Raises ValueError where it is none of these."""
    try:
        given = dict(document)
        given["scenario"] = Scenario(given["scenario"])
        given["mix"] = {KINDS[word]: float(weight) for word, weight in given["mix"].items()}
        return LoadSettings(**given)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"these are no settings of a load: {error}") from error
