"""Whatever file a worker begins with, it has what the changelog has, or refuses to begin."""

from __future__ import annotations

import pytest

from control_plane.errors import Conflict, Refused
from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.replication import replica_tables
from tests.support.fakes.memory_changelog import MemoryChangeLog
from tests.support.takeovers import NOTES, SCHEMAS, add, notes, worker

MORE_NOTES = Schema(
    part="notes",
    steps=(*NOTES.steps, ("ALTER TABLE notes ADD COLUMN more TEXT", "UPDATE notes SET more = 'x'")),
)


@pytest.fixture
def changelog() -> MemoryChangeLog:
    return MemoryChangeLog()


async def test_a_worker_without_a_file_builds_it_of_the_changelog(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one", "two")
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two"]
        await add(database, "three")
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two", "three"]


async def test_behind_a_snapshot_only_what_came_after_it_is_read(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, snapshots):
        await add(database, "one", "two")
        await snapshots.make()
        await add(database, "three")
        assert len(changelog.snapshots) == 1
        assert changelog.first > 1  # what is before the snapshot is gone
    async with worker(tmp_path / "b" / "db", changelog) as (database, snapshots):
        assert notes(database) == ["one", "two", "three"]
        await add(database, "four")
    async with worker(tmp_path / "c" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two", "three", "four"]


async def test_a_file_that_is_older_than_the_changelog_is_built_anew(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one")
    async with worker(tmp_path / "b" / "db", changelog) as (database, snapshots):
        await add(database, "two")
        await snapshots.make()
        await add(database, "three")
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two", "three"]


async def test_a_database_of_its_own_moves_into_an_empty_changelog_with_all_it_has(
    changelog, tmp_path
):
    path = tmp_path / "a" / "db"
    path.parent.mkdir()
    alone = await Database.open(path, SCHEMAS)
    await add(alone, "one", "two")
    await alone.close()
    async with worker(path, changelog) as (database, _):
        assert notes(database) == ["one", "two"]
        await add(database, "three")
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one", "two", "three"]


async def test_one_that_was_killed_while_it_moved_in_moves_in_once(changelog, tmp_path):
    """Its snapshot is there, and no commit."""
    path = tmp_path / "a" / "db"
    path.parent.mkdir()
    alone = await Database.open(path, SCHEMAS)
    await add(alone, "one")
    await alone.close()
    append = changelog.append

    async def killed(messages, *, after):
        raise KeyboardInterrupt

    changelog.append = killed
    with pytest.raises(KeyboardInterrupt):
        async with worker(path, changelog):
            pass
    changelog.append = append
    async with worker(path, changelog) as (database, _):
        assert notes(database) == ["one"]
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        assert notes(database) == ["one"]


async def test_one_that_was_killed_after_its_first_commit_is_built_anew(changelog, tmp_path):
    path = tmp_path / "a" / "db"
    path.parent.mkdir()
    alone = await Database.open(path, SCHEMAS)
    await add(alone, "one")
    await alone.close()
    append = changelog.append

    async def killed(messages, *, after):
        await append(messages, after=after)
        raise KeyboardInterrupt

    changelog.append = killed
    with pytest.raises(KeyboardInterrupt):
        async with worker(path, changelog):
            pass
    changelog.append = append
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        await add(database, "two")
    async with worker(path, changelog) as (database, _):
        assert notes(database) == ["one", "two"]


async def test_a_database_of_its_own_is_not_mixed_into_another_ones_changelog(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "theirs")
    path = tmp_path / "b" / "db"
    path.parent.mkdir()
    alone = await Database.open(path, SCHEMAS)
    await add(alone, "ours")
    await alone.close()
    with pytest.raises(Refused, match="of its own"):
        async with worker(path, changelog):
            pass
    alone = await Database.open(path, SCHEMAS)
    assert notes(alone) == ["ours"]
    await alone.close()


async def test_a_copy_of_another_changelog_is_refused(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one")
    with pytest.raises(Refused, match="another changelog"):
        async with worker(tmp_path / "a" / "db", MemoryChangeLog(identity="other")):
            pass


async def test_a_changelog_that_has_lost_commits_is_refused(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one", "two")
    del changelog.commits[max(changelog.commits)]
    with pytest.raises(Refused, match="lost"):
        async with worker(tmp_path / "a" / "db", changelog):
            pass


async def test_a_new_version_goes_on_from_a_file_that_is_up_to_date(changelog, tmp_path):
    newer = (MORE_NOTES, replica_tables.SCHEMA)
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one")
    async with worker(tmp_path / "a" / "db", changelog, newer) as (database, _):
        await add(database, "two")
    async with worker(tmp_path / "b" / "db", changelog, newer) as (database, _):
        assert notes(database) == ["one", "two"]
        found = database.read(lambda db: db.execute("SELECT more FROM notes").fetchall())
        assert found == [("x",), (None,)]


async def test_a_new_version_does_not_make_commits_of_the_one_before(changelog, tmp_path):
    async with worker(tmp_path / "a" / "db", changelog) as (database, _):
        await add(database, "one")
    with pytest.raises(Conflict, match="another version"):
        async with worker(tmp_path / "b" / "db", changelog, (MORE_NOTES, replica_tables.SCHEMA)):
            pass


async def test_a_new_version_begins_with_the_snapshot_that_the_one_before_left(changelog, tmp_path):
    """Where its file is missing, and where it is older than that."""
    newer = (MORE_NOTES, replica_tables.SCHEMA)
    async with worker(tmp_path / "b" / "db", changelog) as (database, _):
        await add(database, "one")
    async with worker(tmp_path / "a" / "db", changelog) as (database, snapshots):
        await add(database, "two")
        await snapshots.make()
    for folder, expected in (("b", ["one", "two"]), ("c", ["one", "two", "b"])):
        async with worker(tmp_path / folder / "db", changelog, newer) as (database, _):
            assert notes(database) == expected
            await add(database, folder)
