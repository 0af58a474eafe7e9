"""AuditInterceptor: has each change written to the audit log before its method runs, and after.

It stands behind the one that checks access: what nobody may do is not asked. Dry runs, and methods
that the contract leaves out, pass untouched. Where the log cannot be written the method does not
run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio

from control_plane import faultpoints
from control_plane.audit.change import AuditedChange, changing
from control_plane.audit.entry import AuditCaller, AuditEntry, AuditPhase, Transactions
from control_plane.audit.message_json import message_json, without_userinfo
from control_plane.audit.objects import AuditedObject, Context
from control_plane.audit.recorder import AuditRecorder
from control_plane.auth.access_control import AccessControl, tenant_for
from control_plane.auth.callers import Caller
from control_plane.auth.interceptor import metadata_of
from control_plane.auth.method_access import Audited, MethodAccess, field_of
from control_plane.auth.roles import Role
from control_plane.errors import ServiceError, Unavailable
from control_plane.serving.handlers import behaviour_of, with_behaviour
from control_plane.serving.peer_identity import identity_of
from control_plane.serving.peers import Proxies
from control_plane.serving.status import code_of

READ_BEFORE_S = 5.0
_OF_THEMSELVES = frozenset({Role.CLIENT, Role.GATEWAY, Role.UNIT})
_MOST_MESSAGE = 1_000  # characters of a status


class AuditInterceptor(aio.ServerInterceptor):
    """See the module. methods: by full path, as from `audited_methods`; new_id: of an entry, no
    two the same."""

    def __init__(
        self,
        methods: Mapping[str, tuple[MethodAccess, AuditedObject]],
        recorder: AuditRecorder,
        control: AccessControl,
        proxies: Proxies,
        *,
        new_id: Callable[[], str],
    ) -> None:
        self._methods = methods
        self._recorder = recorder
        self._control = control
        self._proxies = proxies
        self._new_id = new_id

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method not in self._methods:
            return handler
        audited = self._audit_stream if handler.request_streaming else self._audit_unary
        return with_behaviour(handler, audited(method, behaviour_of(handler)))

    def _audit_unary(self, method: str, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def audited(request: Any, context: Context) -> Any:
            asked = await self._asked(method, request, context)
            change = self._change(method)
            change.sequence = asked.sequence if asked is not None else 0
            with changing(change):
                running = behaviour(request, context)
                return await self._outcome(method, running, change, lambda: asked)

        return audited

    def _audit_stream(self, method: str, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        """What is asked is in the first message; nothing is changed before it is read."""

        async def audited(requests: Any, context: Context) -> Any:
            asked: AuditEntry | None = None
            change = self._change(method)

            async def observed() -> AsyncIterator[Any]:
                nonlocal asked
                first = True
                async for request in requests:
                    if first:
                        first = False
                        asked = await self._asked(method, request, context)
                        change.sequence = asked.sequence if asked is not None else 0
                    yield request

            with changing(change):
                running = behaviour(observed(), context)
                return await self._outcome(method, running, change, lambda: asked)

        return audited

    def _change(self, method: str) -> AuditedChange:
        _, of = self._methods[method]
        return AuditedChange(marked=of.transactions is not Transactions.UNMARKED)

    async def _asked(self, method: str, request: Message, context: Context) -> AuditEntry | None:
        """What was written of a request; None: it is not to be. Raises Unavailable."""
        access, of = self._methods[method]
        metadata, identity = metadata_of(context), identity_of(context)
        caller = self._control.caller(metadata, identity)
        if self._passes(access, caller, request):
            return None
        service, _, name = method.lstrip("/").partition("/")
        found = field_of(request, access.tenant_field) if access.tenant_field else None
        asked = await self._recorder.asked(
            AuditEntry(
                id=self._new_id(),
                phase=AuditPhase.ASKED,
                service=service,
                method=name,
                caller=AuditCaller(
                    name=caller.name,
                    roles=tuple(sorted(role.value for role in caller.roles)),
                    tenant=caller.tenant,
                    certificate=str(identity) if identity is not None else "",
                    address=self._proxies.client_address(context.peer(), metadata) or "",
                ),
                tenant=_tenant(of, caller, found[0]) if found is not None else "",
                kind=of.kind,
                target=of.target(request)[:_MOST_MESSAGE],
                transactions=of.transactions,
                request=message_json(request),
                before=await _before(of, request, context),
            )
        )
        faultpoints.passing("audit.asked")
        return asked

    def _passes(self, access: MethodAccess, caller: Caller, request: Message) -> bool:
        if _is_dry_run(request):
            return True
        if access.audit is not Audited.OF_OPERATORS:
            return False
        # Where no credentials are asked for, nobody can be told from a client.
        return self._control.open or (caller.roles & access.roles) <= _OF_THEMSELVES

    async def _outcome(
        self,
        method: str,
        running: Awaitable[Any],
        change: AuditedChange,
        asked: Callable[[], AuditEntry | None],
    ) -> Any:
        """The answer of a method, once its outcome is written."""
        try:
            try:
                response = await running
            finally:
                change.marked = False  # what is written from here on is the log's
        except asyncio.CancelledError:
            if (entry := asked()) is not None:
                self._recorder.ended_later(_ended(entry, self._new_id(), AuditPhase.UNKNOWN))
            raise
        except Exception as error:
            if (entry := asked()) is not None:
                await self._recorder.ended(_failed(entry, self._new_id(), error))
            raise
        if (entry := asked()) is not None:
            faultpoints.passing("audit.changed")
            _, of = self._methods[method]
            after = of.after(response)
            ended = _ended(
                entry,
                self._new_id(),
                AuditPhase.FAILED if of.refused(response) else AuditPhase.DONE,
                code="OK",
                after=message_json(after) if after is not None else None,
            )
            if of.named is not None:
                tenant, target = of.named(response)
                ended = replace(ended, tenant=tenant or ended.tenant, target=target or ended.target)
            await self._recorder.ended(ended)
            faultpoints.passing("audit.ended")
        return response


def _tenant(of: AuditedObject, caller: Caller, named: str) -> str:
    """Whose the object is. Raises PermissionDenied where the caller has nothing to do with it."""
    return tenant_for(caller, named) if named or caller.tenant else of.default_tenant


async def _before(of: AuditedObject, request: Message, context: Context) -> Any:
    """The object as it is; None where there is none, or the request will be refused for what it
    names. Raises Unavailable."""
    try:
        async with asyncio.timeout(READ_BEFORE_S):
            found = await of.before(request, context)
    except TimeoutError as error:
        raise Unavailable("what is to be changed cannot be read in time; try again") from error
    except Unavailable:
        raise
    except ServiceError:
        return None
    return message_json(found) if found is not None else None


def _ended(asked: AuditEntry, entry_id: str, phase: AuditPhase, **what: Any) -> AuditEntry:
    """The outcome of what was asked."""
    return replace(asked, id=entry_id, phase=phase, asked=asked.sequence, **what)


def _failed(asked: AuditEntry, entry_id: str, error: Exception) -> AuditEntry:
    if not isinstance(error, ServiceError):
        return _ended(asked, entry_id, AuditPhase.UNKNOWN, code="INTERNAL")
    # Also where the store was away: a method may have written a part before. The marks tell.
    unknown = isinstance(error, Unavailable)
    return _ended(
        asked,
        entry_id,
        AuditPhase.UNKNOWN if unknown else AuditPhase.FAILED,
        code=code_of(error).name,
        message=without_userinfo(error.message)[:_MOST_MESSAGE],
    )


def _is_dry_run(request: Message) -> bool:
    """Whether it, or the head of a stream, says so."""
    head = getattr(request, "head", None)
    return any(
        bool(getattr(part, "dry_run", False)) for part in (request, head) if part is not None
    )
