"""Hooks of policies: what a policy asks of a tenant's own service, and what that said. Pure.

A hook is asked about units that hard constraints have left, and says in which order they are to be
tried and which of them not at all. It never adds one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from provisioner.placement.attributes import Attributes

Away: TypeAlias = Literal["rank", "refuse"]

HOOK_RULE = "hook:"  # before its name, in what constraints are told by
UNANSWERED = "unanswered:"  # before that, where clients get no home without its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HookUse:
    """What a rule says of a hook. away: what holds without its answer: the ranking of the policy
    goes on, or clients are refused; units: about how many it is asked; attributes, groups: by name
    those of a client that it may be told."""

    name: str
    away: Away = "rank"
    deadline_ms: int = 100
    keep_s: float = 30.0  # how long an answer counts
    units: int = 8
    by_client: bool = False  # asked for each client, in place of each cell of locations
    attributes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @property
    def rule(self) -> str:
        """By what it is told of where rules are."""
        return f"{HOOK_RULE}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOfClient:
    """What a hook is told of a client beside its place. attributes: name and value, by name;
    groups: in the policy's order."""

    attributes: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()


NOTHING_TOLD = ToldOfClient()


def told_to(use: HookUse, attributes: Attributes, groups: Iterable[str]) -> ToldOfClient:
    """Of a client that has these attributes and is in these groups what the hook may know."""
    named = sorted(use.attributes.intersection(attributes))
    told = ToldOfClient(
        attributes=tuple((name, attributes[name]) for name in named),
        groups=tuple(group for group in groups if group in use.groups),
    )
    return told if told != NOTHING_TOLD else NOTHING_TOLD


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
