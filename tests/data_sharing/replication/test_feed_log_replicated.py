"""The feed log keeps its contract in a database whose commits go to a changelog."""

from __future__ import annotations

import pytest

from data_sharing.feeds.log_tables import SCHEMA
from data_sharing.feeds.port import Appended
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from tests.support.contracts.feed_log_contract import Clock, FeedLogContract, candidate, read_all
from tests.support.fakes.memory_changelog import MemoryChangeLog
from tests.support.replicas import replica_of, taken_over


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changelog() -> MemoryChangeLog:
    return MemoryChangeLog(piece_bytes=1 << 16)


@pytest.fixture
async def log(tmp_path, clock, changelog):
    async with taken_over(
        tmp_path / "sharing.db", [SCHEMA], replica_of(changelog), changelog
    ) as database:
        yield SqliteFeedLog(database, wall_ms=clock)


class TestReplicated(FeedLogContract):
    """See FeedLogContract."""


async def test_another_worker_has_the_same_log_and_goes_on_in_it(log, changelog, clock, tmp_path):
    await log.append([candidate("a"), candidate("b", tenant="bank"), candidate("c")])
    async with taken_over(
        tmp_path / "other" / "sharing.db", [SCHEMA], replica_of(changelog, "w2"), changelog
    ) as database:
        other = SqliteFeedLog(database, wall_ms=clock)
        assert await read_all(other, "shop") == await read_all(log, "shop")
        assert await other.append([candidate("c"), candidate("d")]) == [
            Appended(2, True), Appended(3, False),
        ]  # fmt: skip
