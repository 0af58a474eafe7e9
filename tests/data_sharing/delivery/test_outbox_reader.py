"""Reading on in the outbox."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.outbox_reader import PAGE, OutboxReader
from tests.support.decisions_harness import decision_harness
from tests.support.instructions import RING


def unbounded(tenant: str) -> int:
    return 1_000_000


async def test_each_instruction_is_read_once_and_new_ones_later(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        reader = OutboxReader(harness.database, unbounded)
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
        reader = OutboxReader(harness.database, unbounded)
        assert [one.instruction.id for one in reader.read() or []] == ["i-0"]
        assert reader.read() is None


async def test_a_page_of_approvals_alone_is_not_the_end(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        await harness.database.transact(lambda db: outbox.put(db, RING, needs_approval=True))
        reader = OutboxReader(harness.database, unbounded)
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
        reader, read = OutboxReader(harness.database, unbounded), []
        while (page := reader.read()) is not None:
            read += [one.instruction.id for one in page]
    assert read == [f"i-{n}" for n in range(PAGE + 1, 2 * PAGE + 1)]
    assert len(caplog.records) == PAGE + 1


async def test_who_has_no_room_is_left_behind_and_others_are_read_on(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        many = [(replace(RING, id=f"h-{n}", tenant="hostile"), False) for n in range(3 * PAGE)]
        one = [(replace(RING, id="s-0", tenant="steady"), False)]
        await harness.database.transact(lambda db: outbox.put_all(db, many + one))
        room = {"hostile": 10, "steady": 10}
        reader, read = OutboxReader(harness.database, room.__getitem__), list[str]()

        def read_on() -> None:
            while (page := reader.read()) is not None:
                for stored in page:
                    room[stored.instruction.tenant] -= 1
                    read.append(stored.instruction.id)

        read_on()
        assert read == [*(f"h-{n}" for n in range(10)), "s-0"]
        assert reader.behind == 1
        room["hostile"] = PAGE + 44
        read_on()
        assert read[11:] == [f"h-{n}" for n in range(10, PAGE + 54)]
        room["hostile"] = 10 * PAGE
        read_on()
        assert read[11:] == [f"h-{n}" for n in range(10, 3 * PAGE)]
        assert reader.behind == 0


STEPS = st.lists(
    st.one_of(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=12),  # decided, for these tenants
        st.tuples(st.sampled_from("abc"), st.integers(1, 9)),  # so many more have room
    ),
    max_size=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(steps=STEPS)
async def test_each_is_read_once_in_its_tenants_order_whoever_had_room_when(
    tmp_path_factory, steps
) -> None:
    decided: list[str] = []
    room: Counter[str] = Counter(dict.fromkeys("abc", 3))
    read: list[str] = []
    async with decision_harness(tmp_path_factory.mktemp("outbox")) as harness:
        reader = OutboxReader(harness.database, lambda tenant: room[tenant])

        def read_on() -> None:
            while (page := reader.read()) is not None:
                for stored in page:
                    tenant = stored.instruction.tenant
                    room[tenant] -= 1
                    assert room[tenant] >= 0, "more was read than there was room for"
                    read.append(stored.instruction.id)

        for step in [*steps, *((tenant, 1_000) for tenant in "abc")]:
            if isinstance(step, tuple):
                room[step[0]] += step[1]
            else:
                names = [f"{tenant}-{len(decided) + n}" for n, tenant in enumerate(step)]
                decided += names
                rows = [(replace(RING, id=name, tenant=name[0]), False) for name in names]
                await harness.database.transact(lambda db, rows=rows: outbox.put_all(db, rows))
            read_on()
    assert sorted(read) == sorted(decided)
    for tenant in "abc":
        of_tenant = [name for name in read if name[0] == tenant]
        assert of_tenant == [name for name in decided if name[0] == tenant]
