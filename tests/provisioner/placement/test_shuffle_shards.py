"""ShuffleShard: a tenant's units are a stable random subset, and nothing is allowed by leaving it
out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.cells import location_of
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy, allows, why_forbidden
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.narrowing import narrowing_of
from provisioner.placement.selectors import UnitSelector
from provisioner.placement.shuffle_shards import ShuffleShard, shard_of
from tests.support.fleets import unit

ANYWHERE = location_of(":")
NAMES = st.sets(st.integers(0, 99).map("u{:02d}".format), min_size=1, max_size=30)
TENANTS = st.text("abc", min_size=1, max_size=5)
SIZES = st.integers(1, 8)


def fleet(*names: str, closed: str = "", **tenants: tuple[str, ...]) -> PlacementFleet:
    return PlacementFleet(
        units=tuple(
            unit(name, at, accepting=name != closed, tenants=tenants.get(name, ()))
            for at, name in enumerate(names)
        ),
        revision=1,
    )


def policy(count: int, tenant: str = "acme", **among: frozenset[str]) -> PlacementPolicy:
    shard = ShuffleShard(tenant=tenant, units=count, among=UnitSelector(**among))  # type: ignore[arg-type]
    return PlacementPolicy(shuffle_shard=shard)


def allowed(made: PlacementPolicy, units: PlacementFleet, tenant: str = "acme") -> set[str]:
    return {str(one.id) for one in units.units if allows(one, made, ANYWHERE, tenant, units)}


@given(NAMES, TENANTS, SIZES)
def test_a_unit_that_comes_takes_one_place_at_most(
    names: set[str], tenant: str, count: int
) -> None:
    before, after = shard_of(tenant, names, count), shard_of(tenant, {*names, "new"}, count)
    assert len(before) == min(count, len(names))
    assert after - before <= {"new"}
    assert len(before - after) <= ("new" in after)


@given(NAMES, TENANTS, SIZES)
def test_a_unit_that_goes_is_replaced_where_it_was_and_nowhere_else(
    names: set[str], tenant: str, count: int
) -> None:
    gone = min(names)
    before, after = shard_of(tenant, names, count), shard_of(tenant, names - {gone}, count)
    if gone in before:
        assert before - after == {gone}
        assert len(after - before) == (len(names) > count)
    else:
        assert before == after


@given(NAMES, TENANTS, SIZES)
def test_neither_order_nor_closed_units_change_it(names: set[str], tenant: str, count: int) -> None:
    made = policy(count, tenant)
    units = fleet(*sorted(names))
    shard = allowed(made, units)
    assert shard == shard_of(tenant, sorted(names, reverse=True), count)
    assert allowed(made, fleet(*sorted(names), closed=min(names))) == shard
    eligible = Eligibility(units, made).of(ANYWHERE, tenant)
    assert {str(units.units[at].id) for at in eligible.indices} == shard


def test_units_of_other_tenants_and_not_among_them_take_no_place() -> None:
    units = fleet("a", "b", "c", "d", a=("other",), b=("acme",))
    assert allowed(policy(2, units=frozenset({"a", "b", "c"})), units) == {"b", "c"}
    none = policy(2, labels={"tier": frozenset({"gold"})})  # type: ignore[arg-type]
    assert allowed(none, units) == set()
    said, rules = narrowing_of(units, none, ANYWHERE, "acme")
    assert rules == ("shuffle_sharding",)
    assert "rule shuffle_sharding leaves none" in said


def test_without_the_fleet_it_cannot_be_said() -> None:
    units = fleet("a", "b")
    with pytest.raises(ValueError, match="depends on the fleet"):
        why_forbidden(units.units[0], policy(1))
    reasons = [why_forbidden(one, policy(1), units) for one in units.units]
    assert sorted(reasons)[0] == ""
    assert "as rule shuffle_sharding requires" in sorted(reasons)[1]
