"""An etcd that answers what the test says, and remembers what it was asked.

For answers that a real one gives only in the worst minute of a bad night: "too many
requests", "leader changed", a watch cut between two fragments. Speaks gRPC over loopback.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
import grpc.aio
from etcd3aio._protobuf import WatchRequest, WatchResponse


class Silence:
    """No answer at all."""


SILENCE = Silence()
Answer: TypeAlias = Any  # a protobuf message, (StatusCode, words), or SILENCE


class ScriptedEtcd(grpc.GenericRpcHandler):
    """`answers` of a method ("KV/Txn") are given in order, the last one again and again."""

    def __init__(self) -> None:
        self._answers: dict[str, deque[Answer]] = defaultdict(deque)
        self._watches: deque[Sequence[Answer]] = deque()
        self.asked: list[tuple[str, bytes]] = []  # method, request
        self.tokens: list[str | None] = []  # of each entry of `asked`
        self.watched: list[WatchRequest] = []
        self._arrival = asyncio.Condition()

    def script(self, method: str, *answers: Answer) -> None:
        """Replaces what `method` answers from now on."""
        self._answers[method] = deque(answers)

    def script_watches(self, *streams: Sequence[Answer]) -> None:
        """What each further watch stream sends; after its last answer it stays silent."""
        self._watches = deque(streams)

    def count(self, method: str) -> int:
        """How many calls of the method arrived."""
        return sum(name == method for name, _ in self.asked)

    async def arrived(self, calls: int) -> None:
        """Returns when so many calls, watches included, have arrived since the start."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.asked) + len(self.watched) >= calls)

    async def _announce(self) -> None:
        async with self._arrival:
            self._arrival.notify_all()

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop(None)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = str(handler_call_details.method).removeprefix("/etcdserverpb.")
        if method == "Watch/Watch":
            return grpc.stream_stream_rpc_method_handler(
                self._watch,
                request_deserializer=WatchRequest.FromString,
                response_serializer=WatchResponse.SerializeToString,
            )

        async def answer(request: bytes, context: Any) -> bytes:
            metadata = dict(context.invocation_metadata())
            self.asked.append((method, request))
            self.tokens.append(metadata.get("token"))
            await self._announce()
            answers = self._answers[method]
            said = answers.popleft() if len(answers) > 1 else answers[0]
            message: bytes = (await self._say(said, context)).SerializeToString()
            return message

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _watch(
        self, requests: AsyncIterator[WatchRequest], context: Any
    ) -> AsyncIterator[WatchResponse]:
        async for request in requests:
            self.watched.append(request)
            await self._announce()
            break
        for said in self._watches.popleft() if self._watches else ():
            yield await self._say(said, context)
        await asyncio.Event().wait()

    @staticmethod
    async def _say(said: Answer, context: Any) -> Any:
        if isinstance(said, Silence):
            await asyncio.Event().wait()
        if isinstance(said, tuple):
            await context.abort(*said)
        return said
