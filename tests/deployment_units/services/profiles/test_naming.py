"""Names through the unit: what an account does about them at the directory, and that its profile
never says more than the directory did, whatever was lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from deployment_units.services.profiles.naming import RECHECK_MS, SETTLE_MS
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.account_units import AccountUnit, account_unit, an_issuer

WORK = "mailto:anna@northwind.example"
PHONE = "tel:+442079460301"
DAY_S = 86_400.0


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


async def claim(unit: AccountUnit, handle: str, account: str = "anna", **more):
    request = pb.ClaimHandleRequest(handle=handle, **more)
    return await unit.profiles.ClaimHandle(request, unit.by_ticket(account))


async def begin(unit: AccountUnit, uri: str = WORK, account: str = "anna", **more) -> str:
    """The code."""
    request = pb.BeginProofRequest(uri=uri, **more)
    await unit.profiles.BeginProof(request, unit.by_ticket(account))
    return unit.directory.there.box.last()


async def confirm(unit: AccountUnit, code: str, uri: str = WORK, account: str = "anna", **more):
    request = pb.ConfirmIdentifierRequest(uri=uri, code=code, **more)
    return await unit.profiles.ConfirmIdentifier(request, unit.by_ticket(account))


async def prove(unit: AccountUnit, uri: str = WORK, account: str = "anna"):
    return await confirm(unit, await begin(unit, uri, account), uri, account)


async def settings(unit: AccountUnit, account: str = "anna", epoch: int = 1) -> pb.Settings:
    return await unit.profiles.GetSettings(pb.GetSettingsRequest(), unit.by_ticket(account, epoch))


async def handles(unit: AccountUnit, account: str = "anna", epoch: int = 1):
    return {one.handle: one.state for one in (await settings(unit, account, epoch)).handles}


async def states(unit: AccountUnit, account: str = "anna", epoch: int = 1):
    found = (await settings(unit, account, epoch)).identifiers
    return {one.identifier.uri: (one.state, one.identifier.proved) for one in found}


async def later(unit: AccountUnit, ms: int = SETTLE_MS) -> None:
    """So much time goes by, and the unit looks at what is due."""
    unit.now += ms / 1_000
    unit.directory.there.clock.now += ms / 1_000
    await unit.naming.look()


HELD, LOST = pb.NAME_STATE_HELD, pb.NAME_STATE_LOST
NOTHING = (pb.NAME_STATE_UNSPECIFIED, False)
PROVED = (HELD, True)


async def test_a_handle_is_claimed_renamed_given_back_and_shown_all_along(unit: AccountUnit):
    claimed = await claim(unit, "@Anna")
    assert claimed.handle == "anna"
    assert claimed.settings == await settings(unit)
    assert claimed.settings.names_time.seconds == int(unit.now)
    with pytest.raises(Refused) as refused:
        await claim(unit, "annabel")
    assert refused.value.reason == "HOLDS_ANOTHER"
    await claim(unit, "annabel", rename=True)
    assert await handles(unit) == {"annabel": HELD, "anna": pb.NAME_STATE_QUARANTINED}
    release = pb.ReleaseHandleRequest(handle="annabel")
    for released in (True, False):
        answer = await unit.profiles.ReleaseHandle(release, unit.by_ticket("anna"))
        assert answer.released is released
    found = (await settings(unit)).handles
    assert {one.state for one in found} == {pb.NAME_STATE_QUARANTINED}
    assert {one.end_time.seconds for one in found} == {int(unit.now + 90 * DAY_S)}
    await later(unit, int(91 * DAY_S * 1_000))
    assert await handles(unit) == {}


async def test_what_somebody_else_has_is_refused_with_the_directorys_reason(unit: AccountUnit):
    await claim(unit, "mia")
    for text, reason in [("mia", "TAKEN"), ("rnia", "LOOKS_LIKE"), ("admin", "RESERVED")]:
        with pytest.raises(AlreadyExists) as refused:
            await claim(unit, text, "ben")
        assert refused.value.reason == reason
    assert await handles(unit, "ben") == {}


async def test_a_handle_is_handed_over_and_lost_where_it_was(unit: AccountUnit):
    await claim(unit, "anna")
    offer = pb.OfferHandleRequest(handle="anna", to_account="ben")
    offered = await unit.profiles.OfferHandle(offer, unit.by_ticket("anna"))
    accept = pb.AcceptHandleRequest(offer=offered.offer)
    taken = await unit.profiles.AcceptHandle(accept, unit.by_ticket("ben"))
    assert (taken.handle, await handles(unit, "ben")) == ("anna", {"anna": HELD})
    assert await handles(unit) == {"anna": HELD}  # nobody has said otherwise yet
    await later(unit, RECHECK_MS)
    assert await handles(unit) == {"anna": LOST}


async def test_an_address_is_proved_and_given_up(unit: AccountUnit):
    code = await begin(unit, "mailto:Anna@northwind.example")
    assert unit.directory.there.box.codes[0][0] == "anna@northwind.example"
    assert await states(unit) == {WORK: NOTHING}
    with pytest.raises(Refused) as refused:
        await confirm(unit, "00000000" if code != "00000000" else "11111111")
    assert (refused.value.reason, dict(refused.value.metadata)) == (
        "WRONG_CODE", {"tries_left": "4"}
    )  # fmt: skip
    proved = await confirm(unit, code, findable=True)
    assert not proved.HasField("contest_end_time")
    (one,) = proved.settings.identifiers
    assert (one.state, one.findable, one.prove_time.seconds) == (HELD, True, int(unit.now))
    assert await states(unit) == {WORK: PROVED}
    remove = pb.RemoveIdentifierRequest(uri=WORK)
    for _ in range(2):
        gone = await unit.profiles.RemoveIdentifier(remove, unit.by_ticket("anna"))
        assert list(gone.identifiers) == []
    assert unit.directory.asked.count("ReleaseIdentifier") == 1
    await prove(unit, WORK, "ben")  # anybody may have it now
    assert await states(unit, "ben") == {WORK: PROVED}


async def test_what_was_never_begun_is_removed_without_the_directory(unit: AccountUnit):
    unit.directory.away = True
    add = pb.AddIdentifierRequest(uri=WORK)
    await unit.profiles.AddIdentifier(add, unit.by_ticket("anna"))
    remove = pb.RemoveIdentifierRequest(uri=WORK)
    gone = await unit.profiles.RemoveIdentifier(remove, unit.by_ticket("anna"))
    assert list(gone.identifiers) == []
    assert unit.directory.asked == []


async def test_what_no_code_goes_to_is_not_left_half_added(unit: AccountUnit):
    with pytest.raises(Refused) as refused:
        await begin(unit, "xmpp:anna@talk.example")
    assert refused.value.reason == "NO_CHANNEL"
    assert await states(unit) == {}


async def test_what_its_owner_had_added_stays_where_no_code_goes(unit: AccountUnit):
    chat = "xmpp:anna@talk.example"
    add = pb.AddIdentifierRequest(uri=chat)
    await unit.profiles.AddIdentifier(add, unit.by_ticket("anna"))
    with pytest.raises(Refused):
        await begin(unit, chat)
    assert await states(unit) == {chat: NOTHING}


async def test_what_its_owner_does_meanwhile_stays_where_no_code_goes(unit: AccountUnit):
    chat, call = "xmpp:anna@talk.example", unit.directory.call

    async def shown_meanwhile(method, resident, request):
        shown = pb.SetDisclosureRequest(uri=chat, audience=pb.Audience(contacts=True))
        await unit.profiles.SetDisclosure(shown, unit.by_ticket("anna"))
        return await call(method, resident, request)

    unit.directory.call = shown_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Refused):
        await begin(unit, chat)
    assert await states(unit) == {chat: NOTHING}


@pytest.mark.parametrize("uri", [" Anna@northwind.example", "+44 20 7946 0301"])
async def test_an_address_and_a_number_need_no_scheme(unit: AccountUnit, uri: str):
    (normal,) = {WORK, PHONE} - {WORK if uri.startswith("+") else PHONE}
    await prove(unit, uri)
    assert await states(unit) == {normal: PROVED}
    remove = pb.RemoveIdentifierRequest(uri=uri)
    await unit.profiles.RemoveIdentifier(remove, unit.by_ticket("anna"))
    assert await states(unit) == {}


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("anna", "an address (anna@talk.example), a number with its +"),
        ("@anna", "an address (anna@talk.example), a number with its +"),
        ("northwind.example", "an address (anna@talk.example), a number with its +"),
        ("020 7946 0301", "write + and the country code"),
        ("fax:+442079460301", "use acct:, mailto:, tel:"),
    ],
)
async def test_what_could_be_anything_is_told_what_to_write(unit: AccountUnit, uri: str, said: str):
    with pytest.raises(InvalidInput) as refused:
        await begin(unit, uri)
    assert said in str(refused.value)


async def test_what_is_not_there_is_not_confirmed(unit: AccountUnit):
    with pytest.raises(NotFound):
        await confirm(unit, "12345678")
    assert unit.directory.asked == []


async def test_a_number_is_contested_and_lost_as_the_directory_says(unit: AccountUnit):
    await prove(unit, PHONE)
    contested = await prove(unit, PHONE, "mallory")
    end = contested.contest_end_time.seconds
    assert end == int(unit.now + 7 * DAY_S)
    assert await states(unit, "mallory") == {PHONE: (pb.NAME_STATE_CONTESTING, False)}
    await later(unit, RECHECK_MS)
    assert await states(unit) == {PHONE: (pb.NAME_STATE_CONTESTED, True)}
    assert (await settings(unit)).identifiers[0].end_time.seconds == end
    unit.now += 8 * DAY_S
    unit.directory.there.clock.now += 8 * DAY_S
    assert not (await prove(unit, PHONE, "mallory")).HasField("contest_end_time")
    await unit.naming.look()
    assert await states(unit) == {PHONE: (LOST, False)}
    await prove(unit, PHONE)  # and contests it in turn
    assert await states(unit) == {PHONE: (pb.NAME_STATE_CONTESTING, False)}


@pytest.mark.parametrize("change", ["claim", "confirm", "remove", "release"])
@pytest.mark.parametrize("lost", ["the answer", "the question after it", "the unit"])
async def test_whatever_is_lost_the_profile_says_what_the_directory_does(
    tmp_path: Path, change: str, lost: str
) -> None:
    issuer = an_issuer()

    async def changes(unit: AccountUnit) -> None:
        if change == "claim":
            await claim(unit, "anna", request_id="one")
        elif change == "release":
            release = pb.ReleaseHandleRequest(handle="anna", request_id="one")
            await unit.profiles.ReleaseHandle(release, unit.by_ticket("anna"))
        elif change == "confirm":
            await confirm(unit, unit.directory.there.box.last(), request_id="one")
        else:
            remove = pb.RemoveIdentifierRequest(uri=WORK, request_id="one")
            await unit.profiles.RemoveIdentifier(remove, unit.by_ticket("anna"))

    async with account_unit(tmp_path / "u", "u", issuer) as unit:
        if change == "release":
            await claim(unit, "anna")
        elif change != "claim":
            code = await begin(unit)
            if change == "remove":
                await confirm(unit, code)
        if lost == "the question after it":
            unit.directory.deafened = "GetAccount"
        elif lost == "the answer":
            unit.directory.deaf = 1
        else:
            unit.directory.deafened = "everything"
        unknown = lost != "the question after it"
        if unknown:
            with pytest.raises(OutcomeUnknown):
                await changes(unit)
        else:
            await changes(unit)
        there, now = unit.directory.there, unit.now
    async with account_unit(tmp_path / "u", "u", issuer, now) as unit:
        unit.directory.there = there
        await later(unit)
        if change == "claim":
            assert await handles(unit) == {"anna": HELD}
        elif change == "release":
            assert await handles(unit) == {"anna": pb.NAME_STATE_QUARANTINED}
        elif change == "confirm":
            assert await states(unit) == {WORK: PROVED}
        elif unknown:  # given up, and not yet taken out of the profile
            assert await states(unit) == {WORK: (LOST, False)}
        else:
            assert await states(unit) == {}
        if change in ("claim", "confirm"):
            await changes(unit)  # with the same request id it comes to the same


async def test_nothing_is_asked_for_an_account_that_is_leaving(unit: AccountUnit):
    await claim(unit, "anna")
    await read_state(unit.state, "talk", "anna")
    asked = list(unit.directory.asked)
    with pytest.raises(Unavailable):
        await claim(unit, "annabel", rename=True)
    assert unit.directory.asked == asked


async def test_names_move_with_the_account_and_are_mended_at_its_new_home(tmp_path: Path) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "u", "u", issuer) as old,
        account_unit(tmp_path / "v", "v", issuer) as new,
    ):
        await begin(old)
        old.directory.deafened = "everything"
        with pytest.raises(OutcomeUnknown):
            await confirm(old, old.directory.there.box.last())
        sent = await read_state(old.state, "talk", "anna")
        await replace_state(new.state, "talk", "anna", 2, sent)
        assert await read_state(new.state, "talk", "anna") == sent
        new.now += 91
        await new.staying.look()
        there = old.directory.there
        new.directory.there = there
        await there.move("talk", "anna", "v", 2)
        old.directory.deafened = ""
        old.now += 91
        await old.staying.look()  # it does not know yet, and asks in vain
        await old.naming.look()
        assert await states(old) == {WORK: NOTHING}
        await new.naming.look()
        assert await states(new, "anna", 2) == {WORK: PROVED}


async def test_while_the_directory_is_away_nothing_is_claimed_and_that_is_said(unit: AccountUnit):
    unit.directory.away = True
    with pytest.raises(Unavailable) as refused:
        await claim(unit, "anna")
    assert not isinstance(refused.value, OutcomeUnknown)
    await later(unit)
    assert await handles(unit) == {}
    unit.directory.away = False
    await claim(unit, "anna")
    assert await handles(unit) == {"anna": HELD}


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ClaimHandle", pb.ClaimHandleRequest()),
        ("ClaimHandle", pb.ClaimHandleRequest(handle="a" * 40)),
        ("ClaimHandle", pb.ClaimHandleRequest(handle="anna", request_id="a b")),
        ("ClaimHandle", pb.ClaimHandleRequest(handle="anna", request_id="a" * 65)),
        ("ReleaseHandle", pb.ReleaseHandleRequest(handle="anna@mail.example")),
        ("OfferHandle", pb.OfferHandleRequest(handle="anna")),
        ("AcceptHandle", pb.AcceptHandleRequest(offer="x" * 2_049)),
        ("BeginProof", pb.BeginProofRequest(uri="@anna")),
        ("ConfirmIdentifier", pb.ConfirmIdentifierRequest(uri=WORK, code="1" * 65)),
        ("ConfirmIdentifier", pb.ConfirmIdentifierRequest(uri="nobody", code="1")),
        ("RemoveIdentifier", pb.RemoveIdentifierRequest(uri=WORK, request_id="\x7f")),
    ],
    ids=str,
)
async def test_what_means_nothing_is_refused_before_anybody_is_asked(
    unit: AccountUnit, method: str, request_
):
    with pytest.raises(InvalidInput):
        await getattr(unit.profiles, method)(request_, unit.by_ticket("anna"))
    assert unit.directory.asked == []
