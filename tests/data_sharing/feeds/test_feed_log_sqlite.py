"""The feed log in SQLite keeps the contract, survives restarts, and takes a follower's writes
into the same transaction."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from control_plane.errors import Exhausted
from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.feeds.append_queue import WaitingLimits
from data_sharing.feeds.log_tables import POSITION_BITS, SCHEMA, record_at
from data_sharing.feeds.port import Appended
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from tests.support.contracts.feed_log_contract import Clock, FeedLogContract, candidate, read_all

NOTES = Schema(part="notes", steps=(("CREATE TABLE notes (position INTEGER)",),))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path):
    opened = await Database.open(tmp_path / "sharing.db", [SCHEMA, NOTES])
    yield opened
    await opened.close()


@pytest.fixture
def log(database, clock) -> SqliteFeedLog:
    return SqliteFeedLog(database, wall_ms=clock)


class TestSqlite(FeedLogContract):
    """See FeedLogContract."""


async def test_everything_is_there_after_a_restart(tmp_path, clock):
    path = tmp_path / "sharing.db"
    for start in (0, 3):
        database = await Database.open(path, [SCHEMA])
        log = SqliteFeedLog(database, wall_ms=clock)
        await log.append([candidate(str(n)) for n in range(start, start + 3)])
        await database.close()
    database = await Database.open(path, [SCHEMA])
    log = SqliteFeedLog(database, wall_ms=clock)
    assert [one.position for one in await read_all(log, "shop")] == [1, 2, 3, 4, 5, 6]
    assert await log.append([candidate("0")]) == [Appended(1, True)]
    await database.close()


async def test_a_follower_sees_new_events_alone_and_its_writes_go_with_them(database, clock):
    seen: list[tuple[str, int]] = []

    def follow(db, events, is_enough):
        seen.extend((one.id, one.position) for one in events)
        db.executemany("INSERT INTO notes VALUES (?)", [(one.position,) for one in events])
        return len(events)

    log = SqliteFeedLog(database, wall_ms=clock, follower=follow)
    await log.append([candidate("a"), candidate("b")])
    await log.append([candidate("b"), candidate("c")])
    await log.append([candidate("c")])
    assert seen == [("a", 1), ("b", 2), ("c", 3)]
    assert database.read(lambda db: db.execute("SELECT position FROM notes").fetchall()) == [
        (1,), (2,), (3,),
    ]  # fmt: skip


async def test_what_a_follower_raises_undoes_its_events_and_no_others(database, clock):
    undone: list[bool] = []
    database.on_undo.append(lambda: undone.append(True))

    def follow(db, events, is_enough):
        db.execute("INSERT INTO notes VALUES (1)")
        if events[0].id == "poison":
            raise ZeroDivisionError("poison")
        return len(events)

    log = SqliteFeedLog(database, wall_ms=clock, follower=follow)
    await log.append([candidate("a")])
    with pytest.raises(ZeroDivisionError):
        await log.append([candidate("poison")])
    assert await log.append([candidate("b")]) == [Appended(2, False)]
    assert [one.id for one in await read_all(log, "shop")] == ["a", "b"]
    assert database.read(lambda db: db.execute("SELECT count(*) FROM notes").fetchone()) == (2,)
    assert undone == [True]


async def test_more_than_may_wait_is_refused_at_once_until_there_is_room(database, clock):
    log = SqliteFeedLog(database, wall_ms=clock, limits=WaitingLimits(of_tenant=10_000))
    kept = [log.append([candidate(name, size=9_000)]) for name in ("a", "b")]
    with pytest.raises(Exhausted):
        await log.append([candidate("c")])
    await log.room("shop")
    assert await log.append([candidate("c")]) == [Appended(3, False)]
    assert all(one.done() for one in kept)


async def test_who_has_filled_its_bytes_is_refused_and_others_are_not(database, clock):
    limits = WaitingLimits(of_all=50_000, of_tenant=40_000, of_producer=20_000)
    log = SqliteFeedLog(database, wall_ms=clock, limits=limits)

    def handed_in(name: str, tenant: str = "shop", source: str = "/pos"):
        one = candidate(name, tenant=tenant, size=15_000)
        return log.append([replace(one, event=replace(one.event, source=source))])

    kept = [handed_in(name) for name in "ab"]
    with pytest.raises(Exhausted, match="of one producer"):
        await handed_in("c")
    kept += [handed_in("c", source="/web")]
    with pytest.raises(Exhausted, match="of tenant shop") as refused:
        await handed_in("d", source="/app")
    assert refused.value.retry_after_s
    kept += [handed_in("a", "bank")]
    kept += [handed_in("a", "town"), handed_in("a", "city")]  # whoever has little waiting
    for one in kept:
        await one
    await handed_in("d")
    assert log.waiting_bytes == 0


async def test_what_fails_of_one_tenant_takes_nothing_of_others_along(database, clock):
    def follow(db, events, is_enough):
        if any(one.id == "poison" for one in events):
            raise ValueError("stop")
        db.executemany("INSERT INTO notes VALUES (?)", [(one.position,) for one in events])
        return len(events)

    log = SqliteFeedLog(database, wall_ms=clock, follower=follow)
    await log.append([candidate("x")])
    before = [
        log.append([candidate(f"{tenant}{n}", tenant=tenant)])
        for n in range(3)
        for tenant in ("bank", "town")
    ]
    poison = log.append([candidate("poison")])
    after = [log.append([candidate("more", tenant=tenant)]) for tenant in ("bank", "town")]
    with pytest.raises(ValueError, match="stop"):
        await poison
    for one in before + after:
        assert not (await one)[0].duplicate
    for tenant in ("bank", "town"):
        found = [one.id for one in await read_all(log, tenant)]
        assert found == [f"{tenant}0", f"{tenant}1", f"{tenant}2", "more"]
    assert database.read(lambda db: db.execute("SELECT count(*) FROM notes").fetchone()) == (9,)
    assert log.waiting_bytes == 0


@pytest.mark.parametrize("position", [0, -1, 2**40, 2**62, 2**63 - 1, -(2**63)])
async def test_a_position_that_no_log_gives_names_no_event(log, database, position):
    await log.append([candidate("a"), candidate("a", tenant="bank")])
    for tenant in ("shop", "bank"):
        assert database.read(lambda db, of=tenant: record_at(db, of, position)) is None


async def test_no_position_of_one_tenant_names_the_event_of_another(log, database):
    """Rows of all logs are in one table, a log's number above the position."""
    await log.append([candidate("a"), candidate("a", tenant="bank")])
    for tenant, away in (("shop", 1), ("bank", -1)):
        found = database.read(
            lambda db, of=tenant, by=away: record_at(db, of, (by << POSITION_BITS) + 1)
        )
        assert found is None


