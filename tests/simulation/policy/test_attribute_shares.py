"""Users of a population that have attributes: as many as was said, always the same ones."""

from __future__ import annotations

from collections import Counter

import pytest

from control_plane.errors import InvalidInput
from provisioner.placement.attributes import with_attributes
from simulation.policy.attribute_shares import (
    NO_SHARES,
    AttributeShares,
    ToldShare,
    parse_shares,
    shares_of,
)
from simulation.policy.client_policy import TenantPolicy
from tests.support.policies import compiled


def made(*texts: str) -> AttributeShares:
    return shares_of(parse_shares(texts))


KEYS = [b"user-%d" % number for number in range(4_000)]


def test_each_value_has_its_share_and_names_have_nothing_to_do_with_each_other():
    shares = made("kind=bank:20%", "kind=shop:30", "tier=gold:10%")
    found = [shares.of(key) for key in KEYS]
    kinds = Counter(one.get("kind") for one in found)
    assert abs(kinds["bank"] - 800) < 120
    assert abs(kinds["shop"] - 1_200) < 140
    gold = Counter(one.get("kind") for one in found if one.get("tier") == "gold")
    assert abs(gold.total() - 400) < 90
    assert 40 < gold["bank"] < 130


def test_a_larger_share_has_those_of_a_smaller_one():
    small, large = made("kind=bank:5%"), made("kind=bank:50%")
    assert all(large.of(key) for key in KEYS if small.of(key))
    assert not any(made("kind=bank:0%").of(key) for key in KEYS)
    assert all(made("kind=bank:100%").of(key) for key in KEYS)


def test_without_any_nobody_has_attributes():
    assert not made()
    assert NO_SHARES.of(KEYS[0]) == {}


@pytest.mark.parametrize(
    "text",
    ["", "kind", "kind=bank", "kind=bank:", "kind=bank:x%", "kind=:5%", "=bank:5%", "a b=c:5%",
     "kind=bank:101%", "kind=bank:-1%", "kind=bank:nan", "kind=bank:inf"],
)  # fmt: skip
def test_what_is_no_share(text):
    with pytest.raises(InvalidInput, match="is not NAME=VALUE:PERCENT%"):
        parse_shares([text])


def test_shares_of_one_name_are_the_whole_at_most():
    with pytest.raises(InvalidInput, match="the shares of kind are 110 % together"):
        made("kind=bank:60%", "kind=shop:50%")


@pytest.mark.parametrize(
    "share",
    [
        ToldShare("a b", "bank", 5.0),
        ToldShare("kind", "", 5.0),
        ToldShare("kind", "x" * 257, 5.0),
        ToldShare("kind", "bank", float("nan")),
        ToldShare("kind", "bank", -1.0),
        ToldShare("kind", "bank", 101.0),
    ],
    ids=["name", "no value", "long value", "nan", "below 0", "above 100"],
)
def test_what_no_client_has_is_refused(share: ToldShare):
    with pytest.raises(InvalidInput):
        shares_of([share])


def test_a_client_has_so_many_attributes():
    told = [ToldShare(f"n{number}", "x", 1.0) for number in range(17)]
    assert shares_of(told[:16])
    with pytest.raises(InvalidInput, match="at most 16 attributes"):
        shares_of(told)


def test_clients_that_conditions_tell_apart_are_of_two_kinds():
    key, bank = b"a/t/x", with_attributes(b"a/t/x", {"kind": "bank"})
    by_group = TenantPolicy(
        compiled(
            "groups: {b: {attributes: {kind: bank}}}\n"
            "rules: [{name: a, when: '\"b\" in client.groups', deny: true}]"
        )
    )
    by_condition = TenantPolicy(
        compiled("rules: [{name: a, when: 'has(client.attributes.kind)', deny: true}]")
    )
    by_place = TenantPolicy(compiled("rules: []"))
    assert by_group.kind_of(key) != by_group.kind_of(bank)
    assert by_condition.kind_of(key) != by_condition.kind_of(bank)
    assert by_place.kind_of(key) is by_place.kind_of(bank) is None
