"""The cell cache: loaded once, written when drained, forgotten when a transaction fails."""

from __future__ import annotations

import msgspec

from data_sharing.rules.cell_cache import NEVER_MS, CellCache, CellId, RuleCell, StoredCell
from data_sharing.rules.rule_health import RuleHealth

CELL = CellId("home", "rule", "r", "k")


class Stored:
    """Cells as a database would have them."""

    def __init__(self) -> None:
        self.cells: dict[CellId, StoredCell] = {}
        self.loads: list[CellId] = []

    def load(self, cell: CellId) -> StoredCell | None:
        self.loads.append(cell)
        return self.cells.get(cell)

    def write(self, cache: CellCache) -> list[CellId]:
        """What `drain` asks for, done."""
        writes = cache.drain()
        for one in writes:
            if one.content is None:
                self.cells.pop(one.id, None)
            else:
                self.cells[one.id] = StoredCell(one.content, one.producer)
        return [one.id for one in writes]


def test_a_cell_is_loaded_once_whether_it_is_there_or_not() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    assert cache.get(CELL) is None
    assert cache.get(CELL) is None
    assert stored.loads == [CELL]


def test_what_was_put_comes_back_through_the_store() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    cache.put(CELL, RuleCell(newest_ms=7, fired_ms={"p": 3}), 99)
    assert stored.write(cache) == [CELL]
    assert CellCache(stored.load).get(CELL) == RuleCell(newest_ms=7, fired_ms={"p": 3})


def test_a_cell_that_many_events_change_is_written_once_in_its_last_form() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    for newest_ms in (1, 2, 3):
        cache.put(CELL, RuleCell(newest_ms=newest_ms), newest_ms)
    (write,) = cache.drain()
    assert write.expires_ms == 3
    assert cache.drain() == []


def test_none_deletes() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    cache.put(CELL, RuleCell())
    stored.write(cache)
    cache.put(CELL, None)
    stored.write(cache)
    assert stored.cells == {}


def test_forgetting_goes_back_to_what_is_stored() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    cache.put(CELL, RuleCell(newest_ms=1))
    stored.write(cache)
    cache.put(CELL, RuleCell(newest_ms=2))
    cache.forget()
    assert cache.get(CELL).newest_ms == 1
    assert cache.drain() == []


def test_a_dropped_cell_is_neither_written_nor_remembered() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    cache.put(CELL, RuleCell(newest_ms=1))
    cache.drop(CELL)
    assert cache.drain() == []
    assert cache.get(CELL) is None


def test_the_cache_is_bounded_and_what_left_it_is_loaded_again() -> None:
    stored = Stored()
    cache = CellCache(stored.load, most_cells=2)
    cells = [CellId("home", "rule", "r", f"k{n}") for n in range(4)]
    for number, cell in enumerate(cells):
        cache.put(cell, RuleCell(newest_ms=number))
    stored.write(cache)
    assert [cache.get(cell).newest_ms for cell in cells] == [0, 1, 2, 3]
    assert stored.loads == cells[:2]


def test_the_cache_is_bounded_in_bytes_whether_they_were_loaded_or_made() -> None:
    stored = Stored()
    for n in range(20):  # larger than what is made
        large = RuleCell(fired_ms=dict.fromkeys(map(str, range(1_000)), n))
        stored.cells[CellId("home", "rule", "r", f"l{n}")] = StoredCell(
            msgspec.msgpack.encode(large)
        )
    cache = CellCache(stored.load, most_bytes=10_000)
    for cell in list(stored.cells):
        cache.get(cell)
    assert cache.drain() == []
    assert cache.bytes <= 10_000
    for n in range(2_000):
        cache.put(CellId("home", "rule", "r", f"k{n}"), RuleCell(newest_ms=n))
    assert len(stored.write(cache)) == 2_000, "what has changed is stored all the same"
    assert 0 < cache.bytes <= 10_000
    assert cache.get(CellId("home", "rule", "r", "k0")).newest_ms == 0
    last = CellId("home", "rule", "r", "k1999")
    before = len(stored.loads)
    assert cache.get(last).newest_ms == 1_999
    assert len(stored.loads) == before, "what changed last is still there"
    cache.forget()
    assert cache.bytes == 0


def test_a_fork_changes_nothing_in_the_original() -> None:
    stored = Stored()
    cache = CellCache(stored.load)
    cache.put(CELL, RuleCell(newest_ms=1))
    fork = cache.fork()
    fork.get(CELL).newest_ms = 2
    fork.put(CELL, fork.get(CELL))
    assert cache.get(CELL).newest_ms == 1
    assert len(fork.drain()) == 1


def test_what_cannot_be_read_any_more_counts_as_not_there() -> None:
    stored = Stored()
    stored.cells[CellId("home", "health", "r", "")] = StoredCell(b"\xa5other")
    assert CellCache(stored.load).get(CellId("home", "health", "r", "")) is None


def test_a_cell_without_expiry_stays() -> None:
    cache = CellCache(lambda _: None)
    cache.put(CellId("home", "health", "r", ""), RuleHealth(1))
    assert [one.expires_ms for one in cache.drain()] == [NEVER_MS]


def test_who_made_a_cell_goes_with_all_its_writes_until_it_is_gone() -> None:
    stored = Stored()
    cache = CellCache(stored.load, most_cells=1)

    def written(content: RuleCell | None, producer: str) -> str:
        cache.get(CELL)
        cache.put(CELL, content, 9, producer)
        made_by = cache.drain()[-1].producer
        stored.cells[CELL] = StoredCell(msgspec.msgpack.encode(content), made_by)
        return made_by

    assert written(RuleCell(), "/first") == "/first"
    assert written(RuleCell(newest_ms=2), "/other") == "/first", "it is kept"
    cache.put(CellId("home", "rule", "r", "k2"), RuleCell())
    cache.drain()
    assert written(RuleCell(newest_ms=3), "/other") == "/first", "it is loaded"
    written(None, "/other")
    del stored.cells[CELL]
    assert written(RuleCell(), "/other") == "/other", "it is a new one"
    cache.drop(CELL)
    del stored.cells[CELL]
    assert written(RuleCell(), "") == ""


def test_the_cache_is_bounded_with_the_names_of_who_made_its_cells() -> None:
    cache = CellCache(lambda _: None, most_bytes=10_000)
    for n in range(100):
        cache.put(CellId("home", "rule", "r", f"k{n}"), RuleCell(), 9, "/" + "p" * 1_000)
    assert len(cache.drain()) == 100
    assert 0 < cache.bytes <= 10_000
    cache.forget()
    assert cache.bytes == 0
