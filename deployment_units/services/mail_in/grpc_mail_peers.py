"""GrpcMailPeers: MailPeers over gRPC, with the introduction that came with an account's home."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from grpc import aio

from control_plane.errors import PermissionDenied, Refused, ServiceError, Unavailable
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.received_status import error_of
from deployment_units.services.accounts.accounts import AccountFull, StaleEpoch
from deployment_units.services.mail_in.mail_keeper import NobodysMail
from deployment_units.services.mail_in.mail_messages import requests_of
from deployment_units.services.mail_in.other_units import HandedMail, OtherUnit
from homeport.api.communication.v1 import mail_pb2 as pb
from homeport.api.communication.v1 import mail_pb2_grpc

CHECK_S = 5.0
DELIVER_S = 25.0  # it is read there, in the turn of others
_REASONS: dict[str, type[Refused]] = {
    one.reason: one for one in (AccountFull, NobodysMail, StaleEpoch)
}
_Metadata = tuple[tuple[str, str], ...]
_Call = Callable[[mail_pb2_grpc.MailServiceStub, _Metadata], Awaitable[object]]


class GrpcMailPeers:
    """connect: opens a channel to a unit."""

    def __init__(
        self,
        connect: Callable[[str], aio.Channel],
        *,
        check_s: float = CHECK_S,
        deliver_s: float = DELIVER_S,
    ) -> None:
        self._channels = ChannelPool(connect)
        self._check_s = check_s
        self._deliver_s = deliver_s

    async def check(self, home: OtherUnit, recipient: str) -> None:
        """See MailPeers."""
        request = pb.CheckMailRecipientRequest(recipient=recipient)
        await self._call(
            home,
            lambda stub, metadata: stub.CheckMailRecipient(
                request, metadata=metadata, timeout=self._check_s
            ),
        )

    async def deliver(self, home: OtherUnit, mail: HandedMail) -> None:
        """See MailPeers."""
        await self._call(
            home,
            lambda stub, metadata: stub.DeliverMail(
                requests_of(mail), metadata=metadata, timeout=self._deliver_s
            ),
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._channels.close()

    async def _call(self, home: OtherUnit, call: _Call) -> None:
        if not home.endpoint:
            raise Unavailable("nobody has heard of its unit yet")
        metadata = (("authorization", f"Bearer {home.introduction}"),)
        async with self._channels.channel(home.endpoint) as channel:
            try:
                await call(mail_pb2_grpc.MailServiceStub(channel), metadata)
            except aio.AioRpcError as failed:
                raise _said(failed) from failed


def _said(failed: aio.AioRpcError) -> ServiceError:
    error = error_of(failed)
    # UNIMPLEMENTED too: a unit that takes no mail now may do so later. And where units do not let
    # each other in, nobody's mail is refused for it.
    if error is None or isinstance(error, PermissionDenied):
        return Unavailable(f"its unit says {failed.code().name}")
    kind = _REASONS.get(error.reason)
    return error if kind is None else kind(error.message)
