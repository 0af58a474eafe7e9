"""Lookup budgets: who walks the directory pays for it, and nobody else does."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import Exhausted
from provisioner.directory.budgets import (
    MOST_COST,
    NETWORK,
    TENANT,
    VIEWER,
    Asker,
    LookupBudgets,
    charged,
    given_back,
    network_of,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lookups(budgets, asker, count, *, found=False) -> int:
    """How many of so many are let through."""
    passed = 0
    for _ in range(count):
        try:
            charge = budgets.take(asker)
        except Exhausted:
            continue
        passed += 1
        if found:
            charge.found()
    return passed


def test_who_finds_people_looks_up_hundreds_and_who_does_not_about_ten():
    one, other = Asker(tenant="t", viewer="anna"), Asker(tenant="t", viewer="mallory")
    budgets = LookupBudgets(clock=Clock())
    assert lookups(budgets, one, 1_000, found=True) == VIEWER.burst
    assert lookups(budgets, other, 1_000) < 10


def test_misses_are_forgotten_by_the_minute():
    clock = Clock()
    budgets = LookupBudgets(clock=clock)
    asker = Asker(tenant="t", viewer="anna")
    first = lookups(budgets, asker, 1_000)
    clock.now += 3_600
    assert lookups(budgets, asker, 1_000) == first


def test_a_day_of_walking_from_one_viewer_finds_next_to_nothing():
    clock = Clock()
    budgets = LookupBudgets(clock=clock)
    passed = 0
    for second in range(86_400):
        clock.now = float(second)
        passed += lookups(budgets, Asker(tenant="t", viewer="mallory"), 1)
    assert passed < 3_000  # of 86,400


def test_a_network_is_counted_whoever_its_viewers_are():
    budgets = LookupBudgets(clock=Clock())
    passed = sum(
        lookups(budgets, Asker(tenant="t", viewer=f"v{n}", network="192.0.2.0/24"), 1)
        for n in range(10_000)
    )
    assert passed < 30
    other = Asker(tenant="t", viewer="anna", network="198.51.100.0/24")
    assert lookups(budgets, other, 1) == 1


def test_who_walks_in_one_tenant_silences_nobody_of_another():
    budgets = LookupBudgets(clock=Clock())
    for n in range(1_000):
        lookups(budgets, Asker(tenant="t", viewer=f"v{n}", network="192.0.2.0/24"), 1)
    beside = Asker(tenant="t", viewer="anna", network="192.0.2.0/24")
    assert lookups(budgets, beside, 1) == 0
    elsewhere = Asker(tenant="u", viewer="anna", network="192.0.2.0/24")
    assert lookups(budgets, elsewhere, 100, found=True) == 100


def test_a_tenant_is_counted_flat():
    budgets = LookupBudgets(clock=Clock())
    assert lookups(budgets, Asker(tenant="t"), 100_500) == TENANT.burst
    assert lookups(budgets, Asker(tenant="u"), 1) == 1


def test_lookups_at_once_are_charged_before_they_are_answered():
    budgets = LookupBudgets(clock=Clock())
    asker, charges = Asker(tenant="t", viewer="anna"), []
    for _ in range(1_000):
        with suppress(Exhausted):
            charges.append(budgets.take(asker))
    assert len(charges) < 10
    for one in charges:
        one.found()
    assert lookups(budgets, asker, 100, found=True) == 100


def test_what_is_refused_charges_nobody():
    budgets = LookupBudgets(clock=Clock())
    asker = Asker(tenant="t", viewer="mallory", network="192.0.2.0/24")
    lookups(budgets, asker, 100)
    left = budgets._budgets["network", "t", "192.0.2.0/24"].left
    lookups(budgets, asker, 100)
    assert budgets._budgets["network", "t", "192.0.2.0/24"].left == left


def test_few_are_remembered():
    budgets = LookupBudgets(clock=Clock(), most=10)
    for number in range(100):
        lookups(budgets, Asker(tenant="t", viewer=f"v{number}"), 1)
    assert len(budgets._budgets) == 10


@given(
    steps=st.lists(st.tuples(st.floats(0, 1e5), st.booleans()), max_size=60),
    limit=st.sampled_from([VIEWER, NETWORK, TENANT]),
)
def test_a_budget_is_never_below_nothing_nor_above_its_burst(steps, limit):
    budget, now = None, 0.0
    for waits, found in steps:
        now += waits
        charge = charged(budget, limit, now)
        budget = charge.after
        assert 1.0 <= charge.cost <= MOST_COST
        assert charge.wait_s >= 0
        if found and not charge.wait_s:
            budget = given_back(budget, limit, charge.cost)
        assert -1e-6 <= budget.left <= limit.burst + 1e-6
        assert budget.misses >= 0


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
    ],
)
def test_networks(address, block):
    assert network_of(address) == block


@pytest.mark.parametrize("address", ["", "anna", "1.2.3", "1.2.3.4/8", "1.2.3.4:80"])
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match="address"):
        network_of(address)
