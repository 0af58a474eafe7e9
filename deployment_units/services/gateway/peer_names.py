"""PeerNames: what accounts call themselves, asked of the unit where each is at home.

Each tells what it shows the viewer, and nothing that is worth waiting for: one that is away, or
does not answer soon, has no name for now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from grpc import aio

from control_plane.errors import ServiceError
from control_plane.identity.introductions import Introduction
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.gateway.grpc_peers import GrpcPeers, Metadata
from homeport.api.communication.v1 import profile_pb2, profile_pb2_grpc

WITHIN_S = 2.0
MOST_NAME = 100  # characters, as a profile has them


class PeerNames:
    """See conversations.finding.MemberNames. seen: the profile of an account that is at home here,
    as whoever was introduced to it sees it."""

    def __init__(
        self,
        peers: GrpcPeers,
        seen: Callable[[Introduction], profile_pb2.GetProfileResponse],
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        self._peers = peers
        self._seen = seen
        self._within_s = within_s

    async def name(self, viewer: Resident, account: str) -> str:
        """Empty: it does not say one to the viewer, or not in time."""
        answer = profile_pb2.GetProfileResponse()

        async def here(introduction: Introduction) -> None:
            answer.CopyFrom(self._seen(introduction))

        async def there(channel: aio.Channel, metadata: Metadata) -> None:
            stub = profile_pb2_grpc.ProfileServiceStub(channel)
            request = profile_pb2.GetProfileRequest()
            answer.CopyFrom(
                await stub.GetProfile(request, metadata=metadata, timeout=self._within_s)
            )

        try:
            async with asyncio.timeout(self._within_s):
                await self._peers.ask(viewer, account, here, there)
        except (ServiceError, TimeoutError):
            return ""
        return answer.name[:MOST_NAME]
