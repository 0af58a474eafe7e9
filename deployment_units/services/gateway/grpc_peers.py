"""GrpcPeers: Peers over gRPC, and within this unit without it.

Each call shows the introduction that the control plane gave for the sender. Where the account has
moved since, it is asked for anew, once; where it is on its way, later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import grpc
from grpc import aio

from control_plane.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unavailable,
)
from control_plane.identity.introductions import Introduction
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.received_status import error_of
from control_plane.serving.status_reason import reason_of
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.addressing import content_for
from deployment_units.services.conversations.handling import decoded
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.messages import handling_to_proto
from deployment_units.services.conversations.press import KeptPress, PressState
from deployment_units.services.gateway.delivery_messages import receipt_to_proto
from deployment_units.services.gateway.homes import Home, Homes
from deployment_units.services.gateway.peers import PeerOutcome, PeerResult
from deployment_units.services.gateway.told import MessageTold
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import (
    conversation_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
)

CALL_S = 5.0
NOBODY = "nobody is reached there by this sender"
_STATES = {
    pb.PRESS_STATE_WAITING: PressState.WAITING,
    pb.PRESS_STATE_DONE: PressState.DONE,
    pb.PRESS_STATE_SUPERSEDED: PressState.SUPERSEDED,
    pb.PRESS_STATE_REFUSED: PressState.REFUSED,
}
_REFUSED = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
Metadata = tuple[tuple[str, str], ...]
_SILENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
TakeIn = Callable[[Introduction, pb.DeliverRequest], Awaitable[None]]
TakePress = Callable[[Introduction, pb.DeliverPressRequest], Awaitable[pb.DeliverPressResponse]]
Hear = Callable[[Introduction, delivery_pb2.ReceiptRequest], Awaitable[None]]
Here = Callable[[Introduction], Awaitable[None]]
There = Callable[[aio.Channel, Metadata], Awaitable[object]]


class GrpcPeers:
    """Of one unit. take_in, take_press, hear: what Deliver, DeliverPress and Receipt do for an
    account that is at home here;
    read_introduction: one that was made for this unit."""

    def __init__(
        self,
        unit_id: str,
        homes: Homes,
        *,
        connect: Callable[[str], aio.Channel],
        read_introduction: Callable[[str], Introduction],
        take_in: TakeIn,
        hear: Hear,
        take_press: TakePress,
        call_s: float = CALL_S,
    ) -> None:
        self._unit_id = unit_id
        self._homes = homes
        self._channels = ChannelPool(connect)
        self._read_introduction = read_introduction
        self._take_in = take_in
        self._hear = hear
        self._take_press = take_press
        self._call_s = call_s

    async def deliver(
        self, sender: Resident, recipient: str, message: KeptMessage, members: Sequence[str]
    ) -> PeerResult:
        """See Peers."""
        request = _request(sender, recipient, message, members)

        async def there(channel: aio.Channel, metadata: Metadata) -> None:
            stub = conversation_pb2_grpc.ConversationServiceStub(channel)
            await stub.Deliver(request, metadata=metadata, timeout=self._call_s)

        return await self._reach(sender, recipient, lambda one: self._take_in(one, request), there)

    async def tell(self, teller: Resident, writer: str, told: Sequence[MessageTold]) -> PeerResult:
        """See Peers."""
        request = delivery_pb2.ReceiptRequest(receipts=map(receipt_to_proto, told))

        async def there(channel: aio.Channel, metadata: Metadata) -> None:
            stub = delivery_pb2_grpc.DeliveryServiceStub(channel)
            await stub.Receipt(request, metadata=metadata, timeout=self._call_s)

        return await self._reach(teller, writer, lambda one: self._hear(one, request), there)

    async def close(self) -> None:
        """Ends all connections."""
        await self._homes.close()
        await self._channels.close()

    async def _reach(self, viewer: Resident, account: str, here: Here, there: There) -> PeerResult:
        """Does one of both, where the account is at home."""
        try:
            home = await self._find(viewer, account)
            try:
                await self._call(home, here, there)
            except StaleEpoch:
                home = await self._find(viewer, account, fresh=True)
                await self._call(home, here, there)
        except _NobodyThere:
            return PeerResult(PeerOutcome.REFUSED, NOBODY)
        except (AlreadyExists, InvalidInput) as error:
            return PeerResult(PeerOutcome.REFUSED, error.message)
        except ServiceError as error:
            return PeerResult(PeerOutcome.NOT_NOW, error.message, error.retry_after_s or 0.0)
        except TimeoutError:
            self._homes.doubt(viewer, account)
            return PeerResult(PeerOutcome.NOT_NOW, "its unit did not answer in time")
        except aio.AioRpcError as error:
            if error.code() in _SILENT:
                self._homes.doubt(viewer, account)
            return _result(error)
        return PeerResult(PeerOutcome.TAKEN, "kept by its unit")

    async def bring(self, viewer: Resident, author: str, press: KeptPress) -> PressState:
        """See applications.handing_on.PressPeers."""
        request = pb.DeliverPressRequest(
            message=press.message,
            action=press.action,
            revision=press.revision,
            press=press.id,
            inputs=json.loads(press.inputs),
        )
        answer = pb.DeliverPressResponse()

        async def here(introduction: Introduction) -> None:
            answer.CopyFrom(await self._take_press(introduction, request))

        async def there(channel: aio.Channel, metadata: Metadata) -> None:
            stub = conversation_pb2_grpc.ConversationServiceStub(channel)
            answer.CopyFrom(
                await stub.DeliverPress(request, metadata=metadata, timeout=self._call_s)
            )

        await self.ask(viewer, author, here, there)
        return _STATES.get(answer.state, PressState.WAITING)  # a newer unit's word: it has it

    async def ask(self, viewer: Resident, account: str, here: Here, there: There) -> None:
        """Does one of both, where the account is at home. Raises NotFound, Unavailable, and what
        its unit says."""
        try:
            home = await self._find(viewer, account)
            try:
                await self._call(home, here, there)
            except StaleEpoch:
                home = await self._find(viewer, account, fresh=True)
                await self._call(home, here, there)
        except _NobodyThere as error:
            raise NotFound(NOBODY) from error
        except TimeoutError as error:
            self._homes.doubt(viewer, account)
            raise Unavailable("its unit did not answer in time") from error
        except aio.AioRpcError as error:
            if error.code() in _SILENT:
                self._homes.doubt(viewer, account)
            raise error_of(error) or Unavailable(f"its unit says {error.code().name}") from error

    async def _find(self, viewer: Resident, account: str, *, fresh: bool = False) -> Home:
        """Raises as Homes, and _NobodyThere."""
        try:
            async with asyncio.timeout(self._call_s):
                return await self._homes.find(viewer, account, fresh=fresh)
        except NotFound as error:
            raise _NobodyThere from error

    async def _call(self, home: Home, here: Here, there: There) -> None:
        """Raises StaleEpoch, _NobodyThere and what else was answered."""
        async with asyncio.timeout(self._call_s):
            if home.unit_id == self._unit_id:
                try:
                    await here(self._read_introduction(home.introduction))
                except PermissionDenied as error:
                    raise _NobodyThere from error
                return
            if not home.endpoint:
                raise Unavailable("nobody has heard of its unit yet")
            metadata = (("authorization", f"Bearer {home.introduction}"),)
            async with self._channels.channel(home.endpoint) as channel:
                try:
                    await there(channel, metadata)
                except aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
                        raise _NobodyThere from error
                    if reason_of(error) == StaleEpoch.reason:
                        raise StaleEpoch(error.details() or "it has moved") from error
                    raise


class _NobodyThere(Exception):
    """There is no such account, or it is not reached by the sender: which of them is not told."""


def _result(error: aio.AioRpcError) -> PeerResult:
    words = f"{error.code().name}: {error.details() or ''}"
    if error.code() in _REFUSED:
        return PeerResult(PeerOutcome.REFUSED, words)
    said = error_of(error)
    retry_after_s = 0.0 if said is None else said.retry_after_s or 0.0
    return PeerResult(PeerOutcome.NOT_NOW, words, retry_after_s)


def _request(
    sender: Resident, recipient: str, message: KeptMessage, members: Sequence[str]
) -> pb.DeliverRequest:
    """members: of the conversation, without the sender."""
    return pb.DeliverRequest(
        conversation=message.conversation,
        id=message.id,
        members=members,
        content=content_for(message.content, recipient),
        author=message.sender if message.sender != sender.account else "",
        replaces=message.replaces,
        revision=message.revision,
        handling=handling_to_proto(decoded(message.handling)) if message.handling else None,
    )
