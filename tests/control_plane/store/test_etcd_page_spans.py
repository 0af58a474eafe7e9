"""Pages of a long range: the same keys as of the whole range, and little of it walked."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.keys import prefix_end
from control_plane.store.etcd.page_spans import PageSpans, RangeMemory

PREFIX = b"p/"


class CountingIndex:
    """etcd's index as far as ranges go: what a range costs is the keys that it has."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = sorted(set(keys))
        self.walked = 0
        self.asked = 0

    def range(self, start: bytes, end: bytes, limit: int) -> tuple[list[bytes], int]:
        first = bisect_left(self.keys, start)
        last = len(self.keys) if end == b"\x00" else bisect_left(self.keys, end)
        found = self.keys[first : max(first, last)]
        self.walked += len(found)
        self.asked += 1
        return found[:limit], len(found)


def page(
    index: CountingIndex, after: bytes | None, limit: int, memory: RangeMemory, short: int
) -> tuple[list[bytes], bool]:
    spans, found = PageSpans(PREFIX, after, limit, memory, short=short), list[bytes]()
    while not spans.over:
        assert len(found) < 10_000
        keys, count = index.range(spans.start, spans.end, spans.wanted)
        found += keys
        spans.heard(len(keys), count, keys[-1] if keys else b"")
    return found[:limit], spans.more


def scan(index: CountingIndex, limit: int, memory: RangeMemory, short: int) -> list[bytes]:
    found, more = page(index, None, limit, memory, short)
    while more:
        assert found
        following, more = page(index, found[-1], limit, memory, short)
        assert following or not more
        found += following
    return found


names = st.one_of(
    st.binary(min_size=0, max_size=6),
    st.integers(0, 5_000).map(lambda n: b"load-%d" % n),
    st.text("\xff\x00az", min_size=0, max_size=4).map(lambda t: t.encode("latin-1")),
)


@settings(max_examples=300, deadline=None)
@given(
    inside=st.lists(names, max_size=120),
    outside=st.lists(st.binary(min_size=1, max_size=4), max_size=20),
    limit=st.integers(1, 15),
    short=st.sampled_from([0, 10, 50]),
)
def test_pages_have_what_the_range_has(
    inside: list[bytes], outside: list[bytes], limit: int, short: int
) -> None:
    index = CountingIndex([PREFIX + name for name in inside] + outside)
    start, end = bisect_left(index.keys, PREFIX), bisect_left(index.keys, prefix_end(PREFIX))
    memory = RangeMemory()
    for _ in range(2):  # the second time by what is remembered of the first
        assert scan(index, limit, memory, short) == index.keys[start:end]


def test_a_scan_of_many_walks_each_few_times() -> None:
    """Whole, each page would walk all that is behind it: 100 times as much."""
    index = CountingIndex(
        [PREFIX + b"default/load-0a1b2c3d-%d" % n for n in range(200_000)]
        + [PREFIX + b"other/%08x" % (n * 2_654_435_761 % 2**32) for n in range(50_000)]
    )
    memory = RangeMemory()
    assert len(scan(index, 1_000, memory, 20_000)) == 250_000
    assert index.walked < 12 * len(index.keys)
    assert index.asked < 12 * 250
    index.walked = 0
    scan(index, 1_000, memory, 20_000)
    assert index.walked < 12 * len(index.keys)


def test_the_first_page_walks_all_but_once() -> None:
    index = CountingIndex([PREFIX + b"%07d" % n for n in range(100_000)])
    memory = RangeMemory()
    page(index, None, 1_000, memory, 20_000)
    assert index.walked == 100_000
    index.walked = 0
    assert len(page(index, None, 1_000, memory, 20_000)[0]) == 1_000
    assert index.walked < 20_000


def test_a_short_range_is_one_question_a_page() -> None:
    index = CountingIndex([PREFIX + b"%04d" % n for n in range(3_000)])
    assert len(scan(index, 1_000, RangeMemory(), 20_000)) == 3_000
    assert index.asked == 3
