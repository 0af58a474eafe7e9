"""What every store must do. Subclass it with a fixture `store`; see control_plane.store.port.

Revisions are compared with where the store stood at the start of a test, so that adapters
over a shared server can be held to the same suite.
"""

from __future__ import annotations

import asyncio

import pytest

from control_plane.store.port import (
    MAX_OPERATIONS,
    Compacted,
    Compare,
    Delete,
    Get,
    LeaseLost,
    Put,
    Target,
    Txn,
    absent,
    range_all,
    unchanged,
)

WAIT_S = 30.0


async def put(store, key: bytes, value: bytes = b"v", lease: int = 0) -> int:
    """Writes one key; the revision."""
    return (await store.commit(Txn(then=[Put(key, value, lease)]))).revision


async def collect(store, prefix: bytes, from_revision: int, count: int) -> list:
    """The first `count` events of a watch."""
    events: list = []
    async with asyncio.timeout(WAIT_S):
        watch = store.watch(prefix, from_revision=from_revision)
        async for batch in watch:
            events += batch.events
            if len(events) >= count:
                await watch.aclose()
                return events
    raise AssertionError("the watch ended")


class StoreContract:
    """The suite."""

    async def test_a_missing_key_is_none(self, store):
        assert await store.get(b"nothing") is None

    async def test_a_key_remembers_when_it_was_made_and_written(self, store):
        first = await put(store, b"k", b"1")
        second = await put(store, b"k", b"2")
        pair = await store.get(b"k")
        assert second == first + 1
        assert (pair.value, pair.create_revision, pair.mod_revision, pair.version) == (
            b"2", first, second, 2,
        )  # fmt: skip

    async def test_a_deleted_key_begins_anew(self, store):
        await put(store, b"k")
        await store.commit(Txn(then=[Delete(b"k")]))
        again = await put(store, b"k")
        pair = await store.get(b"k")
        assert (pair.create_revision, pair.version) == (again, 1)

    @pytest.mark.parametrize(
        ("target", "operand", "holds"),
        [
            pytest.param(Target.VALUE, b"v", True, id="its-value"),
            pytest.param(Target.VALUE, b"w", False, id="another-value"),
            pytest.param(Target.VERSION, 1, True, id="its-version"),
            pytest.param(Target.VERSION, 0, False, id="a-version-for-missing-keys"),
            pytest.param(Target.CREATE_REVISION, 0, False, id="absence-of-one-that-is-there"),
        ],
    )
    async def test_a_compare_of_a_key_that_is_there(self, store, target, operand, holds):
        await put(store, b"k")
        result = await store.commit(Txn(compares=[Compare(b"k", target, operand)]))
        assert result.succeeded is holds

    @pytest.mark.parametrize(
        ("target", "operand", "holds"),
        [
            pytest.param(Target.VALUE, b"", False, id="no-value-is-not-an-empty-one"),
            pytest.param(Target.VERSION, 0, True, id="version-0"),
            pytest.param(Target.CREATE_REVISION, 0, True, id="create-revision-0"),
            pytest.param(Target.MOD_REVISION, 0, True, id="mod-revision-0"),
            pytest.param(Target.MOD_REVISION, 1, False, id="mod-revision-1"),
        ],
    )
    async def test_a_compare_of_a_missing_key(self, store, target, operand, holds):
        result = await store.commit(Txn(compares=[Compare(b"k", target, operand)]))
        assert result.succeeded is holds

    async def test_the_else_branch_runs_and_reads_when_a_compare_fails(self, store):
        await put(store, b"a", b"1")
        result = await store.commit(
            Txn(
                compares=[absent(b"a"), absent(b"b")],
                then=[Put(b"a", b"x"), Put(b"b", b"x")],
                otherwise=[Get(b"a"), Get(b"b"), Put(b"c", b"y")],
            )
        )
        assert not result.succeeded
        assert [[pair.value for pair in found] for found in result.results] == [[b"1"], [], []]
        assert (await store.get(b"b")) is None
        assert (await store.get(b"c")).value == b"y"

    async def test_creates_are_written_with_what_else_is_to_be_done(self, store):
        base = await put(store, b"u", b"1")
        result = await store.commit(
            Txn(
                compares=[unchanged(b"u", base)],
                then=[Put(b"u", b"2"), Get(b"u")],
                creates=[(b"a", b"x"), (b"b", b"")],
            )
        )
        assert (result.succeeded, result.revision) == (True, base + 1)
        assert [[pair.value for pair in found] for found in result.results] == [[], [b"2"]]
        found = [await store.get(key) for key in (b"a", b"b", b"u")]
        assert [(pair.value, pair.create_revision, pair.version) for pair in found] == [
            (b"x", base + 1, 1), (b"", base + 1, 1), (b"2", base, 2),
        ]  # fmt: skip
        events = await collect(store, b"", base + 1, 3)
        assert [event.kv.key for event in events] == [b"a", b"b", b"u"]

    async def test_one_key_that_is_there_refuses_all_creates_and_shows_what_stands(self, store):
        base = await put(store, b"b", b"1")
        result = await store.commit(
            Txn(
                then=[Put(b"u", b"2")],
                otherwise=[Get(b"u"), Put(b"c", b"y")],
                creates=[(b"a", b"x"), (b"b", b"x")],
            )
        )
        assert (result.succeeded, result.revision) == (False, base + 1)
        assert [[pair.value for pair in found] for found in result.results] == [
            [], [b"1"], [], [],
        ]  # fmt: skip
        assert await store.get(b"a") is None
        assert (await store.get(b"c")).value == b"y"

    async def test_a_compare_that_fails_refuses_creates_of_absent_keys(self, store):
        await put(store, b"u")
        result = await store.commit(Txn(compares=[absent(b"u")], creates=[(b"a", b"x")]))
        assert not result.succeeded
        assert [list(found) for found in result.results] == [[]]
        assert await store.get(b"a") is None

    async def test_a_key_created_twice_is_a_mistake(self, store):
        with pytest.raises(ValueError, match=r"twice|duplicate"):
            await store.commit(Txn(creates=[(b"a", b"x"), (b"a", b"y")]))
        with pytest.raises(ValueError, match=r"twice|duplicate"):
            await store.commit(Txn(creates=[(b"a", b"x")], then=[Put(b"a", b"y")]))
        assert await store.get(b"a") is None

    async def test_another_compare_on_a_key_to_be_created_counts_as_well(self, store):
        result = await store.commit(
            Txn(
                compares=[absent(b"k"), Compare(b"k", Target.VALUE, b"x")],
                then=[Put(b"k", b"x")],
            )
        )
        assert not result.succeeded
        assert await store.get(b"k") is None

    async def test_gets_inside_a_transaction_see_what_it_wrote_before(self, store):
        result = await store.commit(
            Txn(
                compares=[absent(b"p/1")],
                then=[Put(b"p/1", b"x"), Get(b"p/", prefix=True), Put(b"p/2", b"y")],
            )
        )
        assert [pair.key for pair in result.results[1]] == [b"p/1"]

    async def test_all_writes_of_a_transaction_have_one_revision(self, store):
        before = await put(store, b"z")
        result = await store.commit(Txn(then=[Put(b"a", b""), Put(b"b", b""), Delete(b"z")]))
        assert result.revision == before + 1
        assert {p.mod_revision for p in (await store.range(b"")).items} == {before + 1}

    async def test_what_changes_nothing_makes_no_revision(self, store):
        before = await put(store, b"a")
        assert (await store.commit(Txn(then=[Get(b"a")]))).revision == before
        assert (await store.commit(Txn(then=[Delete(b"nothing")]))).revision == before
        failed = await store.commit(Txn(compares=[absent(b"a")], then=[Put(b"b", b"")]))
        assert failed.revision == before

    async def test_a_prefix_is_deleted_and_its_neighbours_are_not(self, store):
        for key in (b"p", b"p/", b"p/1", b"p/2", b"p0", b"q"):
            await put(store, key)
        await store.commit(Txn(then=[Delete(b"p/", prefix=True)]))
        assert [p.key for p in (await store.range(b"")).items] == [b"p", b"p0", b"q"]

    @pytest.mark.parametrize(
        "operations",
        [
            pytest.param([Put(b"k", b"1"), Put(b"k", b"2")], id="written-twice"),
            pytest.param([Put(b"k", b"1"), Delete(b"k")], id="written-and-deleted"),
            pytest.param([Put(b"p/k", b"1"), Delete(b"p/", prefix=True)], id="under-a-deletion"),
            pytest.param(
                [Put(b"k%d" % n, b"") for n in range(MAX_OPERATIONS + 1)], id="one-too-many"
            ),
        ],
    )
    async def test_an_impossible_transaction_is_refused_and_does_nothing(self, store, operations):
        before = await put(store, b"a")
        with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
            await store.commit(Txn(then=operations))
        assert (await store.range(b"")).revision == before

    async def test_ranges_are_ordered_and_paged_at_one_revision(self, store):
        for n in (3, 1, 2, 5, 4):
            await put(store, b"p/%d" % n, b"%d" % n)
        page = await store.range(b"p/", limit=2)
        assert [p.key for p in page.items] == [b"p/1", b"p/2"]
        assert page.more
        await put(store, b"p/3", b"changed")
        await store.commit(Txn(then=[Delete(b"p/4")]))
        rest = await store.range(b"p/", start_after=b"p/2", limit=10, at_revision=page.revision)
        assert [p.value for p in rest.items] == [b"3", b"4", b"5"]
        assert not rest.more
        whole = await range_all(store, b"p/", page_size=2)
        assert [p.value for p in whole.items] == [b"1", b"2", b"changed", b"5"]

    async def test_keys_alone_can_be_asked_for(self, store):
        await put(store, b"k", b"value")
        (pair,) = (await store.range(b"k", keys_only=True)).items
        assert (pair.key, pair.value) == (b"k", b"")

    async def test_a_watch_tells_everything_from_a_past_revision_in_order(self, store):
        first = await put(store, b"w/a", b"1")
        await put(store, b"other", b"x")
        await store.commit(Txn(then=[Put(b"w/b", b"2"), Put(b"w/a", b"3")]))
        await store.commit(Txn(then=[Delete(b"w/a")]))
        events = await collect(store, b"w/", first, 4)
        assert [(e.kv.key, e.kv.value, e.deleted) for e in events] == [
            (b"w/a", b"1", False),
            (b"w/b", b"2", False),
            (b"w/a", b"3", False),
            (b"w/a", b"", True),
        ]
        assert [e.kv.mod_revision - first for e in events] == [0, 2, 2, 3]

    async def test_a_watch_misses_nothing_while_others_write(self, store):
        start = await put(store, b"w/start")
        watching = asyncio.create_task(collect(store, b"w/n/", start, 200))

        async def write(worker: int) -> None:
            for n in range(20):
                await put(store, b"w/n/%d/%d" % (worker, n))

        await asyncio.gather(*(write(worker) for worker in range(10)))
        events = await watching
        assert len({e.kv.key for e in events}) == 200
        revisions = [e.kv.mod_revision for e in events]
        assert revisions == sorted(revisions)

    async def test_history_that_is_compacted_is_gone_and_said_to_be(self, store):
        first = await put(store, b"k", b"1")
        await put(store, b"k", b"2")
        last = await put(store, b"k", b"3")
        await store.compact(last)
        await store.compact(last)
        with pytest.raises(Compacted):
            await store.range(b"k", at_revision=first)
        with pytest.raises(Compacted):
            await collect(store, b"k", first, 1)
        assert (await store.get(b"k")).value == b"3"
        after = await put(store, b"k", b"4")
        (event,) = await collect(store, b"k", after, 1)
        assert event.kv.value == b"4"

    async def test_the_future_cannot_be_compacted(self, store):
        now = await put(store, b"k")
        with pytest.raises(ValueError):  # noqa: PT011 - the port says no more
            await store.compact(now + 1000)

    async def test_keys_die_with_their_lease(self, store):
        lease = await store.lease_grant(60)
        await store.commit(Txn(then=[Put(b"l/1", b"", lease), Put(b"l/2", b"", lease)]))
        kept = await put(store, b"l/3")
        await store.lease_revoke(lease)
        await store.lease_revoke(lease)
        assert [p.key for p in (await store.range(b"l/")).items] == [b"l/3"]
        events = await collect(store, b"l/", kept + 1, 2)
        assert {e.kv.key for e in events} == {b"l/1", b"l/2"}
        assert {e.kv.mod_revision for e in events} == {kept + 1}

    async def test_a_key_written_without_lease_leaves_its_lease(self, store):
        lease = await store.lease_grant(60)
        await put(store, b"k", b"1", lease)
        await put(store, b"k", b"2")
        await store.lease_revoke(lease)
        assert (await store.get(b"k")).value == b"2"

    async def test_a_lease_can_be_kept_alive_until_it_is_lost(self, store):
        lease = await store.lease_grant(60)
        assert 0 < await store.lease_keep_alive(lease) <= 60
        await store.lease_revoke(lease)
        with pytest.raises(LeaseLost):
            await store.lease_keep_alive(lease)

    async def test_a_put_under_a_lease_that_is_gone_does_nothing(self, store):
        lease = await store.lease_grant(60)
        await store.lease_revoke(lease)
        before = await put(store, b"a")
        with pytest.raises(LeaseLost):
            await store.commit(Txn(then=[Put(b"b", b""), Put(b"k", b"", lease)]))
        assert (await store.range(b"")).revision == before

    async def test_of_fifty_at_once_on_one_key_exactly_one_wins(self, store):
        revision = await put(store, b"k")
        results = await asyncio.gather(
            *(
                store.commit(Txn(compares=[unchanged(b"k", revision)], then=[Put(b"k", b"%d" % n)]))
                for n in range(50)
            )
        )
        assert sum(result.succeeded for result in results) == 1

    async def test_a_closed_store_can_be_closed_again(self, store):
        await store.close()
        await store.close()
