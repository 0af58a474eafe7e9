"""InvitePeers: tells the units of other accounts that there is an invitation to look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from grpc import aio

from control_plane.identity.introductions import Introduction
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.gateway.grpc_peers import CALL_S, GrpcPeers, Metadata
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1 import invite_pb2_grpc as pb_grpc

Look = Callable[[Introduction, pb.DeliverInviteRequest], Awaitable[None]]


class InvitePeers:
    """Of one unit. look: what DeliverInvite does for an account that is at home here; the call of a
    unit asks the directory, so it has longer than others."""

    def __init__(self, peers: GrpcPeers, look: Look, *, call_s: float = 2 * CALL_S) -> None:
        self._peers = peers
        self._look = look
        self._call_s = call_s

    async def deliver(
        self, viewer: Resident, account: str, invitation: str, identifier: str
    ) -> None:
        """identifier: empty: to who made it. Raises NotFound where nobody is reached there; what
        else the unit says; Unavailable."""
        request = pb.DeliverInviteRequest(invitation=invitation, identifier=identifier)

        async def there(channel: aio.Channel, metadata: Metadata) -> None:
            stub = pb_grpc.InviteServiceStub(channel)
            await stub.DeliverInvite(request, metadata=metadata, timeout=self._call_s)

        await self._peers.ask(viewer, account, lambda one: self._look(one, request), there)
