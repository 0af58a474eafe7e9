"""OrganisationService, DomainService and InvitationService over a store: what operators and units
are told, and that another tenant's is as what is not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput, NotFound, ServiceError
from control_plane.serving.peers import Proxies
from homeport.api.directory.v1 import directory_pb2, domain_pb2, invitation_pb2
from homeport.api.directory.v1 import organisation_pb2 as pb
from provisioner.api import domain_service, invitation_service, organisation_service
from provisioner.api.callers import Callers
from provisioner.api.domain_service import DomainService
from provisioner.api.invitation_service import InvitationService
from provisioner.api.organisation_callers import OrganisationCallers
from provisioner.api.organisation_service import OrganisationService
from provisioner.directory.claim_budgets import ClaimBudgets, TooManyClaims
from provisioner.organisations.group_members import GroupMembers
from provisioner.organisations.own_domains import OwnDomains
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.directory_servers import TENANT
from tests.support.organisation_servers import BEN, OrganisationServer

NAMES = [organisation_service.NAME, domain_service.NAME, invitation_service.NAME]
INVITATION = "i-0123456789abcdef"
MADE_A_DAY = 3  # organisations and groups, of an account
HOME = directory_pb2.ActingHome(unit_id="london", epoch=1)


class Served:
    """The three services, with a context of an operator and one of a unit."""

    def __init__(self) -> None:
        self.server = OrganisationServer()
        callers = {
            "operator": Caller(name="operator", roles=with_implied({Role.OPERATOR})),
            "unit": Caller(
                name="unit", roles=with_implied({Role.UNIT}), units=frozenset({"london"})
            ),
        }
        control = AccessControl(access_of_services(NAMES), authenticator_of(tokens_of(**callers)))
        view: Any = SimpleNamespace(
            tenant_or_raise=lambda name: SimpleNamespace(id=name or "default")
        )
        asking = OrganisationCallers(view, Callers(Proxies(), control))
        server = self.server
        self.organisations = OrganisationService(
            server.organisations,
            asking,
            ClaimBudgets(clock=server.clock, a_day=MADE_A_DAY),
            now_ms=server.records.now_ms,
        )
        self.domains = DomainService(
            server.domains,
            server.transfers,
            OwnDomains(server.reader),
            asking,
            ClaimBudgets(clock=server.clock, a_day=2),
        )
        self.invitations = InvitationService(
            server.invitations, GroupMembers(server.reader), asking
        )
        self.operator, self.unit = (
            SimpleNamespace(
                invocation_metadata=lambda name=name: bearer(name), auth_context=dict,
                peer=lambda: "ipv4:192.0.2.1:5",
            )
            for name in callers
        )  # fmt: skip


def _id(text: str) -> directory_pb2.Identifier:
    return directory_pb2.Identifier(uri=text)


async def test_what_is_written_is_read_again():
    served = Served()
    policy = pb.OrganisationPolicy(
        joining=pb.JOINING_DOMAIN, guests=pb.OPENNESS_LISTED, guests_of=["fabrikam"],
        visits=pb.OPENNESS_NOBODY, visits_to=["northwind"], single_sign_on=True, two_factors=True,
    )  # fmt: skip
    wanted = pb.Organisation(organisation="contoso", name="Contoso", owners=["x"], policy=policy)
    request = pb.ApplyOrganisationRequest(tenant=TENANT, organisation=wanted)
    for name, owner in (("fabrikam", "mallory"), ("northwind", "x")):
        with pytest.raises(InvalidInput, match=r"there is no (account|organisation)"):
            await served.organisations.ApplyOrganisation(request, served.operator)
        await served.server.organisation(name, owner)
    made = await served.organisations.ApplyOrganisation(request, served.operator)
    found = await served.organisations.GetOrganisation(
        pb.GetOrganisationRequest(tenant=TENANT, organisation="contoso"), served.operator
    )
    assert found == made
    wanted.revision = made.revision
    assert found == wanted
    listed = await served.organisations.ListOrganisations(
        pb.ListOrganisationsRequest(tenant=TENANT), served.operator
    )
    assert made in listed.organisations


async def test_a_domain_goes_from_asked_for_to_proved():
    served = Served()
    await served.server.organisation("contoso", "anna")
    of: dict[str, Any] = {
        "tenant": TENANT, "account": "anna", "home": HOME, "organisation": "contoso",
        "domain": "Contoso.example",
    }  # fmt: skip
    asked = await served.domains.ClaimDomain(domain_pb2.ClaimDomainRequest(**of), served.unit)
    assert asked.state == domain_pb2.DOMAIN_STATE_PENDING
    assert asked.record_name == "_homeport-challenge.contoso.example"
    served.server.dns.publish("contoso.example", asked.record_value.partition("=")[2])
    verify = domain_pb2.VerifyDomainRequest(**of)
    proved = await served.domains.VerifyDomain(verify, served.unit)
    assert (proved.state, proved.organisation) == (domain_pb2.DOMAIN_STATE_VERIFIED, "contoso")
    await served.domains.VerifyDomain(verify, served.unit)
    with pytest.raises(TooManyClaims):
        await served.domains.VerifyDomain(verify, served.unit)


async def test_only_operators_are_told_who_has_an_address():
    served = Served()
    await served.server.scenario()
    of: dict[str, Any] = {"tenant": TENANT, "organisation": "contoso", "group": "launch"}
    routed = await served.invitations.RouteInvitation(
        invitation_pb2.RouteInvitationRequest(**of, identifier=_id(BEN)), served.operator
    )
    assert list(routed.accounts) == ["ben-contoso"]
    anna: dict[str, Any] = {**of, "account": "anna", "home": HOME, "invitation": INVITATION}
    made = await served.invitations.CreateInvitation(
        invitation_pb2.CreateInvitationRequest(**anna, identifier=_id(BEN)), served.unit
    )
    assert not made.HasField("route")
    ben: dict[str, Any] = {
        "tenant": TENANT, "account": "ben-fabrikam", "home": HOME, "invitation": INVITATION,
        "identifier": _id(BEN),
    }  # fmt: skip
    seen = await served.invitations.GetInvitation(
        invitation_pb2.GetInvitationRequest(**ben), served.unit
    )
    assert (list(seen.route.accounts), seen.route.why[0].rule) == ([], "PRIMARY_MEMBER")
    ben["account"] = "ben-contoso"
    done = await served.invitations.AcceptInvitation(
        invitation_pb2.AcceptInvitationRequest(**ben), served.unit
    )
    assert done.state == invitation_pb2.INVITATION_STATE_ACCEPTED
    assert not any(name.startswith("account ") for name in done.judged_by)


async def test_another_tenants_is_as_what_is_not_there():
    served = Served()
    await served.server.scenario()
    org = {"tenant": "northwind", "organisation": "contoso"}
    domain = {**org, "domain": "contoso.example"}
    group = {**org, "group": "launch", "identifier": _id(BEN)}
    calls = {
        "GetOrganisation": (served.organisations, pb.GetOrganisationRequest(**org)),
        "ListDomains": (served.domains, domain_pb2.ListDomainsRequest(**org)),
        "GetDomain": (served.domains, domain_pb2.GetDomainRequest(**domain)),
        "VerifyDomain": (served.domains, domain_pb2.VerifyDomainRequest(**domain)),
        "ReleaseDomain": (served.domains, domain_pb2.ReleaseDomainRequest(**domain)),
        "OfferDomain": (served.domains, domain_pb2.OfferDomainRequest(**domain, to="x")),
        "AcceptDomain": (served.domains, domain_pb2.AcceptDomainRequest(**domain)),
        "RouteInvitation": (served.invitations, invitation_pb2.RouteInvitationRequest(**group)),
    }
    before = dict(served.server.store.model.state)
    for name, (service, message) in calls.items():
        with pytest.raises(NotFound):
            await getattr(service, name)(message, served.operator)
    assert served.server.store.model.state == before


@pytest.mark.parametrize(
    "message",
    [
        pb.Organisation(organisation="Contoso", name="x"),
        pb.Organisation(organisation="contoso", name=""),
        pb.Organisation(organisation="contoso", name="x" * 129),
        pb.Organisation(organisation="contoso", name="x", owners=map(str, range(33))),
        pb.Organisation(organisation="contoso", name="x", owners=["a/b"]),
        pb.Organisation(
            organisation="contoso", name="x", policy=pb.OrganisationPolicy(guests_of=["A"])
        ),
        pb.Organisation(
            organisation="contoso", name="x", policy=pb.OrganisationPolicy(visits_to=["a"] * 257)
        ),
    ],
)
async def test_what_is_out_of_bounds_is_refused(message):
    served = Served()
    request = pb.ApplyOrganisationRequest(tenant=TENANT, organisation=message)
    with pytest.raises(InvalidInput):
        await served.organisations.ApplyOrganisation(request, served.operator)


async def test_a_unit_says_for_which_account_it_acts():
    served = Served()
    await served.server.organisation("contoso", "anna")
    for more in ({}, {"account": "anna"}, {"account": "anna", "home": {"unit_id": "london"}}):
        request = pb.GetOrganisationRequest(tenant=TENANT, organisation="contoso", **more)
        with pytest.raises(ServiceError) as refused:
            await served.organisations.GetOrganisation(request, served.unit)
        assert isinstance(refused.value, InvalidInput)


async def test_an_account_makes_so_many_organisations_and_groups_a_day():
    served = Served()
    await served.server.organisation("contoso", "anna")
    acting: dict[str, Any] = {"tenant": TENANT, "account": "anna", "home": HOME}

    def group(number: int) -> pb.ApplyGroupRequest:
        wanted = pb.Group(organisation="contoso", group=f"group-{number}")
        return pb.ApplyGroupRequest(group=wanted, **acting)

    for number in range(MADE_A_DAY):
        await served.organisations.ApplyGroup(group(number), served.unit)
    with pytest.raises(TooManyClaims):
        await served.organisations.ApplyGroup(group(9), served.unit)
    with pytest.raises(TooManyClaims):
        await served.organisations.ApplyOrganisation(
            pb.ApplyOrganisationRequest(
                organisation=pb.Organisation(organisation="one-more", name="One", owners=["anna"]),
                **acting,
            ),
            served.unit,
        )
    by_operator = pb.ApplyGroupRequest(tenant=TENANT, group=group(9).group)
    await served.organisations.ApplyGroup(by_operator, served.operator)


async def test_the_unit_that_brings_an_invitation_learns_to_whom_and_members_learn_of_each_other():
    served = Served()
    await served.server.scenario()
    whose: dict[str, Any] = {"tenant": TENANT, "home": HOME}
    of: dict[str, Any] = {**whose, "organisation": "contoso", "group": "launch"}
    named = {"invitation": INVITATION, "identifier": _id(BEN)}
    await served.invitations.CreateInvitation(
        invitation_pb2.CreateInvitationRequest(**of, **named, account="anna"), served.unit
    )
    find = invitation_pb2.FindInvitedRequest(**whose, **named, account="anna")
    found = await served.invitations.FindInvited(find, served.unit)
    assert found.outcome == invitation_pb2.ROUTE_OUTCOME_ACCOUNT
    assert list(found.accounts) == ["ben-contoso"]

    ask = invitation_pb2.ListGroupMembersRequest(**of, account="anna")
    assert list((await served.invitations.ListGroupMembers(ask, served.unit)).accounts) == ["anna"]
    for account in ("ben-contoso", "ben-fabrikam", "mallory"):  # who made it alone is told
        find.account = ask.account = account
        with pytest.raises(NotFound):
            await served.invitations.FindInvited(find, served.unit)
        with pytest.raises(NotFound):
            await served.invitations.ListGroupMembers(ask, served.unit)
    await served.invitations.AcceptInvitation(
        invitation_pb2.AcceptInvitationRequest(**whose, **named, account="ben-contoso"),
        served.unit,
    )
    ask.account, ask.page_size = "ben-contoso", 1
    first = await served.invitations.ListGroupMembers(ask, served.unit)
    ask.page_token = first.next_page_token
    second = await served.invitations.ListGroupMembers(ask, served.unit)
    assert [*first.accounts, *second.accounts] == ["anna", "ben-contoso"]
    assert not second.next_page_token


async def test_an_account_learns_which_of_its_own_addresses_are_organisations():
    served = Served()
    await served.server.scenario()
    await served.server.proved("ben-contoso", "mailto:ben@mail.example")
    request = domain_pb2.FindOwnDomainsRequest(
        tenant=TENANT, account="ben-contoso", home=HOME,
        identifiers=[_id(BEN), _id("mailto:ben@mail.example"), _id("mailto:x@contoso.example")],
    )  # fmt: skip
    found = await served.domains.FindOwnDomains(request, served.unit)
    assert [one.uri for one in found.identifiers] == [BEN]
    request.account = "mallory"  # who has none of them
    assert not (await served.domains.FindOwnDomains(request, served.unit)).identifiers
    request.identifiers.extend([_id(BEN)] * 16)
    with pytest.raises(InvalidInput, match="at most 16"):
        await served.domains.FindOwnDomains(request, served.unit)
