"""AccountState under the contract of client state, and what only a database of many accounts can
do wrong."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane.errors import DataLoss, Refused
from control_plane.handoff.chunks import StateTooLarge
from deployment_units.services.state import owners
from deployment_units.services.state.accounts import AccountState
from deployment_units.services.state.database import FILE, UnitDatabase
from deployment_units.services.state.folder import FolderState
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.port import NewerStateKept, read_state, replace_state
from deployment_units.services.state.stream import FRAME_BYTES, StreamWriter
from tests.support.account_parts import NOTE_PART, NOTES, Ticking, database, state_of
from tests.support.contracts.client_state_contract import ClientStateContract

MOST_BYTES = 4_000_000


def wall_ms() -> int:
    return 1_000


def notes(*rows: tuple[object, ...]) -> bytes:
    writer = StreamWriter(7)
    frames = [writer.row(NOTE_PART, NOTES, row) for row in rows]
    return b"".join(frames) + writer.finish()


@asynccontextmanager
async def opened(folder: Path, clock: Ticking | None = None) -> AsyncIterator[UnitDatabase]:
    made = database(folder, clock)
    try:
        yield made
    finally:
        await made.close()


def state_in(made: UnitDatabase) -> AccountState:
    return AccountState(made, wall_ms=wall_ms, most_bytes=MOST_BYTES)


def count(made: UnitDatabase, table: str) -> int:
    return int(made.read(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


class TestAccountState(ClientStateContract):
    def state_of(self, data: bytes) -> bytes:
        return state_of(data)

    @pytest.fixture
    async def state(self, tmp_path: Path) -> AsyncIterator[AccountState]:
        async with opened(tmp_path / "unit") as made:
            yield state_in(made)


class TestInSlices(TestAccountState):
    """Slices that are over after one step: everything is done in as many as can be."""

    @pytest.fixture
    async def state(self, tmp_path: Path) -> AsyncIterator[AccountState]:
        clock = Ticking()
        clock.step = 1.0
        async with opened(tmp_path / "unit", clock) as made:
            yield state_in(made)


ROWS = [("b", n, "x" * n, n) for n in range(200)] + [("c", 2**62, None, None)]


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
async def made(tmp_path: Path, clock: Ticking) -> AsyncIterator[UnitDatabase]:
    async with opened(tmp_path / "unit", clock) as one:
        yield one


@pytest.fixture
def state(made: UnitDatabase) -> AccountState:
    return state_in(made)


async def test_it_outlives_the_process_and_is_the_same_to_the_byte(tmp_path: Path) -> None:
    sent = notes(*ROWS)
    async with opened(tmp_path / "one") as one:
        await replace_state(state_in(one), "t", "alice", 3, sent)
    async with opened(tmp_path / "one") as one, opened(tmp_path / "two") as two:
        read = await read_state(state_in(one), "t", "alice")
        await replace_state(state_in(two), "t", "alice", 4, read)
        again = await read_state(state_in(two), "t", "alice")
    assert hashlib.sha256(sent).digest() == hashlib.sha256(read).digest()
    assert read == again


async def test_the_order_of_writing_does_not_show(made: UnitDatabase, state: AccountState) -> None:
    def write(db, names: list[str], account: str) -> None:
        number = owners.add(db, "t", account, epoch=1, state=OwnerState.LIVE, now_ms=1)
        for name in names:
            db.execute("INSERT INTO notes VALUES (?, ?, 1, 'text', NULL)", (number, name))

    names = ["b", "a", "é", "Z", "\U0001f600", "\uffff"]
    await made.transact(lambda db: write(db, names, "alice"))
    await made.transact(lambda db: write(db, names[::-1], "bob"))
    alice = await read_state(state, "t", "alice")
    assert alice == await read_state(state, "t", "bob")
    # What it reads it takes: SQLite's order of texts is that of the check.
    await replace_state(state, "t", "carol", 1, alice)


async def test_what_is_kept_is_counted_and_no_less_than_its_stream(
    made: UnitDatabase, state: AccountState
) -> None:
    sent = notes(*ROWS, ("d", 1, "é" * 1_000, None))
    await replace_state(state, "t", "alice", 1, sent)

    def kept(db) -> int:
        found = owners.find(db, "t", "alice")
        assert found is not None
        return found.bytes

    whole = made.read(kept)
    frames = 100  # of the stream's own
    assert len(sent) - frames <= whole <= 2 * len(sent)

    def change(db) -> None:
        db.execute("UPDATE notes SET text = 'é' WHERE topic = 'd'")
        db.execute("INSERT OR REPLACE INTO notes SELECT owner, 'd', 1, 'zz', 9999 FROM owners")
        db.execute("DELETE FROM notes WHERE topic <> 'd'")

    await made.transact(change)
    one = 8 + 5 + 1 + 9 + 5 + 2 + 9
    assert made.read(kept) == one
    await made.transact(lambda db: db.execute("DELETE FROM notes"))
    assert made.read(kept) == 0


async def test_what_was_replaced_forgotten_or_given_up_is_deleted(
    made: UnitDatabase, state: AccountState, clock: Ticking
) -> None:
    await replace_state(state, "t", "alice", 1, notes(*ROWS))
    await replace_state(state, "t", "alice", 2, notes(*ROWS[:3]))
    await replace_state(state, "t", "bob", 1, notes(*ROWS))
    await state.forget("t", "bob", 1)
    given_up = await state.begin("t", "carol", 1)
    await given_up.append(notes(*ROWS))
    under_way = await state.begin("t", "dave", 1)
    await under_way.append(notes(*ROWS[:5]))
    given_up.abort()
    clock.step = 0.001
    await state.delete_gone()
    assert count(made, "notes") == 3 + 5
    assert count(made, "owners") == 2
    await under_way.commit()
    await state.delete_gone()
    assert await read_state(state, "t", "dave") == notes(*ROWS[:5])


async def test_what_is_being_read_is_not_deleted_under_its_reader(
    made: UnitDatabase, state: AccountState, clock: Ticking
) -> None:
    old = state_of(b"o" * 3_800_000)  # more rows than are read before the clock is looked at
    await replace_state(state, "t", "alice", 1, old)
    clock.step = 1.0
    pieces = state.export("t", "alice")
    read = await anext(pieces)
    await state.forget("t", "alice", 1)
    await state.delete_gone()
    async for piece in pieces:
        read += piece
    assert read == old
    await state.delete_gone()
    assert count(made, "blobs") == 0


async def test_imports_that_a_crash_cut_short_are_swept_away(tmp_path: Path) -> None:
    async with opened(tmp_path / "unit") as first:
        state = state_in(first)
        await replace_state(state, "t", "alice", 1, notes(*ROWS[:2]))
        taking = await state.begin("t", "alice", 2)
        await taking.append(notes(*ROWS))
    async with opened(tmp_path / "unit") as second:
        state = state_in(second)
        await state.delete_gone()
        assert count(second, "notes") == 2
        assert await read_state(state, "t", "alice") == notes(*ROWS[:2])


async def test_deleting_goes_on_in_the_background(made: UnitDatabase, state: AccountState) -> None:
    await replace_state(state, "t", "alice", 1, notes(*ROWS))
    deleting = asyncio.create_task(state.run())
    try:
        await state.forget("t", "alice", 1)
        async with asyncio.timeout(10):
            while count(made, "owners"):  # noqa: ASYNC110 - the other side is a task
                await asyncio.sleep(0.01)
        assert count(made, "notes") == 0
    finally:
        deleting.cancel()


async def test_whoever_goes_away_before_an_import_began_leaves_nothing(
    made: UnitDatabase, state: AccountState
) -> None:
    for turns in range(6):
        beginning = asyncio.create_task(state.begin("t", "alice", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        beginning.cancel()
        outcome = (await asyncio.gather(beginning, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            outcome.abort()
    await made.transact(lambda db: None)
    await state.delete_gone()
    assert count(made, "owners") == 0


def spoilt() -> Iterator[tuple[str, bytes]]:
    whole = notes(*ROWS[:3])
    yield "is cut short", whole[:-1]
    yield "lacks its end", notes(*ROWS[:3])[: -len(StreamWriter(0).finish()) - 7]
    yield "goes on", whole + b"\0"
    yield "repeats itself", whole + whole
    yield "is something else", b"\0" * 100
    yield "is another kind of state", state_of(b"x" * 500_000)[200_000:]
    yield "has a row twice", notes(ROWS[0], ROWS[0])
    yield "has rows out of order", notes(ROWS[1], ROWS[0])
    yield "has a text where a number is due", notes(("b", "c", "d", 1))
    yield "has too few values", notes(("b", 1))
    yield "has a number that no database holds", notes(("b", 2**63, "x", 1))
    yield "breaks a rule of its table", notes(("b", 1, "x", 1), ("b", 2, "x", 1))


@pytest.mark.parametrize(("what", "stream"), [pytest.param(*one, id=one[0]) for one in spoilt()])
async def test_state_is_refused_that(
    what: str, stream: bytes, made: UnitDatabase, state: AccountState
) -> None:
    kept = notes(*ROWS[5:9])
    await replace_state(state, "t", "alice", 1, kept)
    with pytest.raises(DataLoss):
        await replace_state(state, "t", "alice", 2, stream)
    await state.delete_gone()
    assert count(made, "notes") == 4
    assert await read_state(state, "t", "alice") == kept


async def test_more_than_a_unit_keeps_of_one_is_refused(state: AccountState) -> None:
    with pytest.raises(StateTooLarge, match=str(MOST_BYTES)):
        await replace_state(state, "t", "alice", 1, state_of(b"x" * (MOST_BYTES + FRAME_BYTES)))


async def test_as_much_as_a_unit_keeps_of_one_is_taken(
    made: UnitDatabase, state: AccountState
) -> None:
    def fill(db) -> None:
        number = owners.add(db, "t", "alice", epoch=1, state=OwnerState.LIVE, now_ms=1)
        # Rows in which nothing is spared: the longest numbers, texts of the longest kind.
        row = 8 + (5 + 65_536) + 9 + (5 + 65_536) + 9
        for place in range(MOST_BYTES // row):
            text = "x" * 65_536
            topic = f"{place:02d}{'y' * 65_534}"
            db.execute(
                "INSERT INTO notes VALUES (?, ?, ?, ?, ?)",
                (number, topic, 2**62, text, -(2**62) - place),
            )
        rest = MOST_BYTES - owners.bytes_of(db, number)
        db.execute("INSERT INTO blobs VALUES (?, ?, ?)", (number, 2**62, b"z" * (rest - 22)))
        assert owners.bytes_of(db, number) == MOST_BYTES

    await made.transact(fill)
    sent = await read_state(state, "t", "alice")
    await replace_state(state, "t", "alice", 2, sent)
    assert await read_state(state, "t", "alice") == sent


async def test_a_late_import_is_refused_before_it_is_sent(state: AccountState) -> None:
    await replace_state(state, "t", "alice", 2, notes(*ROWS[:1]))
    with pytest.raises(NewerStateKept):
        await state.begin("t", "alice", 1)


async def test_a_folder_with_files_of_clients_is_not_taken(tmp_path: Path) -> None:
    FolderState(tmp_path / "unit")
    with pytest.raises(Refused, match="without accounts"):
        database(tmp_path / "unit")
    assert not (tmp_path / "unit" / FILE).exists()