async def test_large_events_are_decided_a_few_at_a_time_and_answered_together(database, clock):
    """Rules take long with large events; others have their turn between the transactions."""
    groups: list[list[str]] = []

    def follow(db, events, is_enough):
        groups.append([one.id for one in events])
        return len(events)

    log = SqliteFeedLog(database, wall_ms=clock, follower=follow)
    large = [candidate(f"l{n}", size=60_000) for n in range(9)]
    small = [candidate(f"s{n}") for n in range(40)]
    first, second = log.append([*small[:20], *large, *small[20:]]), log.append([candidate("after")])
    assert [one.position for one in await first] == list(range(1, 50))
    assert await second == [Appended(50, False)]
    assert [name for group in groups for name in group][:30] == [
        *(f"s{n}" for n in range(20)), *(f"l{n}" for n in range(9)), "s20",
    ]  # fmt: skip
    assert max(sum(name.startswith("l") for name in group) for group in groups) <= 2
    assert await log.append(large) == [Appended(21 + n, True) for n in range(9)]
    assert log.waiting_bytes == 0


async def test_what_waits_is_told_by_feed_until_it_is_answered_or_fails(database, clock):
    seen: list[float] = []

    def follow(db, events, is_enough):
        seen.extend(waiting.events for waiting in log.backlog.waiting(0.0).values())
        if any(one.id == "bad" for one in events):
            raise ValueError("stop")
        return len(events)

    log = SqliteFeedLog(database, wall_ms=clock, follower=follow)
    kept = log.append([candidate("a"), candidate("b")])
    failing = log.append([candidate("bad")])
    with pytest.raises(ValueError, match="stop"):
        await failing
    with pytest.raises(ValueError, match="stop"):  # one transaction
        await kept
    assert seen == [3]
    await log.append([candidate("a")])

    answers = [log.append([candidate(str(n), size=200_000) for n in range(4)]) for _ in range(2)]
    (waiting,) = log.backlog.waiting(1e12).values()
    assert waiting.events == 8
    assert waiting.seconds > 0
    for answer in answers:
        await answer
    (waiting,) = log.backlog.waiting(1e12).values()
    assert waiting == (0, 0.0)
