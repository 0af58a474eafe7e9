"""What every feed log must do. Subclass it with fixtures `log` and `clock`; see
data_sharing.feeds.port."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from data_sharing.event import Event
from data_sharing.feeds.port import Appended, Candidate, LogBounds, Retention

FOREVER = Retention(age_s=1e9, content_bytes=1 << 50)


class Clock:
    """Unix ms, as far as a test says."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def candidate(
    name: str,
    *,
    tenant: str = "shop",
    source: str = "/traffic",
    type: str = "traffic.speed",
    key: str = "a1",
    size: int = 0,
) -> Candidate:
    """An event called `name`."""
    data = {"name": name, "filling": "x" * size}
    event = Event(
        tenant=tenant, source=source, id=name, type=type, key=key, time_ms=5, data=data,
        subject="s",
    )  # fmt: skip
    return Candidate(event, msgspec.json.encode(data), b'{"datacontenttype":"application/json"}')


async def read_all(log, tenant: str, after: int = 0, **filters) -> list:
    """Every record behind a position, page by page."""
    found: list = []
    while True:
        page = await log.read(tenant, after, **filters)
        found += page.records
        after = page.position
        if not page.more:
            return found


class FeedLogContract:
    """The suite."""

    async def test_positions_begin_at_one_and_grow_by_one(self, log):
        first = await log.append([candidate("a"), candidate("b")])
        second = await log.append([candidate("c")])
        assert [*first, *second] == [Appended(n, False) for n in (1, 2, 3)]

    async def test_what_is_read_is_what_was_appended(self, log, clock):
        given = candidate("a")
        await log.append([given])
        (record,) = await read_all(log, "shop")
        assert record.event() == replace(given.event, position=1)
        assert (record.content, record.attributes) == (given.content, given.attributes)
        assert record.accepted_ms == clock.now_ms

    @pytest.mark.parametrize("after", [2, 1_000, 2**40 - 1, 2**40 + 1, 2**62, 2**63 - 1])
    async def test_behind_the_end_there_is_nothing_however_far_it_is(self, log, after):
        for tenant in ("shop", "bank"):
            await log.append([candidate("a", tenant=tenant), candidate("b", tenant=tenant)])
        for tenant in ("shop", "bank", "nobody"):
            page = await log.read(tenant, after)
            assert (page.records, page.position, page.more) == ((), after, False)

    async def test_a_repeat_answers_the_first_ones_position_and_writes_nothing(self, log):
        await log.append([candidate("a"), candidate("b")])
        again = await log.append([candidate("c"), candidate("b"), candidate("d"), candidate("a")])
        assert again == [
            Appended(3, False), Appended(2, True), Appended(4, False), Appended(1, True),
        ]  # fmt: skip
        assert [one.id for one in await read_all(log, "shop")] == ["a", "b", "c", "d"]

    async def test_a_repeat_within_one_append_is_a_duplicate(self, log):
        assert await log.append([candidate("a"), candidate("a"), candidate("b")]) == [
            Appended(1, False), Appended(1, True), Appended(2, False),
        ]  # fmt: skip

    async def test_the_same_id_from_another_source_or_tenant_is_another_event(self, log):
        await log.append([candidate("a")])
        assert await log.append([candidate("a", source="/weather")]) == [Appended(2, False)]
        assert await log.append([candidate("a", tenant="bank")]) == [Appended(1, False)]

    async def test_tenants_have_logs_of_their_own(self, log):
        await log.append(
            [candidate("a"), candidate("b", tenant="bank"), candidate("c"), candidate("d")]
        )
        assert [(r.id, r.position) for r in await read_all(log, "bank")] == [("b", 1)]
        assert [r.position for r in await read_all(log, "shop")] == [1, 2, 3]
        assert await read_all(log, "nobody") == []
        assert await log.bounds("nobody") == LogBounds(0, 0, 0)

    async def test_many_appends_at_once_keep_the_order_of_the_calls(self, log):
        appends = [log.append([candidate(f"{n}-{m}") for m in range(3)]) for n in range(50)]
        answers = await asyncio.gather(*appends)
        positions = [one.position for answer in answers for one in answer]
        assert positions == list(range(1, 151))

    async def test_reads_can_be_narrowed_to_types_and_a_key(self, log):
        await log.append([candidate(str(n), type=f"t{n % 3}", key=f"k{n % 2}") for n in range(12)])
        found = await read_all(log, "shop", types={"t0", "t1"}, key="k1", limit=2)
        assert [one.id for one in found] == ["1", "3", "7", "9"]
        assert await read_all(log, "shop", types=set()) == []

    async def test_a_page_says_how_far_it_looked_and_whether_there_is_more(self, log):
        await log.append([candidate(str(n), key="odd" if n % 2 else "even") for n in range(10)])
        page = await log.read("shop", 0, limit=3)
        assert (page.position, page.more, page.trimmed) == (3, True, False)
        page = await log.read("shop", 8, key="nobody's")
        assert (list(page.records), page.position, page.more) == ([], 10, False)

    async def test_a_position_in_the_future_is_waited_for(self, log):
        await log.append([candidate("a")])
        page = await log.read("shop", 7)
        assert (list(page.records), page.position, page.more) == ([], 7, False)

    async def test_a_time_is_found(self, log, clock):
        began = clock.now_ms
        for n in range(20):
            clock.now_ms = began + 10 * (n // 2)
            await log.append([candidate(str(n))])
        assert await log.position_before("shop", began) == 0
        assert await log.position_before("shop", began + 1) == 2
        assert await log.position_before("shop", began + 50) == 10
        assert await log.position_before("shop", began + 10_000) == 20

    async def test_a_clock_set_back_makes_no_event_earlier(self, log, clock):
        await log.append([candidate("a")])
        before = clock.now_ms
        clock.now_ms -= 60_000
        await log.append([candidate("b")])
        assert [one.accepted_ms for one in await read_all(log, "shop")] == [before, before]

    async def test_waiting_ends_with_the_next_event_of_the_tenant(self, log):
        await log.append([candidate("a")])
        waiting = asyncio.create_task(log.wait("shop", 1, timeout_s=30))
        await log.append([candidate("b", tenant="bank")])
        assert not waiting.done()
        await log.append([candidate("b")])
        assert await waiting
        assert await log.wait("shop", 1, timeout_s=0.0)
        assert not await log.wait("shop", 2, timeout_s=0.01)

    async def test_what_is_too_old_goes_and_its_positions_are_never_given_again(self, log, clock):
        await log.append([candidate("a"), candidate("b")])
        clock.now_ms += 100_000
        await log.append([candidate("c")])
        kept = Retention(age_s=50, content_bytes=1 << 50)
        assert await log.trim(kept, clock.now_ms) == 2
        assert await log.trim(kept, clock.now_ms) == 0
        page = await log.read("shop", 0)
        assert [one.id for one in page.records] == ["c"]
        assert page.trimmed
        assert not (await log.read("shop", 2)).trimmed
        clock.now_ms += 100_000
        assert await log.trim(kept, clock.now_ms) == 1
        assert await log.bounds("shop") == LogBounds(3, 3, 0)
        assert await log.append([candidate("a")]) == [Appended(4, False)]

    async def test_the_oldest_go_where_there_is_too_much(self, log, clock):
        await log.append([candidate(str(n), size=1000) for n in range(30)])
        await log.append([candidate("other", tenant="bank", size=1000)])
        held = (await log.bounds("shop")).content_bytes
        gone = await log.trim(Retention(age_s=1e9, content_bytes=held // 3), clock.now_ms)
        left = (await log.bounds("shop")).content_bytes
        assert held // 3 - held // 30 - 30 < left <= held // 3  # within one event
        assert [one.id for one in await read_all(log, "shop")] == [str(n) for n in range(gone, 30)]
        assert len(await read_all(log, "bank")) == 1

    async def test_nothing_goes_without_need(self, log, clock):
        await log.append([candidate("a")])
        assert await log.trim(FOREVER, clock.now_ms) == 0

    @pytest.mark.parametrize("count", [1, 999, 3000])
    async def test_appends_of_any_size_come_back_whole(self, log, count):
        await log.append([candidate(str(n)) for n in range(count)])
        found = await read_all(log, "shop", limit=700)
        assert [one.position for one in found] == list(range(1, count + 1))
