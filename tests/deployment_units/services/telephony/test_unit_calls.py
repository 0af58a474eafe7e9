"""Calls and texts through two units: who is rung and shown, and what is kept of it."""

from __future__ import annotations

import sqlite3

import pytest

from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.state.port import read_state
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.directory_call_homes import MISSES, MISSES_WITHHELD
from deployment_units.services.telephony.port import (
    CallKind,
    Emergency,
    EndCause,
    Leg,
    Refused,
    RefusedCause,
)
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
    leg,
    refused,
)


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
