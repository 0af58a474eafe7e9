"""UnitNotices: tells owners of domains at their units, with an introduction, over gRPC."""

from __future__ import annotations

import grpc
from grpc import aio

from control_plane.errors import NotFound, PermissionDenied, Refused, Unavailable
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.received_status import error_of
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1 import invite_pb2_grpc as pb_grpc
from provisioner.directory.residence import Residence
from provisioner.organisations.domain_notices import DomainNotice

CALL_S = 5.0


class UnitNotices:
    """See OwnerNotices."""

    def __init__(self, channels: ChannelPool) -> None:
        self._channels = channels

    async def tell(
        self, residence: Residence, organisation: str, domain: str, notice: DomainNotice
    ) -> None:
        """See OwnerNotices."""
        if not residence.endpoint:
            raise Unavailable("nobody knows yet where this unit is reached")
        request = pb.DeliverDomainNoticeRequest(
            organisation=organisation,
            domain=domain,
            state=pb.DomainNoticeState.Value(f"DOMAIN_NOTICE_STATE_{notice.state.upper()}"),
        )
        request.since.FromMilliseconds(notice.since_ms)
        shown = (("authorization", f"Bearer {residence.introduction}"),)
        async with self._channels.channel(residence.endpoint) as channel:
            try:
                await pb_grpc.InviteServiceStub(channel).DeliverDomainNotice(
                    request, timeout=CALL_S, metadata=shown
                )
            except aio.AioRpcError as failed:
                told = error_of(failed)
                if isinstance(told, PermissionDenied):
                    raise NotFound(told.message) from failed
                if failed.code() is grpc.StatusCode.UNIMPLEMENTED:  # it keeps no accounts
                    raise NotFound("this unit tells nobody") from failed
                if isinstance(told, Refused):  # it has moved, or has no room now
                    raise told from failed
                raise Unavailable("this unit does not answer") from failed

    async def close(self) -> None:
        """Ends all connections."""
        await self._channels.close()
