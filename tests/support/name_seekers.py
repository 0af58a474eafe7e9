"""People who want names: each takes a handle, proves an address, takes another handle, and races
for what all want. Whatever a server does to a call, the same call with the same id is made again
until there is an answer.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as provisioning_grpc
from tests.support.fakes.smtp_relay import SmtpRelay
from tests.support.judge.names import Told
from tests.support.measurements import Measured

CALL_S = 15.0
PAUSE_S = 0.1  # before another try
AGAIN = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
})  # fmt: skip
_CODE = re.compile(rb"code is ([0-9]{4}) ?([0-9]{4})")


@dataclass(slots=True)
class Seekers:
    """addresses: of servers, asked in turn; relay: that codes come to; within_s: for one answer."""

    addresses: Sequence[str]
    relay: SmtpRelay
    within_s: float = 150.0
    measured: Measured = field(default_factory=Measured)
    told: list[Told] = field(default_factory=list)
    winners: dict[str, list[str]] = field(default_factory=dict)
    wrong_codes: int = 0
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    async def __aenter__(self) -> Seekers:
        self._channels = [grpc.aio.insecure_channel(one) for one in self.addresses]
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def insist(self, start: int, method: str, request: Any) -> Any:
        """The answer, from whichever server; `start` is asked first. Raises AioRpcError for what no
        repeat would change, AssertionError where there is no answer in time."""
        end, turn = time.monotonic() + self.within_s, start
        self.measured.requests += 1
        while True:
            channel = self._channels[turn % len(self._channels)]
            stub: Any = pb_grpc.DirectoryServiceStub(channel)
            if method == "Provision":
                stub = provisioning_grpc.ProvisioningServiceStub(channel)
            try:
                return await getattr(stub, method)(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
                if time.monotonic() > end:
                    self.measured.failed += 1
                    said = f"{method}: {error.code().name} {error.details()}"
                    self.measured.errors[said] = self.measured.errors.get(said, 0) + 1
                    raise AssertionError(said) from error
            turn += 1
            await asyncio.sleep(PAUSE_S)

    async def claim(self, place: int, account: str, handle: str, **more: Any) -> bool:
        """Whether it has it; False: somebody else has."""
        request = pb.ClaimHandleRequest(
            account=account, handle=handle, request_id=f"{account}-{handle}", **more
        )
        try:
            answer = await self.insist(place, "ClaimHandle", request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            return False
        self.told.append(Told(account, answer.handle, "", answer.revision))
        return True

    async def prove(self, place: int, account: str) -> None:
        """An address of its own, with one wrong code before the right one."""
        mail = pb.Identifier(uri=f"mailto:{account}@mail.example")
        begin = pb.BeginProofRequest(account=account, identifier=mail, request_id=f"{account}-m")
        await self.insist(place, "BeginProof", begin)
        code = self._code(f"{account}@mail.example")
        finish = pb.FinishProofRequest(
            account=account, identifier=mail, request_id=f"{account}-f", findable=True
        )
        finish.code = f"{(int(code) + 1) % 10**8:08}"
        try:  # one try, counted or not
            stub = pb_grpc.DirectoryServiceStub(self._channels[place % len(self._channels)])
            await stub.FinishProof(finish, timeout=CALL_S)
            raise AssertionError("a wrong code was taken")
        except grpc.aio.AioRpcError as error:
            self.wrong_codes += error.code() is grpc.StatusCode.FAILED_PRECONDITION
        finish.code = code
        answer = await self.insist(place, "FinishProof", finish)
        self.told.append(Told(account, "", answer.digest, answer.revision))

    async def live(self, place: int, account: str) -> None:
        """What one of them does, but for the races."""
        await self.insist(place, "Provision", provisioning.ProvisionRequest(client_id=account))
        assert await self.claim(place, account, f"{account}-first")
        await self.prove(place, account)
        assert await self.claim(place, account, f"{account}-second", rename=True)

    async def run(self, prefix: str, count: int, prizes: int) -> None:
        """All of them, at once; then they race for so many handles, one after another."""
        accounts = [f"{prefix}{place:02d}" for place in range(count)]
        await asyncio.gather(*(self.live(place, one) for place, one in enumerate(accounts)))
        for number in range(prizes):
            prize = f"{prefix}-prize-{'abcdefgh'[number]}"
            got = await asyncio.gather(
                *(self.claim(place, one, prize, rename=True) for place, one in enumerate(accounts))
            )
            self.winners[prize] = [
                one for one, has in zip(accounts, got, strict=True) if has
            ]  # fmt: skip

    def _code(self, address: str) -> str:
        """The last that was sent there."""
        content = next(body for to, body in reversed(self.relay.messages) if to == address)
        found = _CODE.search(content)
        assert found is not None, content
        return (found[1] + found[2]).decode()
