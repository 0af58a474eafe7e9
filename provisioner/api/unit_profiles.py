"""UnitProfiles: asks units for profiles, with an introduction, over gRPC."""

from __future__ import annotations

import grpc
from grpc import aio

from control_plane.errors import Refused, Unavailable
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.received_status import error_of
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc as pb_grpc
from provisioner.directory.residence import Residence
from provisioner.directory.seen_profile import SeenIdentifier, SeenProfile

CALL_S = 2.0


class UnitProfiles:
    """See ProfileReader."""

    def __init__(self, channels: ChannelPool) -> None:
        self._channels = channels

    async def read(self, residence: Residence) -> SeenProfile | None:
        """See ProfileReader."""
        if not residence.endpoint:
            raise Unavailable("nobody knows yet where this unit is reached")
        shown = (("authorization", f"Bearer {residence.introduction}"),)
        async with self._channels.channel(residence.endpoint) as channel:
            try:
                found = await pb_grpc.ProfileServiceStub(channel).GetProfile(
                    pb.GetProfileRequest(), timeout=CALL_S, metadata=shown
                )
            except aio.AioRpcError as failed:
                told = error_of(failed)
                if isinstance(told, Refused) and told.reason == "STALE_EPOCH":
                    return None
                if failed.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return SeenProfile(name="", identifiers=(), vcard="")
                raise Unavailable("this unit does not answer") from failed
        return SeenProfile(
            name=found.name,
            identifiers=tuple(
                SeenIdentifier(uri=one.uri, shown=one.shown, label=one.label, proved=one.proved)
                for one in found.identifiers
            ),
            vcard=found.vcard,
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._channels.close()
