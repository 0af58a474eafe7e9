"""Each client by its own policy: pools that spill over, what full means, and who is denied."""

from __future__ import annotations

from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.policy_chooser import PolicyChooser
from tests.support.fleets import at, fleet, occupied, only

IRELAND = at(53.0, -6.0, country="IE", continent="EU")
POOLS = PlacementPolicy(
    **only("pool:near", countries=["DE"]),
    spillover=PlacementPolicy(**only("pool:far", countries=["US"])),
)


def chosen(policy, room):
    units = fleet("dublin", "frankfurt", "virginia")
    chooser = PolicyChooser(units, policy, occupied(room, [0.1] * 3))
    return chooser.choose(IRELAND, "t", b"t/a")


def test_a_pool_spills_over_where_it_has_no_room():
    assert chosen(POOLS, [9, 9, 9]) == Choice(1, "nearest")
    assert chosen(POOLS, [9, 0, 9]) == Choice(2, "spillover")


def test_where_all_pools_are_full_the_units_of_all_are_told():
    assert chosen(POOLS, [9, 0, 0]) == NoChoice(("frankfurt", "virginia"), "")


def test_a_policy_says_whether_to_come_again_where_all_are_full():
    assert chosen(PlacementPolicy(full="refuse"), [0, 0, 0]).retry is False
    assert chosen(PlacementPolicy(), [0, 0, 0]).retry is True


def test_who_is_denied_is_told_by_which_rule():
    policy = PlacementPolicy(denied="rule a denies this client a home", denied_by="a")
    assert chosen(policy, [9, 9, 9]) == NoChoice((), "rule a denies this client a home", ("a",))
