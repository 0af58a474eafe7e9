"""Merging: the rules that hold for a client to one PlacementPolicy. Pure.

Constraints of all rules hold together. Of ranking, hook, pool, nowhere and full the first rule that
says something counts. A ring asks of those in it for its units, and of others for none of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.ranking import PROXIMITY, Preference, Ranking
from provisioner.placement.selectors import Constraint
from provisioner.placement.shuffle_shards import ShuffleShard
from provisioner.policy.document import PolicyDocument, RankingRule, Ring, Rule


def merge(
    document: PolicyDocument,
    rules: Sequence[Rule],
    rings: Iterable[tuple[Ring, bool]],
    code: str,
    *,
    base: PlacementPolicy,
    revision: int,
    shuffle_shard: ShuffleShard | None = None,
) -> PlacementPolicy:
    """rules: that hold, in order; rings: whether the client is in each; code: of the client's
    country or subdivision in tables of preferences; shuffle_shard: of the tenant, the same object
    each time."""
    denied = next((rule for rule in rules if rule.deny), None)
    hook = next((rule.hook for rule in rules if rule.hook is not None), base.hook)
    ranked = next((rule.rank for rule in rules if rule.rank is not None), None)
    policy = PlacementPolicy(
        revision=revision,
        nowhere=next((rule.nowhere for rule in rules if rule.nowhere), base.nowhere),
        full=next((rule.full for rule in rules if rule.full), base.full),
        least_uncertainty_km=max(base.least_uncertainty_km, document.least_uncertainty_km),
        most_uncertainty_km=min(base.most_uncertainty_km, document.most_uncertainty_km),
        constraints=(*base.constraints, *_constraints(rules), *_of_rings(rings)),
        denied=f"rule {denied.name} denies this client a home" if denied else base.denied,
        denied_by=denied.name if denied else base.denied_by,
        ranking=base.ranking if ranked is None else _ranking(ranked, code),
        hook=hook,
        kept=base.kept,
        shuffle_shard=shuffle_shard,
    )
    pool = next((rule.pool for rule in rules if rule.pool), "")
    return _pooled(policy, document, pool) if pool else policy


def _constraints(rules: Sequence[Rule]) -> Iterable[Constraint]:
    for rule in rules:
        if rule.require is not None:
            yield Constraint(rule=rule.name, selector=rule.require)
        if rule.forbid is not None:
            yield Constraint(rule=rule.name, selector=rule.forbid, forbids=True)


def _of_rings(rings: Iterable[tuple[Ring, bool]]) -> Iterable[Constraint]:
    for ring, inside in rings:
        yield Constraint(rule=f"ring:{ring.name}", selector=ring.selector, forbids=not inside)


def _ranking(ranked: RankingRule, code: str) -> Ranking:
    ranking = ranked.ranking
    table = dict(ranked.preferences.table) if ranked.preferences is not None else {}
    if code in table:
        first = Preference(selectors=table[code])
        ranking = replace(ranking, orders=(first, *ranking.orders))
    plain = Ranking()
    same = all(
        getattr(ranking, name) == getattr(plain, name)
        for name in ("orders", "by_distance", "biases", "by_load", "weights", "latency")
    )
    return PROXIMITY if same else ranking


def _pooled(policy: PlacementPolicy, document: PolicyDocument, first: str) -> PlacementPolicy:
    """The policy within its first pool, which spills over to the next, and so on."""
    pools = {pool.name: pool for pool in document.pools}
    way = [first]
    while after := pools[way[-1]].spillover:
        way.append(after)
    stage: PlacementPolicy | None = None
    for name in reversed(way):
        within = Constraint(rule=f"pool:{name}", selector=pools[name].selector)
        stage = replace(policy, constraints=(*policy.constraints, within), spillover=stage)
    assert stage is not None
    return stage
