"""Hooks of policies: what a policy asks of a tenant's own service, and what that said. Pure.

A hook is asked about units that hard constraints have left, and says in which order they are to be
tried and which of them not at all. It never adds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Away: TypeAlias = Literal["rank", "refuse"]

HOOK_RULE = "hook:"  # before its name, in what constraints are told by
UNANSWERED = "unanswered:"  # before that, where clients get no home without its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HookUse:
    """What a rule says of a hook. away: what holds without its answer: the ranking of the policy
    goes on, or clients are refused; units: about how many it is asked."""

    name: str
    away: Away = "rank"
    deadline_ms: int = 100
    keep_s: float = 30.0  # how long an answer counts
    units: int = 8
    by_client: bool = False  # asked for each client, in place of each cell of locations

    @property
    def rule(self) -> str:
        """By what it is told of where rules are."""
        return f"{HOOK_RULE}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAnswer:
    """order: unit ids, those to be tried first, and all others behind them as the policy ranks
    them; vetoed: those that are not to be tried; asked: all that it was asked about, None: the
    whole fleet."""

    order: tuple[str, ...] = ()
    vetoed: frozenset[str] = frozenset()
    asked: frozenset[str] | None = None

    def why_faulty(self) -> str:
        """What is wrong with it, in words; empty: nothing. A unit is told once, and was asked
        about."""
        if len(set(self.order)) != len(self.order):
            return "it orders a unit twice"
        if both := self.vetoed.intersection(self.order):
            return f"it both orders and vetoes {min(both)}"
        if self.asked is not None:
            for unit in (*self.order, *sorted(self.vetoed)):
                if unit not in self.asked:
                    return f"it names {unit}, which it was not asked about"
        return ""
