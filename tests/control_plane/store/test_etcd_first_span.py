"""Where a long range begins: found with little of it walked, for the ids that clients have."""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.store.etcd.first_span import FirstSpan, first_span

PREFIX = b"p/"
LIMIT = 1_000
MANY = 300_000


class Index:
    """Sorted keys, and how many were walked."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = sorted(set(keys))
        self.walked = self.asked = 0

    def count(self, start: bytes, end: bytes) -> int:
        last = len(self.keys) if end == b"\x00" else bisect_left(self.keys, end)
        found = max(0, last - bisect_left(self.keys, start))
        self.walked += found
        self.asked += 1
        return found

    def found(self, samples: list[bytes], limit: int = LIMIT) -> FirstSpan | None:
        search = first_span(PREFIX, samples, limit)
        try:
            ranges = next(search)
            while True:
                ranges = search.send([self.count(*one) for one in ranges])
        except StopIteration as ended:
            span: FirstSpan | None = ended.value
            return span


def numbered() -> list[bytes]:
    return [PREFIX + b"default/load-0a1b-%d" % n for n in range(MANY)]


def padded() -> list[bytes]:
    return [PREFIX + b"shop/user%09d" % n for n in range(MANY)]


def uuids() -> list[bytes]:
    rng = random.Random(7)
    return [
        PREFIX + f"t/{uuid.UUID(int=rng.getrandbits(128), version=4)}".encode() for _ in range(MANY)
    ]


def words() -> list[bytes]:
    rng = random.Random(8)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [PREFIX + ("t/" + "".join(rng.choices(letters, k=12))).encode() for _ in range(MANY)]


def tenants() -> list[bytes]:
    return [PREFIX + b"tenant-%03d/device-%x" % (n % 400, n * 2_654_435_761) for n in range(MANY)]


@pytest.mark.parametrize("make", [numbered, padded, uuids, words, tenants])
@pytest.mark.parametrize("lately", ["the last ones", "some"])
def test_little_is_walked(make: object, lately: str) -> None:
    assert callable(make)
    keys: list[bytes] = make()
    index = Index(keys)
    samples = keys[-200:] if lately == "the last ones" else random.Random(1).sample(keys, 200)
    span = index.found(samples)
    assert span is not None
    assert index.walked < MANY / 10
    assert index.asked < 1_500
    before = index.count(PREFIX, span.end)
    assert 1 <= before < MANY / 10


def test_of_a_short_range_there_is_no_span() -> None:
    keys = [PREFIX + b"default/client-%02d" % n for n in range(60)]
    assert Index(keys).found(keys) is None
    assert Index(keys).found([]) is None


def test_samples_that_are_gone_or_alone_are_passed_over() -> None:
    keys = [*numbered(), PREFIX + b"a/lonely"]
    index = Index(keys)
    span = index.found([PREFIX + b"a/lonely", PREFIX + b"gone/1", keys[-2]])
    assert span is not None
    assert index.walked < MANY / 10
    assert index.count(PREFIX, span.end) < MANY / 10


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.binary(max_size=5), min_size=1, max_size=150),
    limit=st.integers(1, 12),
    data=st.data(),
)
def test_a_span_ends_within_or_behind_the_range(
    names: list[bytes], limit: int, data: st.DataObject
) -> None:
    """Whatever the keys are: it is no empty one, and shares more than the prefix."""
    keys = [PREFIX + name for name in names]
    samples = data.draw(st.lists(st.sampled_from(keys), max_size=9))
    index = Index(keys)
    span = index.found(samples, limit)
    if span is not None:
        assert index.count(PREFIX, span.end) >= 1
        assert len(PREFIX) < span.depth
