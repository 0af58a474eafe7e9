"""Calls and texts through two units: who is rung and shown, and what is kept of it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane.errors import PermissionDenied, ServiceError
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.state.port import read_state
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.allocation import unambiguous
from deployment_units.services.telephony.directory_call_homes import MISSES, MISSES_WITHHELD
from deployment_units.services.telephony.linking import Linked
from deployment_units.services.telephony.port import (
    CallKind,
    CallRoute,
    Emergency,
    EndCause,
    Leg,
    Refused,
    RefusedCause,
)
from deployment_units.services.telephony.records import CallLimits
from deployment_units.services.telephony.routing import CallAsked
from deployment_units.services.telephony.unit_numbers import FRESH_MS
from homeport.api.communication.v1 import telephony_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.number_servers import number
from tests.support.telephony_units import (
    P1,
    P2,
    P3,
    T2,
    T3,
    V2,
    CallsUnit,
    CallUnits,
    T,
    V,
    call_units,
)


@pytest.fixture
async def units(tmp_path: Path):
    async with call_units(tmp_path) as made:
        yield made


def leg(found: CallRoute) -> tuple[str, str | None]:
    assert isinstance(found, Leg), found
    return found.target, found.shown


def refused(found: CallRoute) -> RefusedCause:
    assert isinstance(found, Refused), found
    return found.cause


@pytest.mark.parametrize("kind", [CallKind.CALL, CallKind.TEXT])
@pytest.mark.parametrize("at", ["london", "stockholm"])
async def test_both_sides_see_numbers_that_stand_for_each_other(
    units: CallUnits, at: str, kind: CallKind
) -> None:
    """Wherever the call comes in."""
    linked = await units.london.link("anna", P2)
    assert linked.technical == T
    unit: CallsUnit = getattr(units, at)
    assert leg(await unit.call(P1, T, kind)) == (P2, V)
    assert leg(await unit.call(P2, V, kind)) == (P1, T)


async def test_a_number_is_the_same_however_it_is_dialled(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    for dialled in (T, "00442079460101", "020 7946 0101"):
        assert leg(await units.stockholm.call(P1, dialled)) == (P2, V)


async def test_one_technical_number_is_somebody_else_s_for_each_caller(units: CallUnits) -> None:
    await units.settle("ben", P3, V2, unit=units.stockholm)
    assert (await units.london.link("anna", P2)).technical == T
    assert (await units.stockholm.link("ben", P1)).technical == T
    for unit in (units.london, units.stockholm):
        assert leg(await unit.call(P1, T)) == (P2, V)
        assert leg(await unit.call(P3, T)) == (P1, V2)


@pytest.mark.parametrize("dialled", ["112", "999", "urn:service:sos"])
async def test_an_emergency_call_goes_on_though_everything_is_away(
    units: CallUnits, dialled: str
) -> None:
    units.london.directory.away = True
    await units.london.database.close()
    found = await units.london.call(P1, dialled)
    assert isinstance(found, Emergency)
    assert found.caller == P1
    assert units.london.directory.asked == []


async def test_a_stranger_gets_a_number_at_which_it_is_called_back(units: CallUnits) -> None:
    assert leg(await units.stockholm.call(P3, V)) == (P1, T)
    assert leg(await units.london.call(P1, T)) == (P3, V)
    (link,) = (await units.london.links("anna")).links
    assert (link.contact, link.by_stranger, link.HasField("last")) == (P3, True, True)


async def test_a_stranger_is_nobody_where_the_account_wants_it_so(units: CallUnits) -> None:
    wanted = pb.SetStrangersRequest(strangers=pb.STRANGERS_ANONYMOUS)
    await units.london.telephony.SetStrangers(wanted, units.london.by_ticket("anna"))
    assert leg(await units.london.call(P3, V)) == (P1, None)
    assert not (await units.london.links("anna")).links


async def test_who_withholds_its_number_is_nobody(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    assert leg(await units.london.call(None, V)) == (P1, None)
    assert leg(await units.london.call("anonymous", V)) == (P1, None)
    assert isinstance(await units.london.call(None, T), Refused)


async def test_where_no_number_is_left_a_stranger_is_nobody_and_a_contact_not_linked(
    units: CallUnits,
) -> None:
    for contact in (P2, P3, number(304)):
        await units.london.link("anna", contact)
    assert leg(await units.london.call(number(305), V)) == (P1, None)
    with pytest.raises(Exception, match="no technical number") as empty:
        await units.london.link("anna", number(305))
    assert empty.value.reason == "POOL_EMPTY"  # type: ignore[attr-defined]


async def test_strangers_get_so_many_numbers_a_day(units: CallUnits) -> None:
    def made_by_stranger(db: sqlite3.Connection, owner: int) -> None:
        for n in range(50):
            row = kept.LinkRow(
                technical=f"+4420794602{n:02}", contact=f"+4420794604{n:02}",
                made_by=kept.BY_STRANGER, since_ms=units.london.wall_ms(), last_ms=None,
            )  # fmt: skip
            kept.add_link(db, owner, row, now_ms=units.london.wall_ms())

    resident = Resident(tenant=TENANT, account="anna", epoch=1)
    await units.london.accounts.change(resident, made_by_stranger)
    assert leg(await units.london.call(P3, V)) == (P1, None)
    units.later(86_400)
    assert leg(await units.london.call(P3, V)) == (P1, T)


async def test_a_link_that_was_taken_back_reaches_nobody_and_its_number_rests(
    units: CallUnits,
) -> None:
    await units.london.link("anna", P2)
    request = pb.UnlinkContactRequest(number=P2)
    context = units.london.by_ticket("anna")
    assert (await units.london.telephony.UnlinkContact(request, context)).unlinked
    assert not (await units.london.telephony.UnlinkContact(request, context)).unlinked
    assert refused(await units.london.call(P1, T)) is RefusedCause.NOT_FOUND
    assert (await units.london.link("anna", P3)).technical == T2
    units.later(kept.REST_MS / 1_000 + 1)
    context = units.london.by_ticket("anna")
    assert (await units.london.link("anna", number(304))).technical == T


async def test_an_account_with_another_telephone_keeps_its_links(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    await units.there.numbers.proved("anna", f"tel:{P3}")
    resident = Resident(tenant=TENANT, account="anna", epoch=1)

    def change(db: sqlite3.Connection, owner: int) -> None:
        db.execute(
            "UPDATE identifiers SET uri = ? WHERE owner = ? AND kind = 'tel'", (f"tel:{P3}", owner)
        )

    await units.london.accounts.change(resident, change)
    assert leg(await units.london.call(P3, T)) == (P2, V)
    assert leg(await units.london.call(P2, V)) == (P3, T)
    assert refused(await units.london.call(P1, T)) is RefusedCause.NOT_FOUND


@pytest.mark.parametrize(
    ("caller", "dialled", "cause"),
    [
        pytest.param(P2, number(2), RefusedCause.NOT_FOUND, id="a-number-that-is-nobody-s"),
        pytest.param(P2, "+33123456789", RefusedCause.NOT_FOUND, id="a-number-of-no-tenant"),
        pytest.param(P3, T, RefusedCause.NOT_FOUND, id="a-technical-one-by-a-stranger"),
        pytest.param(P1, V, RefusedCause.LOOP, id="the-own-one"),
        pytest.param(T2, V, RefusedCause.LOOP, id="from-a-number-of-ours"),
        pytest.param(P1, "+449098790000", RefusedCause.NOT_ORDINARY, id="premium"),
        pytest.param(P1, "anna", RefusedCause.NOT_A_NUMBER, id="a-name"),
    ],
)
async def test_nobody_else_is_reached(
    units: CallUnits, caller: str, dialled: str, cause: RefusedCause
) -> None:
    await units.london.link("anna", P2)
    for unit in (units.london, units.stockholm):
        assert refused(await unit.call(caller, dialled)) is cause


@pytest.mark.parametrize(
    ("contact", "says"),
    [
        pytest.param(V2, "would come back", id="a-virtual-one"),
        pytest.param(T3, "would come back", id="a-technical-one"),
        pytest.param("+33123456789", "country", id="of-another-country"),
        pytest.param("+449098790000", "no fixed, mobile", id="premium"),
        pytest.param("999", "contact", id="emergency"),
        pytest.param(P1, "own number", id="the-own-one"),
    ],
)
async def test_such_contacts_are_not_linked(units: CallUnits, contact: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        await units.london.link("anna", contact)


async def test_a_telephone_that_is_a_number_of_ours_is_not_rung(units: CallUnits) -> None:
    """Codes that are sent there come through, so it could be proved; calls would go round."""
    await units.settle("ben", V, V2)
    assert refused(await units.london.call(P3, V2)) is RefusedCause.NO_NUMBER


async def test_a_stranger_whose_number_is_another_account_s_virtual_one_gets_none(
    units: CallUnits,
) -> None:
    assert leg(await units.london.call(V2, V)) == (P1, None)


async def test_calls_go_by_the_unit_s_own_tables_while_the_directory_is_away(
    units: CallUnits,
) -> None:
    await units.london.link("anna", P2)
    units.london.directory.away = True
    units.later(FRESH_MS / 1_000 * 3)
    assert leg(await units.london.call(P1, T)) == (P2, V)
    assert leg(await units.london.call(P2, V)) == (P1, T)
    assert leg(await units.london.call(P3, V)) == (P1, None)  # whose it is nobody can say
    units.stockholm.directory.away = True
    assert refused(await units.stockholm.call(P2, V)) is RefusedCause.UNAVAILABLE


@pytest.mark.parametrize(
    ("caller", "rate"), [(P3, MISSES), (None, MISSES_WITHHELD)], ids=["a-number", "withheld"]
)
async def test_who_finds_nobody_again_and_again_uses_up_nothing_of_others(
    units: CallUnits, caller: str | None, rate: Rate
) -> None:
    await units.london.link("anna", P2)
    for _ in range(int(rate.burst)):
        assert refused(await units.stockholm.call(caller, V2)) is RefusedCause.NOT_FOUND
    assert refused(await units.stockholm.call(caller, V2)) is RefusedCause.UNAVAILABLE
    for _ in range(int(rate.burst)):  # who finds somebody uses up nothing
        units.later(61)
        assert leg(await units.stockholm.call(P2, V)) == (P1, T)
    assert refused(await units.stockholm.call(caller, V2)) is RefusedCause.NOT_FOUND


async def test_a_released_number_reaches_nobody_any_more(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    await units.there.numbers.pools.release(TENANT, V, remove=False)
    units.later(FRESH_MS / 1_000 * 2)
    assert refused(await units.london.call(P2, V)) is RefusedCause.NOT_FOUND


async def test_an_account_moves_with_its_links_and_calls(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    found = await units.london.call(P2, V)
    assert isinstance(found, Leg)
    before = await units.london.links("anna"), await units.london.listed("anna")
    bytes_before = await read_state(units.london.state, TENANT, "anna")
    await units.move("anna", units.london, units.stockholm, 2)
    after = await units.stockholm.links("anna", 2), await units.stockholm.listed("anna", 2)
    assert after == before
    left = units.london.database.read(lambda db: kept.owner_of_call(db, P2, V))
    assert left is None  # though its rows may still be there
    assert await read_state(units.stockholm.state, TENANT, "anna") == bytes_before
    await units.move("anna", units.stockholm, units.london, 3)
    units.later(120)  # what was remembered of homes is old
    for unit in (units.london, units.stockholm):
        assert leg(await unit.call(P1, T)) == (P2, V)
    await units.london.routing.ended(found.record, units.london.wall_ms(), EndCause.BUSY)
    await units.london.reports.bring_due()
    assert (await units.london.listed("anna", 3))[-1].end == pb.CALL_END_BUSY


async def test_a_unit_that_remembers_an_earlier_home_asks_again(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    assert leg(await units.stockholm.call(P2, V)) == (P1, T)
    await units.move("anna", units.london, units.stockholm, 2)
    assert leg(await units.london.call(P2, V)) == (P1, T)
    await units.move("anna", units.stockholm, units.london, 3)
    assert leg(await units.stockholm.call(P2, V)) == (P1, T)


async def test_what_became_of_a_call_is_kept_without_its_numbers(units: CallUnits) -> None:
    await units.london.link("anna", P2)
    found = await units.stockholm.call(P2, V)
    assert isinstance(found, Leg)
    at_ms, routing = units.stockholm.wall_ms(), units.stockholm.routing
    await routing.began(found.record, at_ms + 1_000)
    await routing.answered(found.record, at_ms + 5_000)
    await routing.ended(found.record, at_ms + 65_000, EndCause.COMPLETED)
    await routing.ended(found.record, at_ms + 99_000, EndCause.LOST)  # said again
    await units.stockholm.reports.bring_due()
    assert not len(units.stockholm.reports)
    (call,) = await units.london.listed("anna")
    assert (call.technical, call.outgoing, call.end) == (T, False, pb.CALL_END_COMPLETED)
    assert call.duration.seconds == 60
    rows = units.london.database.read(
        lambda db: db.execute("SELECT * FROM call_records").fetchall()
    )
    assert P2 not in str(rows)
    assert P2.encode() not in b"".join(value for value in rows[0] if isinstance(value, bytes))


async def test_a_report_is_brought_again_until_the_home_has_it(units: CallUnits) -> None:
    found = await units.stockholm.call(P2, V)
    assert isinstance(found, Leg)
    units.peers.away.add("london")
    at_ms = units.stockholm.wall_ms()
    await units.stockholm.routing.ended(found.record, at_ms, EndCause.NO_ANSWER)
    for _ in range(3):
        await units.stockholm.reports.bring_due()
        units.later(10)
    assert len(units.stockholm.reports) == 1
    units.peers.away.clear()
    await units.stockholm.reports.bring_due()
    (call,) = await units.london.listed("anna")
    assert call.end == pb.CALL_END_NO_ANSWER
    units.peers.away.add("london")
    await units.stockholm.routing.ended(found.record, at_ms, EndCause.NO_ANSWER)
    for _ in range(80):
        await units.stockholm.reports.bring_due()
        units.later(10)
    assert (len(units.stockholm.reports), units.stockholm.reports.dropped) == (0, 1)


async def test_an_account_has_so_many_calls_at_once_and_minutes_a_day(tmp_path: Path) -> None:
    limits = CallLimits(calls=2, minutes_a_day=3, texts_a_day=2, most_s=60)
    async with call_units(tmp_path, limits=limits) as units:
        await units.london.link("anna", P2)
        first, second = [await units.london.call(P2, V) for _ in range(2)]
        assert isinstance(first, Leg)
        assert isinstance(second, Leg)
        assert first.limit_s == 60
        assert refused(await units.london.call(P2, V)) is RefusedCause.TOO_MANY
        at_ms, routing = units.london.wall_ms(), units.london.routing
        for one in (first, second):
            await routing.answered(one.record, at_ms)
            await routing.ended(one.record, at_ms + 75_000, EndCause.COMPLETED)
        await units.london.reports.bring_due()
        third = await units.london.call(P2, V)
        assert isinstance(third, Leg)
        assert third.limit_s == 30  # of 180 s, 150 are used
        assert refused(await units.london.call(P2, V)) is RefusedCause.MINUTES
        for _ in range(2):
            await units.london.call(P2, V, CallKind.TEXT)
        text = await units.london.call(P2, V, CallKind.TEXT)
        assert refused(text) is RefusedCause.TOO_MANY
        units.later(86_400)
        assert isinstance(await units.london.call(P2, V), Leg)


async def test_a_call_of_which_nothing_is_heard_holds_nobody_up(tmp_path: Path) -> None:
    async with call_units(tmp_path, limits=CallLimits(calls=1)) as units:
        await units.london.call(P2, V)
        assert refused(await units.london.call(P2, V)) is RefusedCause.TOO_MANY
        units.later(200)
        assert isinstance(await units.london.call(P2, V), Leg)


async def test_contacts_who_call_at_once_get_different_numbers(units: CallUnits) -> None:
    callers = [P2, P3]
    found = await asyncio.gather(
        *(unit.call(one, V) for one in callers for unit in (units.london, units.stockholm))
    )
    shown = {leg(one)[1] for one in found}
    assert len(shown - {None}) == 2
    table = units.london.accounts.read(
        Resident(tenant=TENANT, account="anna", epoch=1),
        lambda db, owner: kept.whole_table(db, owner, "anna", now_ms=units.london.wall_ms()),
    )
    assert unambiguous(table) == []


async def test_a_call_is_traced_and_nothing_is_kept(units: CallUnits) -> None:
    await units.london.link("anna", P2)

    async def trace(**asked: str) -> pb.TraceCallResponse:
        request = pb.TraceCallRequest(**asked)
        return await units.london.telephony.TraceCall(request, units.london.by_ticket("anna"))

    there = await trace(caller=P1, dialled="020 7946 0101", region="GB")
    assert (there.target, there.shown) == (P2, V)
    assert (await trace(dialled="112")).emergency == "112"
    assert (await trace(caller=P3, dialled=V)).stranger
    assert (await trace(caller=P3, dialled=T)).refused == pb.CALL_REFUSAL_NOT_FOUND
    assert not await units.london.listed("anna")
    assert len((await units.london.links("anna")).links) == 1


async def test_calls_are_listed_by_the_page_the_latest_first(units: CallUnits) -> None:
    for n in range(3):
        units.later(n)
        await units.london.call(P2, V, CallKind.TEXT)
    context = units.london.by_ticket("anna")
    first = await units.london.telephony.ListCalls(pb.ListCallsRequest(page_size=2), context)
    rest = await units.london.telephony.ListCalls(
        pb.ListCallsRequest(page_size=2, page_token=first.next_page_token), context
    )
    times = [one.time.ToMilliseconds() for one in (*first.calls, *rest.calls)]
    assert times == sorted(times, reverse=True)
    assert (len(times), rest.next_page_token) == (3, "")


async def test_a_transaction_that_fails_leaves_neither_link_nor_record(units: CallUnits) -> None:
    """As if the unit had died after a stranger's number was allocated."""
    given = iter([b"\0" * 32])  # a secret, and nothing for the id of the record

    def drawn(count: int) -> bytes:
        found = next(given, None)
        if found is None:
            raise RuntimeError("died")
        return found

    calls = AccountCalls(
        units.london.accounts, units.london.numbers, wall_ms=units.london.wall_ms, random=drawn
    )
    asked = CallAsked(caller=P3, dialled=V, kind=CallKind.CALL)
    with pytest.raises(RuntimeError, match="died"):
        await calls.route(Resident(tenant=TENANT, account="anna", epoch=1), asked)
    assert not (await units.london.links("anna")).links
    assert not await units.london.listed("anna")


