"""PolicyDocument: what an operator wrote of who may live where, as values.

`reading` makes it of a text, `compiling` makes of it what clients are placed by. Rules are in
order: the constraints of all that match hold together; of everything else (ranking, hook,
spillover, what nowhere and full mean) the first that matches and says something counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from provisioner.placement.hooks import HookUse
from provisioner.placement.ranking import PROXIMITY, Ranking
from provisioner.placement.selectors import UnitSelector

Nowhere: TypeAlias = Literal["spread", "refuse"]
Full: TypeAlias = Literal["retry", "refuse"]


class Trust(StrEnum):
    """How well a client's location has to be known for a rule that reads it to match."""

    LIKELY = "likely"  # the best guess counts
    STRICT = "strict"  # certain locations alone
    DECLARED = "declared"  # what an operator or a trusted caller said, alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Clients by id, or by what they are. ids: whole ones; patterns: with `*` for any characters;
    attributes: by name the values of which one will do; a client that has all of them is in it."""

    name: str
    ids: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    attributes: tuple[tuple[str, frozenset[str]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Units under a name. spillover: the pool tried after it; empty: none."""

    name: str
    selector: UnitSelector
    spillover: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A stable share of the clients, who live in units of their own. share: per cent."""

    name: str
    share: float
    selector: UnitSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Which units go first for clients of a country or subdivision, in order."""

    table: tuple[tuple[str, tuple[UnitSelector, ...]], ...]  # by ISO code


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRule:
    """A ranking, and the preferences that depend on where the client is and go before it."""

    ranking: Ranking = PROXIMITY
    preferences: Preferences | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy rule. None, and empty: it says nothing of that."""

    name: str
    when: str = ""  # CEL; empty: always
    trust: Trust = Trust.LIKELY
    require: UnitSelector | None = None
    forbid: UnitSelector | None = None
    deny: bool = False
    rank: RankingRule | None = None
    hook: HookUse | None = None
    pool: str = ""  # the first that is tried
    nowhere: Nowhere | None = None
    full: Full | None = None

    @property
    def is_hard(self) -> bool:
        """Whether it keeps clients off units."""
        return self.deny or self.require is not None or self.forbid is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleSharding:
    """Each tenant has so many units, a stable random subset of those among which they are."""

    units: int
    among: UnitSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """All of it. certain_within_km: a location no more uncertain than this is certain of its
    country; least_, most_uncertainty_km: as PlacementPolicy has them."""

    description: str = ""
    certain_within_km: float = 50.0
    least_uncertainty_km: float = 0.0
    most_uncertainty_km: float = 20_100.0
    groups: tuple[Group, ...] = ()
    pools: tuple[Pool, ...] = ()
    rings: tuple[Ring, ...] = ()
    shuffle_sharding: ShuffleSharding | None = None
    rules: tuple[Rule, ...] = ()
