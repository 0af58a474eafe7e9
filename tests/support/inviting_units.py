"""Two units whose accounts invite each other, over the directory's own service in the process.

Anna of Contoso lives in London and may invite to `launch`; Ben has an account at Contoso and one at
Fabrikam, both with one address, whose domain is Contoso's, and both live in Stockholm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import OutcomeUnknown
from control_plane.serving.peers import Proxies
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import DirectoryMethod
from homeport.api.communication.v1 import invite_pb2 as pb
from provisioner.api import invitation_service
from provisioner.api.callers import Callers
from provisioner.api.invitation_service import InvitationService
from provisioner.api.organisation_callers import OrganisationCallers
from provisioner.organisations.group_members import GroupMembers
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.directory_servers import home
from tests.support.linked_units import LinkedUnit, enter, linked_units
from tests.support.organisation_servers import BEN, OrganisationServer

REQUEST = b"0123456789abcdef"
BENS = ("ben-contoso", "ben-fabrikam")


class InvitingUnits:
    """here: London; there: Stockholm; directory: of both."""

    def __init__(self, here: LinkedUnit, there: LinkedUnit, directory: OrganisationServer) -> None:
        self.here, self.there, self.directory = here, there, directory
        self.units = {"london": here, "stockholm": there}
        self.lost = 0  # so many answers of the directory go unheard, once it has done it
        callers = {
            name: Caller(name=name, roles=with_implied({Role.UNIT}), units=frozenset({name}))
            for name in self.units
        }
        control = AccessControl(
            access_of_services([invitation_service.NAME]), authenticator_of(tokens_of(**callers))
        )
        view: Any = SimpleNamespace(tenant_or_raise=lambda name: SimpleNamespace(id=name))
        self.service = InvitationService(
            directory.invitations,
            GroupMembers(directory.reader),
            OrganisationCallers(view, Callers(Proxies(), control)),
        )
        here.directory.invitations = self._asked

    async def _asked(
        self, unit: str, method: DirectoryMethod, resident: Resident, request: Any
    ) -> Any:
        whole = type(request)()
        whole.CopyFrom(request)
        whole.tenant, whole.account = resident.tenant, resident.account
        whole.home.unit_id, whole.home.epoch = unit, resident.epoch
        context: Any = SimpleNamespace(
            invocation_metadata=lambda: bearer(unit), auth_context=dict,
            peer=lambda: "ipv4:192.0.2.1:5",
        )  # fmt: skip
        answer = await getattr(self.service, method.name)(whole, context)
        if self.lost and method.changes:
            self.lost -= 1
            raise OutcomeUnknown("the directory did not answer in time")
        return answer

    async def lives(self, account: str, unit: str) -> None:
        """Gives an account its home, where both know it."""
        await self.directory.store.commit(home(account, unit=unit))
        await enter(self.units[unit], account)

    async def ask(self, account: str, method: str, request: Any) -> Any:
        """A call of a client's at its home."""
        unit, epoch = self.here.directory.homes[account]
        linked = self.units[unit]
        servicer = linked.invites.servicer
        return await getattr(servicer, method)(request, linked.unit.by_ticket(account, epoch))

    async def invite(self, uri: str = BEN, *, by: str = "anna", id_: bytes = REQUEST) -> pb.Invite:
        """An invitation to `launch`, once it was brought."""
        request = pb.CreateInviteRequest(
            request_id=id_, organisation="contoso", group="launch", identifier=uri
        )
        made: pb.Invite = await self.ask(by, "CreateInvite", request)
        await self.carried()
        return made

    async def accept(self, account: str, invitation: str, identifier: str = "") -> pb.Invite:
        """What it is then, once all that follows is done."""
        request = pb.AcceptInviteRequest(invitation=invitation, identifier=identifier)
        found: pb.Invite = await self.ask(account, "AcceptInvite", request)
        await self.carried()
        return found

    async def listed(self, account: str) -> list[pb.Invite]:
        return list((await self.ask(account, "ListInvites", pb.ListInvitesRequest())).invites)

    async def carried(self) -> None:
        """Does all that is due, in both units, until nothing is."""
        for _ in range(6):
            for one in self.units.values():
                await one.invites.carrier.turns.look()
                await one.invites.carrier.turns.serve_due()
        for one in self.units.values():
            await one.settled()

    async def pass_time(self, seconds: float) -> None:
        """By everybody's clock, and what is due then is done."""
        self.directory.clock.now += seconds
        await self.here.pass_time(seconds)
        await self.carried()

    async def talks(self, account: str) -> list[list[tuple[str, str]]]:
        """Sender and text of the messages of each of its conversations, the newest first."""
        from homeport.api.communication.v1 import conversation_pb2 as talk

        unit, epoch = self.here.directory.homes[account]
        linked = self.units[unit]
        found = await linked.unit.conversations.ListConversations(
            talk.ListConversationsRequest(), linked.unit.by_ticket(account, epoch)
        )
        return [await linked.read(account, one.id) for one in found.conversations]


@asynccontextmanager
async def inviting_units(folder: Path) -> AsyncIterator[InvitingUnits]:
    """As the module says."""
    directory = OrganisationServer()
    await directory.scenario()
    async with linked_units(folder, "london", "stockholm") as (here, there):
        units = InvitingUnits(here, there, directory)
        await units.lives("anna", "london")
        for account in BENS:
            await units.lives(account, "stockholm")
        yield units
