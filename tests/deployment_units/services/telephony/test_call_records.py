"""What units keep of calls and texts: records, reports, limits, pages and traces."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane.errors import PermissionDenied, ServiceError
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.allocation import unambiguous
from deployment_units.services.telephony.linking import Linked
from deployment_units.services.telephony.port import (
    CallKind,
    EndCause,
    Leg,
    RefusedCause,
)
from deployment_units.services.telephony.records import CallLimits
from deployment_units.services.telephony.routing import CallAsked
from homeport.api.communication.v1 import telephony_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.number_servers import number
from tests.support.telephony_units import (
    P1,
    P2,
    P3,
    V2,
    CallUnits,
    T,
    V,
    call_units,
    leg,
    refused,
)


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
