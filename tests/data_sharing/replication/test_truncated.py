"""A changelog that somebody has made forget commits: what is whole makes up for it, and what is not
is refused. Nothing is lost in silence, and no file that has more is thrown away."""

from __future__ import annotations

import sqlite3

import pytest

from control_plane.errors import Conflict, Refused, StoreUnavailable
from data_sharing.replication.snapshots import is_covered
from tests.support.fakes.memory_changelog import MemoryChangeLog
from tests.support.replicas import replica_of, taken_over
from tests.support.takeovers import SCHEMAS, add, notes, worker


@pytest.fixture
def changelog() -> MemoryChangeLog:
    return MemoryChangeLog()


async def test_a_worker_whose_file_is_whole_goes_on_and_leaves_a_snapshot(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one", "two")
    changelog.purge(keep_last=True)
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "three")
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two", "three"]


async def test_a_snapshot_that_has_what_was_purged_makes_up_for_it(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, snapshots):
        await add(database, "one", "two")
        await snapshots.make()
    changelog.purge(keep_last=True)
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two"]


async def test_without_one_nobody_begins_with_less(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one", "two")
    changelog.purge(keep_last=True)
    with pytest.raises(Refused, match="not whole: commits behind snapshot"):
        async with worker(tmp_path / "b" / "db", changelog):
            pass
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two"]


async def test_a_file_with_more_than_a_snapshot_is_kept_where_both_are_too_little(
    changelog, tmp_path
):
    """It is the most that is left of what was decided."""
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one", "two")
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        await add(database, "three", "four")
    changelog.purge(keep_last=True)
    for _ in range(2):
        with pytest.raises(Refused, match="not whole"):
            async with worker(tmp_path / "a" / "db", changelog):
                pass
    with sqlite3.connect(tmp_path / "a" / "db.old") as db:
        assert db.execute("SELECT text FROM notes").fetchall() == [("one",), ("two",)]


@pytest.mark.parametrize("with_file", [False, True])
async def test_a_changelog_that_has_nothing_any_more_is_not_taken_for_a_new_one(
    changelog, tmp_path, with_file
):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one")
    changelog.purge(keep_last=False)
    with pytest.raises(Refused, match="lost some" if with_file else "all commits are gone"):
        async with worker(tmp_path / ("a" if with_file else "b") / "db", changelog):
            pass
    assert changelog.commits == {}


async def test_a_snapshot_that_is_gone_is_told(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, snapshots):
        await add(database, "one")
        await snapshots.make()
    changelog.snapshots.clear()
    with pytest.raises(Refused, match=r"snapshot .* is gone"):
        async with worker(tmp_path / "b" / "db", changelog):
            pass


async def test_a_worker_under_which_all_is_purged_ends_and_says_so(changelog, tmp_path):
    replica = replica_of(changelog)
    async with taken_over(tmp_path / "db", SCHEMAS[:1], replica, changelog) as database:
        await add(database, "one")
        changelog.purge(keep_last=False)
        with pytest.raises(StoreUnavailable, match="purged"):
            await add(database, "two")
        with pytest.raises(Conflict, match="purged"):
            await replica.run()
        assert notes(database) == ["one"]


async def test_a_worker_under_which_the_changelog_is_an_older_one_ends(changelog, tmp_path):
    """NATS was restored of a copy, or what was not synced is gone."""
    replica = replica_of(changelog)
    async with taken_over(tmp_path / "db", SCHEMAS[:1], replica, changelog) as database:
        await add(database, "one", "two")
        last = max(changelog.commits)
        del changelog.messages[changelog.commits.pop(last) - changelog.first :]
        with pytest.raises(StoreUnavailable, match="does not have commits that it had"):
            await add(database, "three")


async def test_a_worker_notices_what_was_purged_before_its_last_commit(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, snapshots):
        await add(database, "one", "two")
        begun = next(iter(changelog.snapshots))
        assert await is_covered(changelog, begun)
        changelog.purge(keep_last=True)
        assert not await is_covered(changelog, begun)
        await snapshots.make()
        assert await is_covered(changelog, next(iter(changelog.snapshots)))
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two"]
