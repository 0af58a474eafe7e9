"""ProfileService: an owner's changes, what viewers see of them, who is refused, and that all of it
moves with the account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import (
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    ServiceError,
    Unauthenticated,
)
from control_plane.identity.departures import Departed
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.account_units import NOW, AccountUnit, account_unit, an_issuer
from tests.support.fakes.call_context import FakeContext

WORK = "mailto:anna@northwind.example"
PHONE = "tel:+442079460301"
EVERYONE = pb.Audience(everyone=True)
CONTACTS = pb.Audience(contacts=True)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


async def furnished(unit: AccountUnit, account: str = "anna") -> pb.Settings:
    """An account with a name, two identifiers, one contact, and something for each audience."""
    call, profiles = unit.by_ticket(account), unit.profiles
    modes = pb.ModeList(modes=[pb.MODE_TEXT, pb.MODE_IN_APP])
    await profiles.UpdateProfile(pb.UpdateProfileRequest(name="Anna", preferred=modes), call)
    await profiles.AddIdentifier(pb.AddIdentifierRequest(uri=WORK, label="work"), call)
    await profiles.AddIdentifier(pb.AddIdentifierRequest(uri="tel:+44 20 7946 0301"), call)
    await profiles.SetDisclosure(pb.SetDisclosureRequest(uri=WORK, audience=CONTACTS), call)
    dev = pb.Audience(accounts=["dev"])
    await profiles.SetDisclosure(pb.SetDisclosureRequest(uri=PHONE, audience=dev), call)
    await profiles.ChangeContacts(pb.ChangeContactsRequest(add=["ben"]), call)
    closed = pb.SetReachabilityRequest(mode=pb.MODE_TELEPHONE)
    return await profiles.SetReachability(closed, call)


async def seen(unit: AccountUnit, call: FakeContext, **asked) -> tuple[str, list[str]]:
    profile = await unit.profiles.GetProfile(pb.GetProfileRequest(**asked), call)
    return profile.name, [one.uri for one in profile.identifiers]


async def test_each_viewer_sees_what_is_open_to_it(unit: AccountUnit) -> None:
    await furnished(unit)
    for viewer, uris in [("ben", [WORK]), ("dev", [PHONE]), ("carla", []), ("", [])]:
        assert await seen(unit, unit.by_introduction("anna", viewer)) == ("Anna", uris)
        preview = {"viewer": viewer} if viewer else {"as_stranger": True}
        assert await seen(unit, unit.by_ticket("anna"), **preview) == ("Anna", uris)
    assert await seen(unit, unit.by_ticket("anna")) == ("Anna", [WORK, PHONE])


async def test_settings_are_all_that_was_set(unit: AccountUnit) -> None:
    settings = await furnished(unit)
    assert settings == await unit.profiles.GetSettings(
        pb.GetSettingsRequest(), unit.by_ticket("anna")
    )
    assert settings.name == "Anna"
    assert list(settings.preferred) == [pb.MODE_TEXT, pb.MODE_IN_APP]
    assert [one.identifier.uri for one in settings.identifiers] == [WORK, PHONE]
    assert [one.identifier.proved for one in settings.identifiers] == [False, False]
    assert settings.identifiers[0].disclosed_to == CONTACTS
    reachable = {one.mode: one.open_to for one in settings.reachabilities}
    assert reachable == {
        pb.MODE_IN_APP: EVERYONE, pb.MODE_MAIL: CONTACTS, pb.MODE_TEXT: CONTACTS,
        pb.MODE_TELEPHONE: pb.Audience(),
    }  # fmt: skip


async def test_an_account_that_hides_everything_answers_as_one_that_never_was(
    unit: AccountUnit,
) -> None:
    call = unit.by_ticket("anna")
    await unit.profiles.AddIdentifier(pb.AddIdentifierRequest(uri=WORK), call)
    request = pb.GetProfileRequest()
    hidden = await unit.profiles.GetProfile(request, unit.by_introduction("anna", "ben"))
    absent = await unit.profiles.GetProfile(request, unit.by_introduction("nina", "ben"))
    absent.vcard = absent.vcard.replace("nina", "anna")
    assert hidden == absent


async def test_it_is_reached_as_its_owner_lets_the_viewer(unit: AccountUnit) -> None:
    await furnished(unit)
    found = await unit.profiles.Reach(
        pb.ReachRequest(asked=pb.MODE_MAIL, preferred=[pb.MODE_TELEPHONE]),
        unit.by_introduction("anna", "ben"),
    )
    assert (found.mode, found.uri) == (pb.MODE_IN_APP, "")  # nothing is proved
    assert [one.value for one in found.why] == ["mail", "telephone", "text", "in-app"]


async def test_what_is_removed_is_gone_with_its_disclosure(unit: AccountUnit) -> None:
    await furnished(unit)
    call = unit.by_ticket("anna")
    for _ in range(2):
        removed = pb.RemoveIdentifierRequest(uri=WORK)
        settings = await unit.profiles.RemoveIdentifier(removed, call)
        assert [one.identifier.uri for one in settings.identifiers] == [PHONE]
    again = await unit.profiles.AddIdentifier(pb.AddIdentifierRequest(uri=WORK), call)
    assert again.identifiers[0].disclosed_to == pb.Audience()


async def test_contacts_are_listed_page_by_page(unit: AccountUnit) -> None:
    call = unit.by_ticket("anna")
    names = [f"c{n:03d}" for n in range(25)]
    for _ in range(2):
        changed = await unit.profiles.ChangeContacts(pb.ChangeContactsRequest(add=names), call)
        assert changed.contacts == 25
    listed: list[str] = []
    while True:
        request = pb.ListContactsRequest(page_size=10, after=listed[-1] if listed else "")
        page = await unit.profiles.ListContacts(request, call)
        listed += page.contacts
        if not page.more:
            break
    assert listed == names
    fewer = await unit.profiles.ChangeContacts(pb.ChangeContactsRequest(remove=names[:5]), call)
    assert fewer.contacts == 20


async def test_tenants_and_accounts_are_apart(unit: AccountUnit) -> None:
    await furnished(unit)
    assert await seen(unit, unit.by_ticket("anna", tenant="other")) == ("", [])
    assert await seen(unit, unit.by_introduction("anna", "ben", tenant="other")) == ("", [])


async def test_a_moved_account_is_the_same_to_the_byte_and_its_old_unit_says_where(
    tmp_path: Path,
) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "u", "u", issuer) as old,
        account_unit(tmp_path / "v", "v", issuer) as new,
    ):
        before = await furnished(old)
        sent = await read_state(old.state, "talk", "anna")
        await replace_state(new.state, "talk", "anna", 2, sent)
        assert await read_state(new.state, "talk", "anna") == sent
        went = Departed(epoch=2, unit_id="v", endpoint="v:1", decided_at=NOW, over_at=NOW)
        old.verifier.departures.note("talk", "anna", went)
        await old.state.forget("talk", "anna", 1)
        for call in (old.by_ticket("anna"), old.by_introduction("anna", "ben")):
            with pytest.raises(StaleEpoch) as refused:
                await seen(old, call)
            assert dict(refused.value.metadata) == {
                "unit_id": "v", "endpoint": "v:1", "epoch": "2"
            }  # fmt: skip
        # What was read above froze it at its new unit as well, until it is known to stay.
        new.now += 91
        await new.staying.look()
        call = new.by_ticket("anna", 2)
        assert await new.profiles.GetSettings(pb.GetSettingsRequest(), call) == before
        assert await seen(new, new.by_introduction("anna", "ben", 2)) == ("Anna", [WORK])


def faulty():
    def case(method: str, request, what: str, kind: type[ServiceError] = InvalidInput):
        return pytest.param(method, request, kind, id=what)

    add, disclosure = pb.AddIdentifierRequest, pb.SetDisclosureRequest
    modes = pb.ModeList
    many = [f"a{n}" for n in range(65)]
    yield case("AddIdentifier", add(), "no identifier")
    yield case("AddIdentifier", add(uri="@anna"), "a handle")
    yield case("AddIdentifier", add(uri="020 7946 0301"), "a number of nowhere")
    yield case("AddIdentifier", add(uri="mailto:" + "a" * 5_000), "too long")
    yield case("AddIdentifier", add(uri="https://northwind.example"), "a page")
    yield case("AddIdentifier", add(uri=WORK, label="x" * 65), "a long label")
    yield case("AddIdentifier", add(uri=WORK, label="a\u202eb"), "a label that turns around")
    yield case("UpdateProfile", pb.UpdateProfileRequest(name="x" * 101), "a long name")
    yield case("UpdateProfile", pb.UpdateProfileRequest(name="\ufdfa" * 100), "a name that grows")
    yield case("UpdateProfile", pb.UpdateProfileRequest(name="a\0b"), "a control character")
    twice = pb.UpdateProfileRequest(preferred=modes(modes=[pb.MODE_MAIL, pb.MODE_MAIL]))
    yield case("UpdateProfile", twice, "a mode twice")
    none = pb.UpdateProfileRequest(preferred=modes(modes=[pb.MODE_UNSPECIFIED]))
    yield case("UpdateProfile", none, "no mode")
    yield case("SetReachability", pb.SetReachabilityRequest(), "a mode is missing")
    yield case("SetDisclosure", disclosure(uri=PHONE), "not there", NotFound)
    named = disclosure(uri=WORK, audience=pb.Audience(accounts=many))
    yield case("SetDisclosure", named, "too many named")
    slash = disclosure(uri=WORK, audience=pb.Audience(accounts=["a/b"]))
    yield case("SetDisclosure", slash, "an id that is none")
    yield case("ChangeContacts", pb.ChangeContactsRequest(add=["anna"]), "herself")
    yield case("ChangeContacts", pb.ChangeContactsRequest(add=["b"], remove=["b"]), "both")
    yield case("ChangeContacts", pb.ChangeContactsRequest(add=["b"] * 1_001), "too many")
    yield case("ChangeContacts", pb.ChangeContactsRequest(add=[""]), "nobody")
    yield case("ListContacts", pb.ListContactsRequest(page_size=1_001), "a large page")
    yield case("GetProfile", pb.GetProfileRequest(viewer="a/b"), "a viewer that is none")
    both = pb.GetProfileRequest(viewer="b", as_stranger=True)
    yield case("GetProfile", both, "a viewer and a stranger")
    yield case("Reach", pb.ReachRequest(preferred=[pb.MODE_MAIL] * 5), "too many modes")


@pytest.mark.parametrize(("method", "request_", "kind"), list(faulty()))
async def test_a_request_is_refused_that_has(
    unit: AccountUnit, method: str, request_, kind: type[ServiceError]
) -> None:
    call = unit.by_ticket("anna")
    await unit.profiles.AddIdentifier(pb.AddIdentifierRequest(uri=WORK), call)
    before = await read_state(unit.state, "talk", "anna")
    unit.now += 91
    await unit.staying.look()
    with pytest.raises(kind):
        await getattr(unit.profiles, method)(request_, call)
    assert await read_state(unit.state, "talk", "anna") == before


async def test_an_account_has_at_most_64_identifiers(unit: AccountUnit) -> None:
    call = unit.by_ticket("anna")
    for n in range(64):
        request = pb.AddIdentifierRequest(uri=f"mailto:a{n}@northwind.example")
        await unit.profiles.AddIdentifier(request, call)
    with pytest.raises(Refused, match="64"):
        await unit.profiles.AddIdentifier(pb.AddIdentifierRequest(uri=WORK), call)


METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["ProfileService"].methods]
LOOKING = {"GetProfile", "Reach"}


@pytest.mark.parametrize("method", METHODS)
async def test_nobody_is_served_without_showing_a_good_ticket(
    unit: AccountUnit, method: str
) -> None:
    name = pb.DESCRIPTOR.services_by_name["ProfileService"].methods_by_name[method].input_type.name
    request = getattr(pb, name)()
    other = an_issuer()
    calls = [
        FakeContext(),
        FakeContext("nonsense"),
        FakeContext(unit.issuer.issue("v", "talk", "anna", 1, NOW, 60.0)),
        FakeContext(unit.issuer.issue("u", "talk", "anna", 1, NOW - 100.0, 60.0)),
        FakeContext(other.issue("u", "talk", "anna", 1, NOW, 60.0)),
    ]
    for call in calls:
        with pytest.raises(Unauthenticated):
            await getattr(unit.profiles, method)(request, call)
    if method not in LOOKING:
        with pytest.raises(PermissionDenied):
            await getattr(unit.profiles, method)(request, unit.by_introduction("anna", "anna"))


async def test_who_was_introduced_does_not_choose_who_it_is(unit: AccountUnit) -> None:
    call = unit.by_introduction("anna", "carla")
    for asked in ({"viewer": "anna"}, {"as_stranger": True}):
        with pytest.raises(InvalidInput):
            await seen(unit, call, **asked)


async def test_an_address_is_shown_as_it_was_written_and_is_one_however_it_is(
    unit: AccountUnit,
) -> None:
    call = unit.by_ticket("anna")
    for text in ("mailto:Anna@Straße.example", "mailto:ANNA@xn--strae-oqa.example"):
        request = pb.AddIdentifierRequest(uri=text)
        (kept,) = (await unit.profiles.AddIdentifier(request, call)).identifiers
        assert kept.identifier.uri == "mailto:anna@xn--strae-oqa.example"
    assert kept.identifier.shown == "ANNA@straße.example"
    seen = await unit.profiles.GetProfile(pb.GetProfileRequest(), call)
    assert "EMAIL:ANNA@xn--strae-oqa.example" in seen.vcard
