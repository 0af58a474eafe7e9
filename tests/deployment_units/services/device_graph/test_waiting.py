"""Browsers that wait: for a day, so many of an address and of a unit, the oldest go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from control_plane.sqlite.schema import migrate
from deployment_units.services.device_graph import waiting
from deployment_units.services.device_graph.evidence import BootInstant, BootSource, NoBoot
from deployment_units.services.device_graph.kept import MOST_AT_ADDRESS, PART
from deployment_units.services.device_graph.matching import SESSION_MS, Observation
from deployment_units.services.device_graph.networks import network_of

TENANT = "talk"


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, [PART.schema])
    yield connection
    connection.close()


def seen(browser: str, at_ms: int, *, block: str = "198.51.100.7") -> Observation:
    boot = BootInstant(ms=7, plus_minus_ms=1, source=BootSource.UPTIME, seen_ms=at_ms)
    return Observation(browser=browser, block=block, server="", boot=boot, seen_ms=at_ms)


def there(db: sqlite3.Connection, block: str = "198.51.100.7") -> list[str]:
    return [one.browser for one in waiting.waiting_at(db, TENANT, block)]


def test_what_waits_is_found_by_address_and_by_browser(db: sqlite3.Connection) -> None:
    waiting.wait(db, TENANT, seen("a", 1))
    waiting.wait(db, TENANT, seen("b", 2, block="203.0.113.9"))
    waiting.wait(db, "other", seen("c", 3))
    assert there(db) == ["a"]
    assert waiting.waiting_of(db, TENANT, "b") == [seen("b", 2, block="203.0.113.9")]
    assert waiting.waiting_of(db, TENANT, "c") == []
    waiting.no_longer_waits(db, TENANT, ["a"])
    assert there(db) == []


def test_what_tells_nothing_does_not_wait(db: sqlite3.Connection) -> None:
    said = Observation(browser="a", block="x", server="", boot=NoBoot.NOTHING, seen_ms=1)
    waiting.wait(db, TENANT, said)
    assert there(db, "x") == []


def test_of_one_address_the_oldest_go(db: sqlite3.Connection) -> None:
    for number in range(MOST_AT_ADDRESS + 3):
        waiting.wait(db, TENANT, seen(f"{number:04}", number))
    assert there(db) == [f"{number:04}" for number in range(3, MOST_AT_ADDRESS + 3)]


def test_after_a_day_they_go_and_of_too_many_the_oldest(db: sqlite3.Connection) -> None:
    for number in range(10):
        waiting.wait(db, TENANT, seen(f"{number}", number, block=f"198.51.100.{number}"))
    while waiting.forget_waiting(db, now_ms=SESSION_MS + 4, most=100):
        pass
    left = [number for number in range(10) if there(db, f"198.51.100.{number}")]
    assert left == [4, 5, 6, 7, 8, 9]
    assert waiting.forget_waiting(db, now_ms=SESSION_MS, most=6) == 0
    assert waiting.forget_waiting(db, now_ms=SESSION_MS, most=5) > 0


def test_one_network_pushes_out_its_own_and_nobody_elses(db: sqlite3.Connection) -> None:
    waiting.wait(db, TENANT, seen("other", 0, block="2001:db8:1:1::/64"), most_of_network=5)
    waiting.wait(db, "rival", seen("theirs", 0, block="2001:db8::/64"), most_of_network=5)
    for number in range(20):
        block = f"2001:db8:0:{number:x}::/64"
        waiting.wait(db, TENANT, seen(f"{number}", number + 1, block=block), most_of_network=5)
    left = [n for n in range(20) if there(db, f"2001:db8:0:{n:x}::/64")]
    assert left == [15, 16, 17, 18, 19]
    assert there(db, "2001:db8:1:1::/64") == ["other"]
    assert [one.browser for one in waiting.waiting_at(db, "rival", "2001:db8::/64")] == ["theirs"]


@pytest.mark.parametrize(
    ("block", "network"),
    [
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("198.51.100.7", "198.51.100.0/24"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_whose_network_an_address_is(block: str, network: str) -> None:
    assert network_of(block) == network
