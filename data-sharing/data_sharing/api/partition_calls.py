"""PartitionCalls: a call to any server reaches the partitions that it is about.

Documents (rules, applications, policies, consents) are applied by the server that has the first
partition, one after another, there first and then in each of the others; so they come to all in one
order. What is named by an id is looked for; lists of all partitions are one. Calls are passed on
with their caller's credential, so each server judges the caller itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import grpc
from grpc import aio

from control_plane.auth.interceptor import metadata_of
from control_plane.errors import InvalidInput, Refused, Unavailable
from control_plane.serving.calls import Metadata
from control_plane.serving.handlers import behaviour_of, with_behaviour
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.api.partition_methods import METHODS, Reach
from data_sharing.api.partitioned_call import (
    ALONE,
    MADE,
    MARK,
    PLACED,
    RELAYED,
    Own,
    PartitionedCall,
    again,
)

MOST_BESIDES = 1 << 20  # of a submission, besides its artifact

MADE_ID: ContextVar[str] = ContextVar("made_id", default="")
"""What a consent is called that another partition has made; empty: this one is the first."""

Context: TypeAlias = aio.ServicerContext[Any, Any]


class PartitionCalls(aio.ServerInterceptor):
    """Stands behind the interceptors that look at the caller, before the audit. artifact_bytes: of
    a submission, at most."""

    def __init__(self, others: OtherPartitions, *, artifact_bytes: int) -> None:
        self._others = others
        self._stream_bytes = artifact_bytes + MOST_BESIDES
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        path: str = handler_call_details.method
        method = METHODS.get(path)
        if handler is None or method is None:
            return handler
        behaviour = behaviour_of(handler)

        async def unary(request: Any, context: Context) -> Any:
            said = dict(metadata_of(context))
            mark = said.get(MARK)
            if mark == ALONE:
                PLACED.set(True)
                MADE_ID.set(str(said.get(MADE, "")))
                return await behaviour(request, context)
            requests = [request]
            own: Own = lambda: behaviour(request, context)  # noqa: E731
            if handler.request_streaming:
                requests = await self._read(request)
                own = lambda: behaviour(again(requests), context)  # noqa: E731
            call = PartitionedCall(
                self._others, path, method, requests, self._credential(context), own
            )
            match method.reach:
                case Reach.FIND:
                    return await call.find()
                case Reach.LIST:
                    return await call.merge()
                case _:
                    return await self._in_turn(call, relayed=mark == RELAYED)

        return with_behaviour(handler, unary)

    def _credential(self, context: Context) -> Metadata:
        found = self._others.credential(metadata_of(context))
        if found is None:
            raise Refused(
                "keys are spread over several servers here, and a caller known by its certificate "
                "alone cannot be passed on to the others; show a token"
            )
        return found

    async def _in_turn(self, call: PartitionedCall, *, relayed: bool) -> Any:
        """By the first partition's server, a tenant's one after another."""
        if self._others.map.number != 0:
            if relayed:
                raise Unavailable("the first partition is on its way to another server; try again")
            return await call.ask(0, RELAYED)
        # Whoever asked may leave; what has begun comes to all partitions nevertheless.
        return await asyncio.shield(self._others.begun(self._apply(call)))

    async def _apply(self, call: PartitionedCall) -> Any:
        first = call.requests[0]
        tenant = getattr(getattr(first, "head", first), "tenant", "")
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async with turn:
            return await (call.create() if call.method.reach is Reach.CREATE else call.apply())

    async def _read(self, requests: AsyncIterator[Any]) -> list[Any]:
        found: list[Any] = []
        size = 0
        async for one in requests:
            size += one.ByteSize()
            if size > self._stream_bytes:
                raise InvalidInput("artifact", "the artifact is larger than this server takes")
            found.append(one)
        return found
