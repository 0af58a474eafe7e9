"""Who reaches an account at its virtual number, as its owner says; and which telephone rings."""

from __future__ import annotations

import pytest

from control_plane.errors import Refused
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles.names import NameState
from deployment_units.services.telephony.port import CallKind, RefusedCause
from deployment_units.services.telephony.sip.call_causes import STATUS_OF
from homeport.api.communication.v1 import profile_pb2
from homeport.api.communication.v1 import telephony_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.number_servers import number
from tests.support.telephony_units import P1, P2, P3, CallUnits, T, V, leg, refused

MODES = {CallKind.CALL: profile_pb2.MODE_TELEPHONE, CallKind.TEXT: profile_pb2.MODE_TEXT}
OTHER = {CallKind.CALL: CallKind.TEXT, CallKind.TEXT: CallKind.CALL}
SECOND, TEXT = number(311), CallKind.TEXT


async def open_to(units: CallUnits, kind: CallKind, audience: profile_pb2.Audience) -> None:
    wanted = profile_pb2.SetReachabilityRequest(mode=MODES[kind], audience=audience)
    await units.london.profiles.SetReachability(wanted, units.london.by_ticket("anna"))


async def ring(units: CallUnits, number_: str) -> None:
    wanted = pb.SetRingingRequest(number=number_)
    await units.london.telephony.SetRinging(wanted, units.london.by_ticket("anna"))


async def prove(units: CallUnits, phone: str) -> None:
    """A later one than the account has."""
    at_ms = units.london.wall_ms() + 1_000
    await units.london.accounts.change(
        Resident(tenant=TENANT, account="anna", epoch=1),
        lambda db, owner: db.execute(
            "INSERT INTO identifiers VALUES (?, ?, 'tel', ?, '', ?, ?, NULL, 0)",
            (owner, f"tel:{phone}", phone, at_ms, NameState.HELD.value),
        ),
    )


@pytest.mark.parametrize("kind", [CallKind.CALL, CallKind.TEXT])
@pytest.mark.parametrize("at", ["london", "stockholm"])
async def test_strangers_do_not_reach_who_is_open_to_contacts_alone(
    units: CallUnits, kind: CallKind, at: str
) -> None:
    """And leave nothing behind: no link, no record, and nothing that says there is somebody."""
    unit = getattr(units, at)
    await units.london.link("anna", P2)
    await open_to(units, kind, profile_pb2.Audience(contacts=True))
    assert refused(await unit.call(P3, V, kind)) is RefusedCause.NOT_OPEN
    assert refused(await unit.call(None, V, kind)) is RefusedCause.NOT_OPEN
    assert STATUS_OF[RefusedCause.NOT_OPEN] == STATUS_OF[RefusedCause.NOT_FOUND]
    assert [one.contact for one in (await units.london.links("anna")).links] == [P2]
    assert await units.london.listed("anna") == []
    assert leg(await unit.call(P2, V, kind)) == (P1, T)
    assert leg(await unit.call(P1, T, kind)) == (P2, V)
    assert leg(await unit.call(P3, V, OTHER[kind]))[0] == P1  # another mode


@pytest.mark.parametrize("kind", [CallKind.CALL, CallKind.TEXT])
async def test_who_is_open_to_nobody_or_to_accounts_by_name_is_reached_by_no_number(
    units: CallUnits, kind: CallKind
) -> None:
    await units.london.link("anna", P2)
    for audience in (profile_pb2.Audience(), profile_pb2.Audience(accounts=["ben"])):
        await open_to(units, kind, audience)
        assert refused(await units.london.call(P2, V, kind)) is RefusedCause.NOT_OPEN
        assert leg(await units.london.call(P1, T, kind)) == (P2, V)


async def test_who_called_as_a_stranger_is_no_contact_until_the_account_links_it(
    units: CallUnits,
) -> None:
    assert leg(await units.london.call(P2, V)) == (P1, T)
    await open_to(units, CallKind.CALL, profile_pb2.Audience(contacts=True))
    assert refused(await units.london.call(P2, V)) is RefusedCause.NOT_OPEN
    linked = await units.london.link("anna", P2)
    assert (linked.technical, linked.by_stranger) == (T, False)
    assert leg(await units.london.call(P2, V)) == (P1, T)


async def test_its_owner_is_told_why(units: CallUnits) -> None:
    await open_to(units, CallKind.CALL, profile_pb2.Audience())
    asked = pb.TraceCallRequest(caller=P3, dialled=V)
    told = await units.london.telephony.TraceCall(asked, units.london.by_ticket("anna"))
    assert told.refused == pb.CALL_REFUSAL_NOT_OPEN
    assert "does not let this caller" in told.why


async def test_the_telephone_that_the_account_chose_rings_while_it_has_it(
    units: CallUnits,
) -> None:
    await prove(units, SECOND)
    assert leg(await units.london.call(P3, V, TEXT))[0] == P1
    await ring(units, SECOND)
    assert leg(await units.stockholm.call(P3, V, TEXT))[0] == SECOND
    assert leg(await units.london.call(P3, V))[0] == SECOND
    assert list((await units.london.links("anna")).own) == [SECOND, P1]
    assert leg(await units.london.call(P1, T, TEXT)) == (P3, V)  # it calls from either
    await units.london.accounts.change(
        Resident(tenant=TENANT, account="anna", epoch=1),
        lambda db, owner: db.execute(
            "DELETE FROM identifiers WHERE owner = ? AND uri = ?", (owner, f"tel:{SECOND}")
        ),
    )
    assert leg(await units.london.call(P3, V, TEXT))[0] == P1
    await prove(units, SECOND)
    await ring(units, "")
    assert leg(await units.london.call(P3, V, TEXT))[0] == P1


async def test_a_telephone_that_is_not_proved_does_not_ring(units: CallUnits) -> None:
    with pytest.raises(Refused) as told:
        await ring(units, P2)
    assert told.value.reason == "NOT_PROVED"
    assert leg(await units.london.call(P3, V))[0] == P1
