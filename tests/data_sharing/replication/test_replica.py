"""A worker's transactions are in the changelog or nowhere, once, and nobody's who was replaced."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import Conflict, OutcomeUnknown, StoreUnavailable
from control_plane.sqlite.schema import Schema
from data_sharing.replication.port import NotLast
from tests.support.fakes.memory_changelog import MemoryChangeLog
from tests.support.replicas import replica_of, taken_over

NOTES = Schema(part="notes", steps=(("CREATE TABLE notes (text TEXT)",),))
WITHIN_S = 30.0


def note(text: str):
    """A work."""
    return lambda db: db.execute("INSERT INTO notes VALUES (?)", (text,)) and None


def notes_in(database) -> list[str]:
    rows = database.read(lambda db: db.execute("SELECT text FROM notes ORDER BY rowid").fetchall())
    return [text for (text,) in rows]


@pytest.fixture
def changelog() -> MemoryChangeLog:
    return MemoryChangeLog()


async def told(changelog: MemoryChangeLog) -> list[str]:
    """The notes that the changelog holds, in order."""
    return [
        row[-1]
        async for one in changelog.read(0)
        for change in one.changes
        if change.table == "notes"
        for row in change.rows
    ]


async def test_who_takes_over_has_all_that_was_committed(changelog, tmp_path):
    first, second = replica_of(changelog, "w1"), replica_of(changelog, "w2")
    async with taken_over(tmp_path / "a" / "db", [NOTES], first, changelog) as database:
        for text in ("one", "two"):
            await database.transact(note(text))
    async with taken_over(tmp_path / "b" / "db", [NOTES], second, changelog) as database:
        assert notes_in(database) == ["one", "two"]
        await database.transact(note("three"))
    async with taken_over(
        tmp_path / "a" / "db", [NOTES], replica_of(changelog, "w3"), changelog
    ) as database:
        assert notes_in(database) == ["one", "two", "three"]


async def test_a_worker_that_was_replaced_writes_nothing_and_ends(changelog, tmp_path):
    """The same whether it wakes before or after the other one's first transaction."""
    zombie, other = replica_of(changelog, "w1"), replica_of(changelog, "w2")
    async with taken_over(tmp_path / "a" / "db", [NOTES], zombie, changelog) as old:
        await old.transact(note("before"))
        async with taken_over(tmp_path / "b" / "db", [NOTES], other, changelog) as new:
            with pytest.raises(StoreUnavailable, match="w2 has taken the partition over"):
                await old.transact(note("late"))
            await new.transact(note("after"))
            with pytest.raises(StoreUnavailable):
                await old.transact(note("later"))
            with pytest.raises(Conflict):
                await zombie.run()
            assert notes_in(old) == ["before"]
            assert notes_in(new) == ["before", "after"]
    assert await told(changelog) == ["before", "after"]


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
async def test_a_write_whose_answer_is_lost_is_there_once(changelog, tmp_path, lost):
    async with taken_over(tmp_path / "db", [NOTES], replica_of(changelog), changelog) as database:
        setattr(changelog, lost, 1 if lost == "lose_answers" else 3)
        await database.transact(note("one"))
        await database.transact(note("two"))
        assert notes_in(database) == ["one", "two"]
    assert await told(changelog) == ["one", "two"]


async def test_transactions_wait_for_a_changelog_that_is_away_and_keep_their_order(
    changelog, tmp_path
):
    replica = replica_of(changelog)
    async with taken_over(tmp_path / "db", [NOTES], replica, changelog) as database:
        changelog.away = True
        answers = [database.submit(note(str(number))) for number in range(200)]
        async with asyncio.timeout(WITHIN_S):
            while not replica.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not any(one.done() for one in answers)
        assert notes_in(database) == []  # nobody reads what may not come to be
        changelog.away = False
        await asyncio.gather(*answers)
        assert notes_in(database) == [str(number) for number in range(200)]
        assert not replica.waiting
    assert await told(changelog) == [str(number) for number in range(200)]


async def test_a_work_that_fails_is_in_no_commit(changelog, tmp_path):
    def failing(db):
        note("half")(db)
        raise ZeroDivisionError

    async with taken_over(tmp_path / "db", [NOTES], replica_of(changelog), changelog) as database:
        good, bad = database.submit(note("good")), database.submit(failing)
        with pytest.raises(ZeroDivisionError):
            await bad
        await good
    assert await told(changelog) == ["good"]


async def test_reading_writes_no_commit(changelog, tmp_path):
    async with taken_over(tmp_path / "db", [NOTES], replica_of(changelog), changelog) as database:
        before = len(changelog.commits)
        await database.transact(lambda db: db.execute("SELECT 1").fetchall())
        assert len(changelog.commits) == before


async def test_a_file_that_could_not_take_a_commit_is_read_anew(changelog, tmp_path):
    """It has a commit less than the changelog: what was decided must not be decided again."""
    replica = replica_of(changelog)
    async with taken_over(tmp_path / "db", [NOTES], replica, changelog) as database:
        await database.transact(note("one"))
        commit = replica.commit

        async def commit_and_no_more(db):
            await commit(db)
            db.execute("ROLLBACK")  # so that COMMIT fails, as on a disk that is full

        replica.commit = commit_and_no_more
        with pytest.raises(OutcomeUnknown):
            await database.transact(note("two"))
        replica.commit = commit
        with pytest.raises(StoreUnavailable):
            await database.transact(note("three"))
        with pytest.raises(Conflict, match="could not take"):
            await replica.run()
    async with taken_over(
        tmp_path / "db", [NOTES], replica_of(changelog, "w2"), changelog
    ) as database:
        assert notes_in(database) == ["one", "two"]


async def test_commits_of_other_tables_are_not_made(changelog, tmp_path):
    async with taken_over(
        tmp_path / "a" / "db", [NOTES], replica_of(changelog), changelog
    ) as database:
        await database.transact(note("one"))
    wider = Schema(part="notes", steps=(*NOTES.steps, ("ALTER TABLE notes ADD COLUMN more",)))
    with pytest.raises(Conflict, match="another version"):
        async with taken_over(
            tmp_path / "b" / "db", [wider], replica_of(changelog, "w2"), changelog
        ):
            pass


async def test_a_changelog_that_says_not_last_without_reason_is_asked_again(changelog, tmp_path):
    """A leader that has just changed reads the end of before."""
    replica = replica_of(changelog)
    async with taken_over(tmp_path / "db", [NOTES], replica, changelog) as database:
        append, left = changelog.append, [2]

        async def refusing(messages, *, after):
            if left[0]:
                left[0] -= 1
                raise NotLast("not yet")
            return await append(messages, after=after)

        changelog.append = refusing
        await database.transact(note("one"))
    assert await told(changelog) == ["one"]
