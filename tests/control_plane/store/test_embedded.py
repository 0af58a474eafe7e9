"""The embedded store keeps the contract, and the model's meaning under random use."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import binary, booleans, integers, lists, one_of, sampled_from, tuples

from control_plane.errors import Refused
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import (
    Compacted,
    Compare,
    Delete,
    Get,
    LeaseLost,
    Put,
    Target,
    Txn,
)
from tests.support.contracts.store_contract import StoreContract
from tests.support.fakes.model_store import ModelStore


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


class TestEmbedded(StoreContract):
    """See StoreContract."""


keys = sampled_from([b"a", b"b", b"p/", b"p/1", b"p/2", b"q", b"\xff", b"\xff\xff"])
puts = tuples(keys, binary(max_size=2), booleans()).map(lambda t: ("put", *t))
deletes = tuples(keys, booleans()).map(lambda t: Delete(*t))
gets = tuples(keys, booleans()).map(lambda t: Get(*t))
branches = lists(one_of(puts, deletes, gets), max_size=5)
creates = lists(tuples(keys, binary(max_size=2)), max_size=3)
compares = lists(tuples(keys, sampled_from(Target), integers(0, 4), binary(max_size=1)), max_size=3)


class AgainstTheModel(RuleBasedStateMachine):
    """Every result, page and watch equals the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "store.db"
        self.now = 0.0
        self.model = ModelStore()
        self.lease = 0
        self.store = self.loop.run_until_complete(self.open())

    async def open(self):
        return await EmbeddedStore.open(self.path, clock=lambda: self.now)

    def run(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.folder.cleanup()

    def operations(self, branch):
        made = []
        for one in branch:
            if isinstance(one, tuple) and one[0] == "put":
                _, key, value, leased = one
                made.append(Put(key, value, self.lease if leased else 0))
            else:
                made.append(one)
        return made

    @rule(compares=compares, then=branches, otherwise=branches, creates=creates)
    def commit(self, compares, then, otherwise, creates):
        held = []
        for key, target, number, value in compares:
            pair = self.model.state.get(key)
            revision = getattr(pair, target.value) if pair and number else number
            held.append(Compare(key, target, value if target is Target.VALUE else revision))
        txn = Txn(
            compares=held,
            then=self.operations(then),
            otherwise=self.operations(otherwise),
            creates=creates,
        )
        try:
            real = self.run(self.store.commit(txn))
        except ValueError:
            return  # written twice; the contract says when
        except LeaseLost:
            with pytest.raises(LeaseLost):
                self.model.commit(txn)
            return
        expected = self.model.commit(txn)
        assert (real.succeeded, real.revision) == (expected.succeeded, expected.revision)
        assert [tuple(found) for found in real.results] == list(expected.results)

    @rule(ttl_s=integers(1, 5))
    def grant(self, ttl_s):
        self.lease = self.run(self.store.lease_grant(ttl_s))
        self.model.grant(self.lease, ttl_s)

    @rule()
    def revoke(self):
        if self.lease:
            self.run(self.store.lease_revoke(self.lease))
            self.model.end(self.lease)

    @rule(prefix=sampled_from([b"", b"a", b"p/", b"\xff"]), back=integers(0, 6))
    def read_the_past(self, prefix, back):
        revision = max(1, self.model.revision - back)
        try:
            expected = self.model.at(prefix, revision)
        except Compacted:
            with pytest.raises(Compacted):
                self.run(self.store.range(prefix, at_revision=revision))
            return
        page = self.run(self.store.range(prefix, at_revision=revision))
        assert list(page.items) == expected

    @rule(prefix=sampled_from([b"", b"p/", b"\xff"]), back=integers(0, 8))
    def watch_from_the_past(self, prefix, back):
        start = max(1, self.model.revision - back)
        if start >= self.model.revision and not self.model.happened(prefix, start):
            return  # nothing would come
        expected = self.model.happened(prefix, start)

        async def first():
            watch = self.store.watch(prefix, from_revision=start)
            async for batch in watch:
                await watch.aclose()
                return batch
            return None

        if start <= self.model.compacted:
            with pytest.raises(Compacted):
                self.run(first())
            return
        batch = self.run(first())
        assert list(batch.events) == expected

    @rule(back=integers(0, 4))
    def compact(self, back):
        revision = self.model.revision - back
        if revision < 1:
            return
        self.run(self.store.compact(revision))
        self.model.compacted = max(self.model.compacted, revision)

    @rule()
    def restart(self):
        self.run(self.store.close())
        self.store = self.run(self.open())


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


async def test_a_file_of_another_layout_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("PRAGMA user_version = 1")
        old.execute("CREATE TABLE current (key BLOB PRIMARY KEY)")
    with pytest.raises(Refused, match="layout is 1"):
        await EmbeddedStore.open(path)
    with closing(sqlite3.connect(path)) as old:
        assert old.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 2


@pytest.mark.parametrize("ago", [1, 255, 256, 257, 400, 599])
async def test_a_page_of_any_revision_that_is_kept(store, ago):
    """600 puts of two keys in turn: a few revisions ago and many are looked for differently."""
    for n in range(600):
        last = await store.commit(Txn(then=(Put(b"p/%d" % (n % 2), b"%d" % n),)))
    revision = last.revision - ago
    first = last.revision - 599  # wrote 0
    newest = revision - first
    page = await store.range(b"p/", at_revision=revision)
    values = sorted(int(pair.value) for pair in page.items)
    assert values == [n for n in (newest - 1, newest) if n >= 0]


async def test_a_page_costs_by_what_is_in_it(tmp_path):
    """Counted in tens of SQLite's steps, now and just before: as many after 2,000 changes of its
    key, and with as many keys before and behind it."""
    store = await EmbeddedStore.open(tmp_path / "store.db")
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    async def cost(ago: int) -> int:
        nonlocal steps
        revision = (await store.range(b"p/")).revision
        steps = 0
        await store.range(b"p/", at_revision=revision - ago)
        return steps

    try:
        for n in range(4):
            await store.commit(Txn(then=(Put(b"p/", b"%d" % n),)))
        store._reader.db.set_progress_handler(step, 10)
        before = [await cost(0), await cost(1)]
        for n in range(2_000):
            others = (Put(b"o/%d" % n, b""), Put(b"q/%d" % n, b""))
            await store.commit(Txn(then=(Put(b"p/", b"%d" % n), *others)))
        for ago, few in enumerate(before):
            assert await cost(ago) <= few + 2
    finally:
        await store.close()
