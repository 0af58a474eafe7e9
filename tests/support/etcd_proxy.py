"""EtcdProxy: an etcd whose watches can be made late. It passes on every call as it is; what the
watches that are open at a moment deliver from then on can be held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import grpc
import grpc.aio

WATCH = "/etcdserverpb.Watch/Watch"
STREAMS = (WATCH, "/etcdserverpb.Lease/LeaseKeepAlive")


class EtcdProxy(grpc.GenericRpcHandler):
    """An async context manager. target: host:port of an etcd without TLS; `url`: of a store that
    is reached through this."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open: set[asyncio.Event] = set()  # one for each watch: it may deliver

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._target)
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"etcd://127.0.0.1:{port}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release_watches()
        await self._server.stop(None)
        await self._channel.close()

    def hold_watches(self) -> None:
        """The watches that are open now deliver nothing more."""
        for may_deliver in self._open:
            may_deliver.clear()

    def release_watches(self) -> None:
        """They deliver what they were held back with."""
        for may_deliver in self._open:
            may_deliver.set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = str(handler_call_details.method)
        if method in STREAMS:
            return grpc.stream_stream_rpc_method_handler(self._stream_of(method))
        return grpc.unary_unary_rpc_method_handler(self._call_of(method))

    def _call_of(self, method: str) -> Any:
        async def call(request: bytes, context: Any) -> bytes:
            try:
                answer: bytes = await self._channel.unary_unary(method)(
                    request, timeout=context.time_remaining()
                )
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            return answer

        return call

    def _stream_of(self, method: str) -> Any:
        async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            may_deliver = asyncio.Event()
            may_deliver.set()
            if method == WATCH:
                self._open.add(may_deliver)
            call = self._channel.stream_stream(method)(requests)
            try:
                async for answer in call:
                    await may_deliver.wait()
                    yield answer
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            finally:
                self._open.discard(may_deliver)
                call.cancel()

        return stream
