"""GrpcCallPeers: CallPeers over gRPC, with the introduction that came with an account's home."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio

from control_plane.errors import PermissionDenied, ServiceError, Unavailable
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.received_status import error_of
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.telephony.call_messages import KINDS, end_number, refusal_of
from deployment_units.services.telephony.call_peers import CallReport, CallUnit
from deployment_units.services.telephony.port import RefusedCause
from deployment_units.services.telephony.routing import CallAsked, Routed
from homeport.api.communication.v1 import telephony_pb2 as pb
from homeport.api.communication.v1 import telephony_pb2_grpc

CALL_S = 4.0  # somebody waits at a telephone
STAGES = {
    "began": pb.CALL_STAGE_BEGAN,
    "answered": pb.CALL_STAGE_ANSWERED,
    "ended": pb.CALL_STAGE_ENDED,
}
_Metadata = tuple[tuple[str, str], ...]
_Call = Callable[[Any, _Metadata], Awaitable[Any]]


class GrpcCallPeers:
    """connect: opens a channel to a unit."""

    def __init__(self, connect: Callable[[str], aio.Channel], *, call_s: float = CALL_S) -> None:
        self._channels = ChannelPool(connect)
        self._call_s = call_s

    async def route(self, home: CallUnit, asked: CallAsked) -> Routed | RefusedCause:
        """See CallPeers."""
        request = pb.RouteCallRequest(
            caller=asked.caller or "", dialled=asked.dialled, kind=KINDS[asked.kind]
        )
        found = await self._call(
            home,
            lambda stub, metadata: stub.Route(request, metadata=metadata, timeout=self._call_s),
        )
        if found.WhichOneof("outcome") != "leg":
            return refusal_of(found.refused)
        leg = found.leg
        return Routed(
            target=leg.target, shown=leg.shown or None, record=leg.record, limit_s=leg.limit.seconds
        )

    async def report(self, home: CallUnit, report: CallReport) -> None:
        """See CallPeers."""
        request = pb.ReportCallRequest(
            record=report.record,
            stage=STAGES[report.stage],
            end=pb.CALL_END_UNSPECIFIED if report.cause is None else end_number(report.cause),
        )
        request.time.FromMilliseconds(report.at_ms)
        await self._call(
            home,
            lambda stub, metadata: stub.Report(request, metadata=metadata, timeout=self._call_s),
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._channels.close()

    async def _call(self, home: CallUnit, call: _Call) -> Any:
        if not home.endpoint:
            raise Unavailable("nobody has heard of its unit yet")
        metadata = (("authorization", f"Bearer {home.introduction}"),)
        async with self._channels.channel(home.endpoint) as channel:
            try:
                return await call(telephony_pb2_grpc.TelephonyServiceStub(channel), metadata)
            except aio.AioRpcError as failed:
                raise _said(failed) from failed


def _said(failed: aio.AioRpcError) -> ServiceError:
    error = error_of(failed)
    if error is None or isinstance(error, PermissionDenied):
        return Unavailable(f"its unit says {failed.code().name}")
    return StaleEpoch(error.message) if error.reason == StaleEpoch.reason else error
