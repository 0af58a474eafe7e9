"""QuotaInterceptor: counts ordinary calls before their methods run.

It stands behind the one that checks access, and counts what is in its table. Hot methods, and
streams of many requests, count what they read themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio

from control_plane.auth.access_control import AccessControl, tenant_for
from control_plane.auth.interceptor import metadata_of
from control_plane.auth.method_access import MethodAccess, field_of
from control_plane.quotas.limits import Quota
from control_plane.quotas.quotas import Quotas
from control_plane.serving.handlers import behaviour_of, with_behaviour
from control_plane.serving.peer_identity import identity_of
from control_plane.serving.peers import Proxies

Context = aio.ServicerContext[Any, Any]


class QuotaInterceptor(aio.ServerInterceptor):
    """See the module. table: full method path to what it counts as."""

    def __init__(
        self,
        table: Mapping[str, Quota],
        quotas: Quotas,
        methods: Mapping[str, MethodAccess],
        control: AccessControl,
        proxies: Proxies,
    ) -> None:
        self._table = table
        self._quotas = quotas
        self._methods = methods
        self._control = control
        self._proxies = proxies

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        quota = self._table.get(method)
        if handler is None or quota is None:
            return handler
        behaviour = behaviour_of(handler)

        def counted(request: Any, context: Context) -> Any:
            if isinstance(request, Message):
                self._count(quota, method, request, context)
                return request
            return self._counted_stream(quota, method, request, context)

        async def unary(request: Any, context: Context) -> Any:
            return await behaviour(counted(request, context), context)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            async with aclosing(behaviour(counted(request, context), context)) as answers:
                async for answer in answers:
                    yield answer

        return with_behaviour(handler, stream if handler.response_streaming else unary)

    async def _counted_stream(
        self, quota: Quota, method: str, requests: AsyncIterator[Any], context: Context
    ) -> AsyncIterator[Any]:
        """The first message counts for all of them."""
        first = True
        async for request in requests:
            if first:
                first = False
                self._count(quota, method, request, context)
            yield request

    def _count(self, quota: Quota, method: str, request: Message, context: Context) -> None:
        metadata = metadata_of(context)
        path = self._methods[method].tenant_field
        found = field_of(request, path) if path else None
        caller = self._control.caller(metadata, identity_of(context))
        self._quotas.take(
            quota,
            tenant_for(caller, found[0] if found is not None else ""),
            client=getattr(request, "client_id", "") or caller.client_id,
            address=self._proxies.client_address(context.peer(), metadata),
        )
