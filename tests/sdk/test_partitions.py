"""Which partition a key is in: the same for ever, and the same for producers and servers."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.feed_key import KeyPath
from homeport.partitions import key_of, partition_of


@pytest.mark.parametrize(
    ("tenant", "key", "count", "expected"),
    [
        pytest.param("default", "key-1", 4, 0, id="as-it-was-when-it-was-first-kept"),
        pytest.param("default", "key-3", 4, 2, id="another-key"),
        pytest.param("other", "key-1", 4, 2, id="another-tenant"),
        pytest.param("default", "Zürich", 64, 16, id="a-key-beyond-ascii"),
        pytest.param("default", "key-1", 1, 0, id="of-one-there-is-one"),
    ],
)
def test_a_key_stays_where_it_is(tenant: str, key: str, count: int, expected: int) -> None:
    assert partition_of(tenant, key, count) == expected


def test_keys_are_spread_evenly() -> None:
    found = Counter(partition_of("default", f"key-{number}", 8) for number in range(16_000))
    assert set(found) == set(range(8))
    assert max(found.values()) < 1.1 * 16_000 / 8


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)


@given(
    data=st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
    steps=st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
)
def test_a_producer_reads_a_key_as_a_server_does(data: dict, steps: list[str]) -> None:
    pointer = "/data/" + "/".join(steps)
    data = json.loads(json.dumps(data))
    assert key_of(pointer, data, {}) == KeyPath.parse(pointer).of_data(data)


@pytest.mark.parametrize("pointer", ["/subject", "/source", "/partitionkey"])
@pytest.mark.parametrize("value", ["anna", "", "x" * 257])
def test_an_attribute_is_a_key(pointer: str, value: str) -> None:
    attributes = {pointer[1:]: value}
    assert key_of(pointer, {}, attributes) == KeyPath.parse(pointer).of_event({}, attributes)