async def test_a_unit_that_brings_too_much_waits(units: CallUnits) -> None:
    for _ in range(200):
        await units.stockholm.call(None, V, CallKind.TEXT)
    waits = await units.stockholm.call(None, V, CallKind.TEXT)
    assert refused(waits) is RefusedCause.UNAVAILABLE
    assert leg(await units.london.call(None, V, CallKind.TEXT)) == (P1, None)


@pytest.mark.parametrize("viewer", ["ben", ""])
async def test_calls_are_brought_by_units_alone(units: CallUnits, viewer: str) -> None:
    """An introduction for a viewer, or of no unit, opens neither method; nor does a ticket."""
    london = units.london
    request = pb.RouteCallRequest(caller=P2, dialled=V, kind=pb.CALL_KIND_CALL)
    for context in (london.by_introduction("anna", viewer), london.by_ticket("anna")):
        with pytest.raises(PermissionDenied):
            await london.telephony.Route(request, context)
        with pytest.raises(PermissionDenied):
            await london.telephony.Report(pb.ReportCallRequest(record=bytes(16)), context)


@pytest.mark.parametrize("seed", range(4))
async def test_no_table_that_units_keep_is_ambiguous(units: CallUnits, seed: int) -> None:
    """Random users, contacts, calls of strangers, links taken back and moves."""
    rng = random.Random(seed)
    await units.settle("ben", P3, V2, unit=units.stockholm)
    homes = {"anna": (units.london, 1), "ben": (units.stockholm, 1)}
    phones = {"anna": P1, "ben": P3}
    virtual = {"anna": V, "ben": V2}
    contacts = [number(400 + n) for n in range(5)]
    for _ in range(40):
        account, contact = rng.choice(sorted(homes)), rng.choice(contacts)
        unit, epoch = homes[account]
        step = rng.randrange(4)
        if step == 0:
            with suppress(ServiceError):  # no number is left
                await unit.link(account, contact, epoch)
        elif step == 1:
            await rng.choice([units.london, units.stockholm]).call(
                contact, virtual[account], CallKind.TEXT
            )
        elif step == 2:
            gone = pb.UnlinkContactRequest(number=contact)
            await unit.telephony.UnlinkContact(gone, unit.by_ticket(account, epoch))
            units.later(rng.choice([0, kept.REST_MS / 1_000 + 1]))
        elif rng.random() < 0.3:
            other = units.stockholm if unit is units.london else units.london
            await units.move(account, unit, other, epoch + 1)
            homes[account] = other, epoch + 1
        for name, (at, since) in homes.items():
            table = at.accounts.read(
                Resident(tenant=TENANT, account=name, epoch=since),
                lambda db, owner: kept.whole_table(db, owner, "it", now_ms=at.wall_ms()),  # noqa: B023
            )
            assert unambiguous(table) == []
            for (_, technical), p2 in table.links.items():
                there = at.calls.trace(
                    Resident(tenant=TENANT, account=name, epoch=since),
                    CallAsked(caller=phones[name], dialled=technical, kind=CallKind.CALL),
                )
                assert isinstance(there, Linked)
                assert (there.target, there.shown) == (p2, virtual[name])
