"""PartitionCalls: a call to any server reaches the partitions that it is about.

Documents (rules, applications, policies, consents) are applied by the server that has the first
partition, one after another, there first and then in each of the others; so they come to all in one
order. What is named by an id is looked for; lists of all partitions are one. Calls are passed on
with their caller's credential, so each server judges the caller itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import grpc
from grpc import aio

from control_plane.auth.interceptor import metadata_of
from control_plane.errors import Exhausted, InvalidInput, Refused, Unavailable
from control_plane.serving.calls import Metadata
from control_plane.serving.handlers import behaviour_of, with_behaviour
from data_sharing.api.callers import Callers
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.api.partition_methods import METHODS, Reach
from data_sharing.api.partitioned_call import (
    ALONE,
    MADE,
    MARK,
    NUMBER,
    PLACED,
    REACHED,
    RELAYED,
    Own,
    PartitionedCall,
    again,
)

MOST_BESIDES = 1 << 20  # of a submission, besides its artifact
MOST_WAITING = 50  # documents of a tenant
MADE_FORM = re.compile("k-[0-9a-f]{20}")

MADE_ID: ContextVar[str] = ContextVar("made_id", default="")
"""What a consent is called that another partition has made; empty: this one is the first."""

Context: TypeAlias = aio.ServicerContext[Any, Any]


class _Turn:
    """Of a tenant's documents. waiting: calls that have it, or wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class PartitionCalls(aio.ServerInterceptor):
    """Stands behind the interceptors that look at the caller, before the audit. artifact_bytes: of
    a submission, at most."""

    def __init__(self, others: OtherPartitions, callers: Callers, *, artifact_bytes: int) -> None:
        self._others = others
        self._callers = callers
        self._stream_bytes = artifact_bytes + MOST_BESIDES
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

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
            self._check_number(said.get(NUMBER))
            if mark == REACHED:
                return method.response()
            if mark == ALONE:
                PLACED.set(True)
                MADE_ID.set(_made(said.get(MADE)))
                return await behaviour(request, context)
            requests = [request]
            own: Own = lambda: behaviour(request, context)  # noqa: E731
            if handler.request_streaming:
                requests = await self._read(request)
                own = lambda: behaviour(again(requests), context)  # noqa: E731
                if not requests:
                    return await own()  # which says what is missing
            call = PartitionedCall(
                self._others, path, method, requests, self._credential(context), own
            )
            match method.reach:
                case Reach.FIND:
                    return await call.find()
                case Reach.LIST:
                    return await call.merge()
                case _:
                    head = getattr(requests[0], "head", requests[0])
                    # Left out, it is the caller's: both names have one turn.
                    tenant = self._callers.of_context(context, head.tenant).tenant
                    return await self._in_turn(call, tenant, relayed=mark == RELAYED)

        return with_behaviour(handler, unary)

    def _credential(self, context: Context) -> Metadata:
        found = self._others.credential(metadata_of(context))
        if found is None:
            raise Refused(
                "keys are spread over several servers here, and a caller known by its certificate "
                "alone cannot be passed on to the others; show a token"
            )
        return found

    def _check_number(self, meant: str | bytes | None) -> None:
        """Raises Unavailable for a call to a partition that this server does not have now."""
        if meant is not None and meant != str(self._others.map.number):
            raise Unavailable("the partition is on its way to another server; try again")

    async def _in_turn(self, call: PartitionedCall, tenant: str, *, relayed: bool) -> Any:
        """By the first partition's server, a tenant's one after another."""
        if self._others.map.number != 0:
            if relayed:
                raise Unavailable("the first partition is on its way to another server; try again")
            return await call.ask(0, RELAYED)
        turn = self._turns.setdefault(tenant, _Turn())
        if turn.waiting >= MOST_WAITING:
            raise Exhausted(
                f"{turn.waiting} documents of tenant {tenant} wait to be applied; wait for their "
                "answers first"
            )
        turn.waiting += 1
        try:
            await turn.lock.acquire()
        except asyncio.CancelledError:
            turn.waiting -= 1
            raise

        def end(_: object) -> None:
            turn.waiting -= 1
            turn.lock.release()

        # Whoever asked may leave; what has begun comes to all partitions nevertheless.
        work = call.create() if call.method.reach is Reach.CREATE else call.apply()
        begun = self._others.begun(work)
        begun.add_done_callback(end)
        return await asyncio.shield(begun)

    async def _read(self, requests: AsyncIterator[Any]) -> list[Any]:
        found: list[Any] = []
        size = 0
        async for one in requests:
            size += one.ByteSize()
            if size > self._stream_bytes:
                raise InvalidInput("artifact", "the artifact is larger than this server takes")
            found.append(one)
        return found


def _made(given: str | bytes | None) -> str:
    """Raises InvalidInput for what no server calls a consent."""
    if given is None:
        return ""
    if not isinstance(given, str) or not MADE_FORM.fullmatch(given):
        raise InvalidInput(MADE, f"{MADE} is no id that a server gives a consent")
    return given
