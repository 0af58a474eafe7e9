"""What a user sees and changes of its own consents, and that it is all that it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput, NotFound, PermissionDenied, Refused
from data_sharing.api.callers import Callers
from data_sharing.api.sharing_service import BY_ITSELF, SharingService
from data_sharing.sharing.consent import MOST_OF_SUBJECT
from homeport.api.datasharing.v1 import sharing_pb2 as pb
from tests.support.credentials import authenticator_of, tokens_of
from tests.support.decisions_harness import event
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.offload import FakeOffload
from tests.support.governed_feed import CATALOGUE, MINUTES, PURPOSE, Governed, governed_feed
from tests.support.rule_harness import TENANT
from tests.support.sharing_parts import read_turns


def user(name: str, tenant: str = TENANT) -> Caller:
    """As a ticket names one."""
    return Caller(
        name=f"client {name}", roles=with_implied({Role.CLIENT}), tenant=tenant, client_id=name
    )


GATEWAY = Caller(name="gate", roles=with_implied({Role.GATEWAY}), tenant=TENANT)
PEOPLE = Callers(
    AccessControl(
        {},
        authenticator_of(
            tokens_of(
                anna=user("anna"), ben=user("ben"), gateway=GATEWAY, other=user("anna", "other")
            )
        ),
    )
)
ANNA, BEN, OTHER, GATE, NOBODY = (
    FakeContext(token) for token in ("anna", "ben", "other", "gateway", "")
)  # type: tuple[Any, ...]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Governed]:
    async with governed_feed(tmp_path, MINUTES | {"basis": "consent"}) as governed:
        yield governed


@pytest.fixture
def service(made: Governed) -> SharingService:
    return SharingService(
        made.sharing,
        made.harness.database,
        lambda: CATALOGUE,
        FakeOffload(),
        PEOPLE,
        read_turns(),
    )


def give(**more: Any) -> pb.GiveOwnConsentRequest:
    return pb.GiveOwnConsentRequest(**{"purpose": PURPOSE, "application": "heating", **more})


async def own(service: SharingService, who: Any, **more: Any) -> list[str]:
    found = await service.ListOwnConsents(pb.ListOwnConsentsRequest(**more), who)
    return [one.consent_id for one in found.consents]


async def test_what_a_user_gives_shows_from_the_next_event_until_it_withdraws_it(
    made: Governed, service: SharingService
) -> None:
    await made.harness.publish(event({"minutes": 1}, id="e1", key="anna"))
    given = await service.GiveOwnConsent(give(), ANNA)
    assert (given.subject, given.application, given.evidence) == ("anna", "heating", BY_ITSELF)
    assert await service.GiveOwnConsent(give(), ANNA) == given
    await made.harness.publish(
        event({"minutes": 2}, id="e2", key="anna"), event({"minutes": 3}, id="e3", key="ben")
    )
    assert [one.id for one in await made.tail("heating")] == ["e2"]
    request = pb.WithdrawOwnConsentRequest(consent_id=given.consent_id)
    ended = await service.WithdrawOwnConsent(request, ANNA)
    assert ended.HasField("withdraw_time")
    assert await service.WithdrawOwnConsent(request, ANNA) == ended
    await made.harness.publish(event({"minutes": 4}, id="e4", key="anna"))
    assert await made.tail("heating") == []
    assert await own(service, ANNA) == []
    assert await own(service, ANNA, with_withdrawn=True) == [given.consent_id]


async def test_what_a_gateway_recorded_is_the_users_to_see_and_withdraw(
    made: Governed, service: SharingService
) -> None:
    one = await made.sharing.give(TENANT, subject="anna", consumer="", purpose=PURPOSE)
    assert await own(service, ANNA) == [one.id]
    await service.WithdrawOwnConsent(pb.WithdrawOwnConsentRequest(consent_id=one.id), ANNA)
    assert await own(service, ANNA) == []


async def test_anothers_consent_is_as_absent_as_one_that_never_was(
    made: Governed, service: SharingService
) -> None:
    given = await service.GiveOwnConsent(give(), ANNA)
    assert await own(service, BEN) == []
    said = set()
    for name in (given.consent_id, "k-none"):
        with pytest.raises(NotFound) as absent:
            await service.WithdrawOwnConsent(pb.WithdrawOwnConsentRequest(consent_id=name), BEN)
        said.add(absent.value.message.replace(name, "…"))
        assert service.own_consent(BEN, TENANT, name) is None  # for the audit log
    assert len(said) == 1
    assert await own(service, ANNA) == [given.consent_id]
    assert service.own_consent(ANNA, TENANT, given.consent_id) == given


async def test_the_same_name_in_another_tenant_is_somebody_else(
    made: Governed, service: SharingService
) -> None:
    await service.GiveOwnConsent(give(), ANNA)
    assert await own(service, OTHER) == []
    with pytest.raises(PermissionDenied):
        await own(service, OTHER, tenant=TENANT)


@pytest.mark.parametrize("who", [GATE, NOBODY], ids=["a-gateway", "nobody"])
async def test_who_shows_no_ticket_has_no_consents_of_its_own(
    service: SharingService, who: Any
) -> None:
    for asked in (
        service.ListOwnConsents(pb.ListOwnConsentsRequest(tenant=TENANT), who),
        service.GiveOwnConsent(give(tenant=TENANT), who),
        service.WithdrawOwnConsent(pb.WithdrawOwnConsentRequest(tenant=TENANT), who),
    ):
        with pytest.raises(PermissionDenied, match="nothing shown here proves to be a user"):
            await asked


async def test_what_a_user_asks_for_is_bounded(made: Governed, service: SharingService) -> None:
    for wrong, field in (
        ({"purpose": ""}, "purpose"),
        ({"purpose": "x" * 1_001}, "purpose"),
        ({"application": "A B"}, "application"),
        ({"feed": "f" * 1_001}, "feed"),
        ({"fields": ["/a"] * 51}, "fields"),
        ({"fields": ["a b"]}, "fields"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await service.GiveOwnConsent(give(**wrong), ANNA)
        assert refused.value.field == field
    for number in range(MOST_OF_SUBJECT):
        await service.GiveOwnConsent(give(feed=f"f{number}"), ANNA)
    with pytest.raises(Refused, match="withdraw some first"):
        await service.GiveOwnConsent(give(), ANNA)
    first = await service.ListOwnConsents(pb.ListOwnConsentsRequest(page_size=60), ANNA)
    rest = await service.ListOwnConsents(
        pb.ListOwnConsentsRequest(page_size=60, page_token=first.next_page_token), ANNA
    )
    assert (len(first.consents), len(rest.consents)) == (60, 40)
