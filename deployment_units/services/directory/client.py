"""DirectoryClient: the directory over gRPC, at the servers that a unit was given.

One connection at a time, to the server that answered last. Another one is taken where it cannot be
reached: nothing was sent then, so that any call may go there. Of a call that was sent and not
answered the outcome is not known; it is sent again where the method says that this is safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
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
from deployment_units.services.directory.port import DirectoryMethod
from homeport.api.directory.v1 import (
    directory_pb2_grpc,
    domain_pb2_grpc,
    invitation_pb2_grpc,
    number_pb2_grpc,
)

log = logging.getLogger(__name__)

CONNECT_S = 2.0  # to one server
ATTEMPT_S = 5.0  # of a call that is sent again elsewhere
_STUBS: dict[str, Callable[[aio.Channel], Any]] = {
    "DirectoryService": directory_pb2_grpc.DirectoryServiceStub,
    "DomainService": domain_pb2_grpc.DomainServiceStub,
    "InvitationService": invitation_pb2_grpc.InvitationServiceStub,
    "NumberService": number_pb2_grpc.NumberServiceStub,
}
MOST_AT_ONCE = 64  # calls of one unit; more wait


class DirectoryClient:
    """See UnitDirectory. servers: host:port, one or more; connect: opens a channel to one."""

    def __init__(
        self,
        unit_id: str,
        servers: Sequence[str],
        connect: Callable[[str], aio.Channel],
        *,
        token: str = "",
        connect_s: float = CONNECT_S,
    ) -> None:
        self._unit_id = unit_id
        self._servers = list(servers)
        self._connect = connect
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._connect_s = connect_s
        self._turn = 0
        self._channel: aio.Channel | None = None
        self._users: dict[aio.Channel, int] = {}
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._not_let = False

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        """See UnitDirectory."""
        whole = self._completed(request, resident)
        unknown, told = False, Unavailable("the directory does not answer; try again")
        try:
            async with asyncio.timeout(method.deadline_s), self._room:
                for _ in range(len(self._servers) + 1):
                    async with self._ready() as channel:
                        if channel is None:
                            continue
                        before, unknown = unknown, True  # unless somebody says otherwise
                        try:
                            return await self._send(channel, method, whole)
                        except Unavailable as error:
                            told, unknown = error, before
                        except TimeoutError:
                            pass
                        self._leave(channel)
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

    async def close(self) -> None:
        """Ends the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

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

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[aio.Channel | None]:
        """A channel that stands, open for as long as it is used; None: this server cannot be
        reached, and the next one is next."""
        if self._channel is None:
            self._channel = self._connect(self._servers[self._turn % len(self._servers)])
        channel = self._channel
        self._users[channel] = self._users.get(channel, 0) + 1
        try:
            try:
                async with asyncio.timeout(self._connect_s):
                    await channel.channel_ready()
            except TimeoutError:
                self._leave(channel)
                yield None
            else:
                yield channel
        finally:
            self._users[channel] -= 1
            if not self._users[channel]:
                del self._users[channel]
                if channel is not self._channel:
                    await channel.close()

    def _leave(self, channel: aio.Channel) -> None:
        """Takes the next server from now on, unless somebody else did already."""
        if self._channel is channel:
            self._channel = None
            self._turn += 1

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
