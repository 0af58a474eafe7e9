"""Reading on in the outbox."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.outbox_reader import PAGE, OutboxReader
from tests.support.decisions_harness import decision_harness
from tests.support.instructions import RING


async def test_each_instruction_is_read_once_and_new_ones_later(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        reader = OutboxReader(harness.database)
        assert reader.read() is None
        many = [(replace(RING, id=f"i-{n}"), False) for n in range(PAGE + 1)]
        await harness.database.transact(lambda db: outbox.put_all(db, many))
        first, second = reader.read(), reader.read()
        assert first is not None
        assert second is not None
        assert [one.instruction.id for one in first + second] == [one.id for one, _ in many]
        assert reader.read() is None
        await harness.database.transact(
            lambda db: outbox.put(db, replace(RING, id="i-new"), needs_approval=False)
        )
        assert [one.instruction.id for one in reader.read() or []] == ["i-new"]


async def test_what_has_ended_or_awaits_approval_is_left_out(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:

        def write(db) -> None:
            outbox.put_all(db, [(replace(RING, id=f"i-{n}"), n == 1) for n in range(3)])
            outbox.end_without_outcome(db, "i-2", InstructionState.DEAD)

        await harness.database.transact(write)
        reader = OutboxReader(harness.database)
        assert [one.instruction.id for one in reader.read() or []] == ["i-0"]
        assert reader.read() is None


async def test_a_page_of_approvals_alone_is_not_the_end(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        await harness.database.transact(lambda db: outbox.put(db, RING, needs_approval=True))
        reader = OutboxReader(harness.database)
        assert reader.read() == []
        assert reader.read() is None


async def test_an_instruction_that_cannot_be_read_holds_up_no_other(tmp_path: Path, caplog) -> None:
    """It stands in the database as it was; a page of such ones alone is not the end."""
    bodies = (b"", b"\xff", b"[" * 9_000, b'{"id":"\xff"}', b"{}")
    async with decision_harness(tmp_path) as harness:

        def write(db) -> None:
            outbox.put_all(db, [(replace(RING, id=f"i-{n}"), False) for n in range(2 * PAGE + 1)])
            for number in range(PAGE + 1):
                body = bodies[number % len(bodies)]
                db.execute("UPDATE instructions SET body = ? WHERE id = ?", (body, f"i-{number}"))

        await harness.database.transact(write)
        reader, read = OutboxReader(harness.database), []
        while (page := reader.read()) is not None:
            read += [one.instruction.id for one in page]
    assert read == [f"i-{n}" for n in range(PAGE + 1, 2 * PAGE + 1)]
    assert len(caplog.records) == PAGE + 1
