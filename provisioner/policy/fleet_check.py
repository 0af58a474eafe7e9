"""Fleet check: what a policy says of units and hooks, held against those there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from control_plane.printable import quoted
from provisioner.placement.fleet import PlacementUnit
from provisioner.placement.ranking import Cost, Preference, price_of
from provisioner.placement.selectors import UnitSelector
from provisioner.policy.conditions import nearest
from provisioner.policy.document import PolicyDocument, RankingRule


def unmatched(
    document: PolicyDocument, units: Sequence[PlacementUnit]
) -> tuple[list[str], list[str]]:
    """Selectors that match no unit, a sentence each: those that clients need a unit of, and others.
    Units are asked as they stand, whether they take clients or not."""
    needed: list[str] = []
    others: list[str] = []
    seen: dict[tuple[object, ...], bool] = {}
    for where, selector, needs_one in _selectors(document):
        labels = frozenset(selector.labels.items())
        key = (selector.units, selector.countries, selector.continents, labels)
        if key not in seen:
            seen[key] = any(selector.matches(unit) for unit in units)
        if not seen[key]:
            told = needed if needs_one else others
            told.append(
                f"{where}: no unit of the fleet is {selector.text}{_meant(selector, units)}"
            )
    for where, label in _costs(document):
        if not any(price_of(unit.labels.get(label, "")) is not None for unit in units):
            others.append(f"{where}: no unit of the fleet has a number as its label {label}")
    return needed, others


def unknown_hooks(document: PolicyDocument, known: Sequence[str]) -> list[str]:
    """A sentence for each rule that names a hook which its tenant may not name."""
    told = []
    for at, rule in enumerate(document.rules):
        if rule.hook is not None and rule.hook.name not in known:
            hint = nearest(rule.hook.name, known) if known else "this server has none for it"
            where = f"rules[{at}] ({rule.name}).hook.name"
            told.append(
                f"{where}: the tenant may name no hook {quoted(rule.hook.name)}; {hint}; which "
                "there are, the servers' --policy-hooks says"
            )
    return told


def _meant(selector: UnitSelector, units: Sequence[PlacementUnit]) -> str:
    """The end of a sentence about a selector that matches none of these units: what was most likely
    meant by a name that none of them has."""
    ids = [str(unit.id) for unit in units]
    for name in sorted(selector.units - set(ids)):
        return f"; there is no unit {quoted(name)}, {nearest(name, ids)}" if ids else ""
    for label, wanted in sorted(selector.labels.items()):
        labels = sorted({one for unit in units for one in unit.labels})
        if label not in labels:
            hint = f", {nearest(label, labels)}" if labels else ""
            return f"; no unit has a label {quoted(label)}{hint}"
        values = sorted({unit.labels[label] for unit in units if label in unit.labels})
        for value in sorted(wanted - set(values)):
            return f"; no unit has {label}={value}, {nearest(value, values)}"
    return ""


def _selectors(document: PolicyDocument) -> Iterator[tuple[str, UnitSelector, bool]]:
    for pool in document.pools:
        yield f"pools.{pool.name}", pool.selector, not pool.spillover
    if document.shuffle_sharding is not None:
        yield "shuffle_sharding.among", document.shuffle_sharding.among, True
    for ring in document.rings:
        yield f"rings.{ring.name}", ring.selector, ring.share > 0
    for at, rule in enumerate(document.rules):
        where = f"rules[{at}] ({rule.name})"
        if rule.require is not None:
            yield f"{where}.require", rule.require, True
        if rule.forbid is not None:
            yield f"{where}.forbid", rule.forbid, False
        if rule.rank is not None:
            for name, selector in _of_ranking(rule.rank):
                yield f"{where}.rank.{name}", selector, False


def _of_ranking(rank: RankingRule) -> Iterator[tuple[str, UnitSelector]]:
    for order in rank.ranking.orders:
        if isinstance(order, Preference):
            yield from _numbered("prefer", order.selectors)
    yield from _numbered("bias", [selector for selector, _ in rank.ranking.biases])
    yield from _numbered("weights", [selector for selector, _ in rank.ranking.weights])
    for code, selectors in rank.preferences.table if rank.preferences is not None else ():
        yield from _numbered(f"by_country.{code}", selectors)


def _numbered(name: str, selectors: Iterable[UnitSelector]) -> Iterator[tuple[str, UnitSelector]]:
    for at, selector in enumerate(selectors):
        yield f"{name}[{at}]", selector


def _costs(document: PolicyDocument) -> Iterator[tuple[str, str]]:
    for at, rule in enumerate(document.rules):
        for order in rule.rank.ranking.orders if rule.rank is not None else ():
            if isinstance(order, Cost):
                yield f"rules[{at}] ({rule.name}).rank.cost", order.label
