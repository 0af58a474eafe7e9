"""GrpcioServer: a grpc.aio server that takes calls from the core as fast as they come, and begins
them in turn.

By itself grpc.aio takes one call of a method at a time, begins it, and waits for the next one of
each method apart: some tenths of a millisecond for each, in the order in which they came, so that
ten thousand calls without a message stand before everybody else's for seconds. Here several calls
of each method are asked for at once and wait in `Turns` of addresses and connections; those of
connections that were closed since do not begin. What interceptors put around methods is put there
once, at the start. This leans on names of grpcio 1.85 that it keeps to itself; where they are
others, calls are begun as grpc.aio does it, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import grpc
from grpc import aio
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # which its stubs do not have

from control_plane.pacing import Pacer
from control_plane.serving.peers import peer_group
from control_plane.supervision import log_failure
from control_plane.turns import Turns

log = logging.getLogger(__name__)

AT_ONCE = 16  # calls of a method that are asked of the core
PER_PASS = 64  # of the costs below: one to two milliseconds of an event loop
COST = 8  # of a call that begins
CLOSED_COST = 1  # of one whose connection was closed since
_NAMES = ("_handle_rpc", "_schedule_rpc_coro", "_ServicerContext", "_RequestCallError")


@dataclass(frozen=True, slots=True)
class _Details(grpc.HandlerCallDetails):
    """Of a call that has not come: what is put around a method depends on its name alone."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class _Taken(NamedTuple):
    """A call that the core has handed over."""

    method: str
    state: Any
    peer: str


class _Handlers(grpc.GenericRpcHandler):
    """By full path; `unknown` for every other one. Of a server, and of `_handle_rpc`."""

    def __init__(self, handlers: Mapping[str, Any], unknown: Any) -> None:
        self._handlers = handlers
        self._unknown = unknown

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self.resolve_handler(handler_call_details)

    def resolve_handler(self, details: Any) -> Any:
        return self._handlers.get(details.method, self._unknown)


class GrpcioServer:
    """See the module. The part of a grpc.aio server that `server` needs."""

    def __init__(
        self,
        *,
        interceptors: Sequence[aio.ServerInterceptor],
        options: Sequence[tuple[str, Any]],
        clock: Callable[[], float],
        is_closed: Callable[[str], bool] = lambda peer: False,
    ) -> None:
        """interceptors: the first outermost. clock: monotonic s. is_closed: whether the connection
        of this peer was closed by the server itself."""
        self._server = aio.server(options=list(options))
        self._interceptors = tuple(interceptors)
        self._is_closed = is_closed
        self._methods: dict[str, dict[str, Any]] = {}  # by service and name
        self._handlers = _Handlers({}, None)
        self._asking: set[asyncio.Task[None]] = set()
        self._begun: set[asyncio.Task[None]] = set()
        self._pacer: Pacer[_Taken] = Pacer(
            self._begin,
            Turns(_address_of, within=_peer_of),
            per_pass=PER_PASS,
            cost_of=self._cost,
            clock=clock,
        )
        self.add_insecure_port = self._server.add_insecure_port
        self.add_secure_port = self._server.add_secure_port

    def __len__(self) -> int:
        """Calls that wait for their turn."""
        return len(self._pacer)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Generated code names the same methods to `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Of a service, by name. Of two for the same method the later one counts."""
        self._methods.setdefault(service, {}).update(handlers)

    async def start(self) -> None:
        """Serves."""
        handlers: dict[str, Any] = {}
        for service, methods in self._methods.items():
            for name, handler in methods.items():
                path = f"/{service}/{name}"
                methods[name] = handlers[path] = await self._put_around(path, handler)
            self._server.add_registered_method_handlers(service, methods)
        self._handlers = _Handlers(handlers, await self._put_around("", None))
        self._server.add_generic_rpc_handlers([self._handlers])
        await self._server.start()
        core: Any = getattr(self._server, "_server", None)
        if not hasattr(core, "_request_registered_call") or not all(
            hasattr(cygrpc, name) for name in _NAMES
        ):
            log.warning(
                "this version of grpcio (%s) begins calls in the order in which they come; "
                "a flood of them delays all others: use --transport native, or grpcio 1.85",
                grpc.__version__,
            )
            return
        for path in handlers:
            for _ in range(AT_ONCE):
                asking = asyncio.create_task(self._ask(core, path), name=f"calls of {path}")
                self._asking.add(asking)
                asking.add_done_callback(log_failure)
                asking.add_done_callback(self._asking.discard)

    async def stop(self, grace_s: float | None) -> None:
        """As of grpc.aio."""
        await self._server.stop(grace_s)
        for task in (*self._asking, *self._begun):
            task.cancel()
        await asyncio.gather(*self._asking, *self._begun, return_exceptions=True)

    async def _ask(self, core: Any, path: str) -> None:
        """Takes calls of a method for as long as the server runs."""
        name, loop = path.encode(), asyncio.get_running_loop()
        while True:
            try:
                state = await core._request_registered_call(name)
            except cygrpc._RequestCallError:
                if not core.is_running():
                    return
                continue
            peer = cygrpc._ServicerContext(state, None, None, loop).peer()
            if self._is_closed(peer):
                continue  # nobody is there; with its state the call ends
            taken = [_Taken(path, state, peer)]
            if self._pacer.begin_now(taken):
                self._begin(taken)
            else:
                self._pacer.add(taken)

    def _begin(self, calls: Sequence[_Taken]) -> None:
        loop = asyncio.get_running_loop()
        for call in calls:
            if self._is_closed(call.peer):
                continue
            rpc = cygrpc._handle_rpc(call.method, self._handlers, (), call.state, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(rpc, call.state, loop, call.method))
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

    def _cost(self, call: _Taken) -> int:
        return CLOSED_COST if self._is_closed(call.peer) else COST

    async def _put_around(self, path: str, handler: Any) -> Any:
        """The handler as the interceptors make it."""

        async def innermost(details: grpc.HandlerCallDetails) -> Any:
            return handler

        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]] = innermost
        for one in reversed(self._interceptors):
            continuation = partial(one.intercept_service, continuation)
        return await continuation(_Details(path))


def _address_of(call: _Taken) -> str:
    return peer_group(call.peer)


def _peer_of(call: _Taken) -> str:
    return call.peer
