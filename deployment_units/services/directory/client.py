"""DirectoryClient: the directory over gRPC, at the servers that a unit was given.

Of a call that was sent and not answered the outcome is not known; it is sent again where the method
says that this is safe. Streams have a connection of their own: calls go through however many stand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import grpc
from grpc import aio

from control_plane.errors import (
    OutcomeUnknown,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from control_plane.serving.received_status import error_of
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.connection import CONNECT_S, DirectoryConnection
from deployment_units.services.directory.port import DirectoryMethod
from homeport.api.directory.v1 import (
    directory_pb2,
    directory_pb2_grpc,
    domain_pb2_grpc,
    invitation_pb2_grpc,
    number_pb2_grpc,
)

log = logging.getLogger(__name__)

ATTEMPT_S = 5.0  # of a call that is sent again elsewhere
_STUBS: dict[str, Callable[[aio.Channel], Any]] = {
    "DirectoryService": directory_pb2_grpc.DirectoryServiceStub,
    "DomainService": domain_pb2_grpc.DomainServiceStub,
    "InvitationService": invitation_pb2_grpc.InvitationServiceStub,
    "NumberService": number_pb2_grpc.NumberServiceStub,
}
MOST_AT_ONCE = 64  # calls of one unit; more wait
SILENT_S = 45.0  # of a stream that shows no sign of life: three are missing


class DirectoryClient:
    """See UnitDirectory and AccountStreams. servers: host:port, one or more; connect: opens a
    channel to one; connect_apart: one that shares its connection with no other, for streams."""

    def __init__(
        self,
        unit_id: str,
        servers: Sequence[str],
        connect: Callable[[str], aio.Channel],
        *,
        connect_apart: Callable[[str], aio.Channel] | None = None,
        token: str = "",
        connect_s: float = CONNECT_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._unit_id = unit_id
        self._connection = DirectoryConnection(servers, connect, connect_s=connect_s)
        self._streams = DirectoryConnection(servers, connect_apart or connect, connect_s=connect_s)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._silent_s = silent_s
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._not_let = False

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        """See UnitDirectory."""
        whole = self._completed(request, resident)
        unknown, told = False, Unavailable("the directory does not answer; try again")
        try:
            async with asyncio.timeout(method.deadline_s), self._room:
                for _ in range(self._connection.servers + 1):
                    async with self._connection.ready() as channel:
                        if channel is None:
                            continue
                        before, unknown = unknown, True  # unless somebody says otherwise
                        try:
                            return await self._send(channel, method, whole)
                        except Unavailable as error:
                            told, unknown = error, before
                        except TimeoutError:
                            pass
                        self._connection.leave(channel)
                    if not method.repeats:
                        break
        except TimeoutError:
            pass
        if unknown and method.changes:
            raise OutcomeUnknown(
                "the directory did not answer in time, and may have done it; make the same request "
                "again, with the same request_id"
            )
        raise told

    async def watch(
        self, resident: Resident
    ) -> AsyncGenerator[directory_pb2.GetAccountResponse, None]:
        """See AccountStreams."""
        request = self._completed(directory_pb2.WatchAccountRequest(), resident)
        async with self._streams.ready() as channel:
            if channel is None:
                raise Unavailable("the directory does not answer; watch again")
            stub = directory_pb2_grpc.DirectoryServiceStub(channel)
            told = stub.WatchAccount(request, metadata=self._metadata)
            try:
                while True:
                    async with asyncio.timeout(self._silent_s):
                        message = await told.read()
                    if message is aio.EOF:
                        raise Unavailable("the directory ended the stream; watch again")
                    self._not_let = False
                    if message.HasField("account"):
                        yield message.account
            except TimeoutError as silent:
                self._streams.leave(channel)
                raise Unavailable("the directory shows no sign of life; watch again") from silent
            except aio.AioRpcError as failed:
                error = error_of(failed)
                if error is None or isinstance(error, Unavailable):
                    self._streams.leave(channel)
                if error is None:
                    away = Unavailable("the directory does not answer; watch again")
                    raise away from failed
                raise self._told(error) from failed
            finally:
                told.cancel()

    async def close(self) -> None:
        """Ends the connections."""
        await self._connection.close()
        await self._streams.close()

    def _completed(self, request: Any, resident: Resident) -> Any:
        whole = type(request)()
        whole.CopyFrom(request)
        whole.tenant = resident.tenant
        # Resolve has both, and `account` is whom it looks for.
        fields = whole.DESCRIPTOR.fields_by_name
        field = next((one for one in ("viewer", "account") if one in fields), None)
        if field is not None:
            setattr(whole, field, resident.account)
        whole.home.unit_id = self._unit_id
        whole.home.epoch = resident.epoch
        return whole

    async def _send(self, channel: aio.Channel, method: DirectoryMethod, request: Any) -> Any:
        """Raises what the directory says; TimeoutError where it is not known what became of it."""
        stub = getattr(_STUBS[method.service](channel), method.name)
        deadline_s = ATTEMPT_S if method.repeats else method.deadline_s
        try:
            answer = await stub(request, timeout=deadline_s, metadata=self._metadata)
        except aio.AioRpcError as failed:
            error = error_of(failed)
            if error is not None:
                raise self._told(error) from failed
            if failed.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise TimeoutError from failed
            log.warning("the directory answers what it should not: %s", failed.code().name)
            raise TimeoutError from failed
        self._not_let = False
        return answer

    def _told(self, error: ServiceError) -> ServiceError:
        """What the account's owner is told: that the unit is refused is none of theirs."""
        if not isinstance(error, PermissionDenied | Unauthenticated):
            return error
        if not self._not_let:
            self._not_let = True
            log.error("the directory does not let unit %s act: %s", self._unit_id, error)
        return Unavailable(
            "the directory does not let this unit act for its accounts; its operator has to give "
            "it a token with the role unit",
            retry_after_s=60.0,
        )
