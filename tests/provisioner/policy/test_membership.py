"""Who is in which group and ring, by the id alone."""

from __future__ import annotations

from fnmatch import translate
from re import compile as compiled_regex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.policy.document import Group, Ring
from provisioner.policy.membership import groups_of, is_in, matches
from tests.support.fleets import selector

TEXTS = st.text("ab", max_size=8)


@given(st.text("ab*", max_size=6), TEXTS)
def test_a_pattern_is_held_against_the_whole_id(pattern, text):
    assert matches(pattern, text) == bool(compiled_regex(translate(pattern)).match(text))


def test_many_stars_take_linear_time():
    assert not matches("*a" * 2_000 + "*c", "a" * 100_000)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        pytest.param("anna", ["named"], id="by-id"),
        pytest.param("gov-7", ["gov"], id="by-pattern"),
        pytest.param("my-gov-7", [], id="a-pattern-is-anchored"),
        pytest.param("gov-anna", ["gov", "named"], id="of-both-in-their-order"),
    ],
)
def test_the_groups_of_a_client(client, expected):
    groups = [
        Group(name="gov", patterns=("gov-*",)),
        Group(name="named", ids=frozenset({"anna", "gov-anna"})),
    ]
    assert groups_of(client, groups) == expected


def ring(share, name="canary"):
    return Ring(name=name, share=share, selector=selector())


@given(TEXTS, st.floats(0, 100), st.floats(0, 100))
def test_growing_a_ring_moves_nobody_out_of_it(client, one, other):
    small, large = sorted((one, other))
    assert is_in(ring(large), "acme", client) >= is_in(ring(small), "acme", client)


def test_a_ring_has_its_share_of_the_clients_and_each_ring_others():
    clients = [f"client-{n}" for n in range(4_000)]
    first = {one for one in clients if is_in(ring(20), "acme", one)}
    second = {one for one in clients if is_in(ring(20, "beta"), "acme", one)}
    assert 700 < len(first) < 900
    assert len(first & second) < 250
    assert not [one for one in clients if is_in(ring(0), "acme", one)]
    assert all(is_in(ring(100), "acme", one) for one in clients)
