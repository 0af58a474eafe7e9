"""People of a unit who go on while they are moved: each writes messages and takes handles, one
after another, and makes a call again until it is answered, with the ticket that is good then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import conversation_pb2_grpc as talk_grpc
from homeport.api.communication.v1 import profile_pb2 as profile
from homeport.api.communication.v1 import profile_pb2_grpc as profile_grpc
from homeport.api.directory.v1 import directory_pb2 as names
from homeport.api.directory.v1 import directory_pb2_grpc as names_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from homeport.api.status.v1 import status_pb2
from tests.support.measurements import Measured

CALL_S = 10.0
WITHIN_S = 120.0
PAUSE_S = 0.1
RENAMES_EVERY = 10  # messages
HANDLES_EACH = 6  # fewer than an account may have given back
AGAIN = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
})  # fmt: skip


def told_where(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str]]:
    """The reason of a refusal, and what it says for machines."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if isinstance(details, bytes):
        for one in status_pb2.Status.FromString(details).details:
            if one.type_url.endswith("ErrorInfo"):
                info = status_pb2.ErrorInfo.FromString(one.value)
                return info.reason, dict(info.metadata)
    return "", {}


@dataclass(slots=True)
class Writers:
    """endpoints: of units, by id, kept up to date by the test; provision(account): its home now;
    directory: of a server."""

    endpoints: dict[str, str]
    provision: Callable[[str], Awaitable[provisioning.ProvisionResponse]]
    directory: str
    accounts: list[str]
    measured: Measured = field(default_factory=Measured)
    sent: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, str] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)  # answers that an account has moved
    homes: dict[str, provisioning.ProvisionResponse] = field(default_factory=dict)

    async def settle(self) -> None:
        """Homes, and something that each says of itself."""
        for account in self.accounts:
            self.homes[account] = await self.provision(account)
            await self.ask(account, profile_grpc.ProfileServiceStub, "UpdateProfile",
                           profile.UpdateProfileRequest(name=f"{account} of old"))  # fmt: skip

    async def ask(self, account: str, stub: Any, method: str, request: Any) -> Any:
        """An account's call to its unit, until it is answered."""

        async def once(home: provisioning.ProvisionResponse) -> Any:
            endpoint = self.endpoints[home.assignment.unit_id]
            async with grpc.aio.insecure_channel(endpoint) as channel:
                shown = (("authorization", f"Bearer {home.ticket}"),)
                return await getattr(stub(channel), method)(request, timeout=CALL_S, metadata=shown)

        return await self._insist(account, method, once)

    async def rename(self, account: str, handle: str, request_id: str) -> None:
        """Its home takes a handle for it, in place of the one before."""

        async def once(home: provisioning.ProvisionResponse) -> Any:
            at = home.assignment
            request = names.ClaimHandleRequest(
                account=account, handle=handle, rename=True, request_id=request_id,
                home=names.ActingHome(unit_id=at.unit_id, epoch=at.epoch),
            )  # fmt: skip
            async with grpc.aio.insecure_channel(self.directory) as channel:
                stub: Any = names_grpc.DirectoryServiceStub(channel)
                return await stub.ClaimHandle(request, timeout=CALL_S)

        self.renamed[account] = (await self._insist(account, "ClaimHandle", once)).handle

    async def _insist(
        self,
        account: str,
        what: str,
        once: Callable[[provisioning.ProvisionResponse], Awaitable[Any]],
    ) -> Any:
        end = time.monotonic() + WITHIN_S
        self.measured.requests += 1
        while True:
            try:
                return await once(self.homes[account])
            except grpc.aio.AioRpcError as error:
                reason, _ = told_where(error)
                if reason == "STALE_EPOCH":
                    self.moved[account] += 1
                elif error.code() not in AGAIN:
                    raise
                elif time.monotonic() > end:
                    self.measured.failed += 1
                    said = f"{what}: {error.code().name} {error.details()}"
                    self.measured.errors[said] = self.measured.errors.get(said, 0) + 1
                    raise AssertionError(said) from error
                with suppress(grpc.aio.AioRpcError):  # it may be at home elsewhere by now
                    self.homes[account] = await self.provision(account)
            await asyncio.sleep(PAUSE_S)

    async def write(self, done: Callable[[], bool], most: int) -> None:
        """Each writes until `done`, and then on to the same number, at least `most`."""

        async def one(place: int, account: str) -> None:
            other = self.accounts[(place + 1) % len(self.accounts)]
            while not done() or self.sent[account] < most:
                number = self.sent[account]
                await self.ask(
                    account, talk_grpc.ConversationServiceStub, "SendMessage",
                    talk.SendMessageRequest(
                        conversation=conversation_of(place), id=message_id(place, number),
                        members=[other], content=talk.Content(text=f"{account} says {number}"),
                    ),
                )  # fmt: skip
                self.sent[account] += 1
                if number % RENAMES_EVERY == 0:
                    # One that it gave back is its own for long enough; others it may not keep.
                    nth = number // RENAMES_EVERY
                    await self.rename(
                        account, f"{account}-n{nth % HANDLES_EACH}", f"{account}-{nth:03}"
                    )

        async with asyncio.TaskGroup() as group:
            for place, account in enumerate(self.accounts):
                group.create_task(one(place, account))

    async def kept(self, account: str, place: int) -> list[talk.Message]:
        """What it has of the conversation that this one of them began."""
        found: list[talk.Message] = []
        while True:
            page = await self.ask(
                account, talk_grpc.ConversationServiceStub, "ListMessages",
                talk.ListMessagesRequest(
                    conversation=conversation_of(place), page_size=100,
                    after=found[-1].position if found else 0,
                ),
            )  # fmt: skip
            found += page.messages
            if not page.more:
                return found


def conversation_of(place: int) -> bytes:
    return (place + 1).to_bytes(16, "big")


def message_id(place: int, number: int) -> bytes:
    return (place + 1).to_bytes(4, "big") + number.to_bytes(12, "big")
