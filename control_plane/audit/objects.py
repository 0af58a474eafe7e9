"""AuditedObject: which object a method changes, and how it is read before and after.

Each service has a table of these by method; one that the contract has audited and that is missing
there is a defect, which the server finds when it starts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.message import Message
from grpc import aio

from control_plane.audit.entry import Transactions
from control_plane.auth.access_control import DEFAULT_TENANT
from control_plane.auth.method_access import Audited, MethodAccess

Context: TypeAlias = aio.ServicerContext[Any, Any]
ReadBefore: TypeAlias = Callable[[Any, Context], Awaitable[Message | None]]


async def _nothing(request: Any, context: Context) -> Message | None:
    return None


def _itself(response: Any) -> Message | None:
    found: Message | None = response
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedObject:
    """kind: of the object, one word. transactions: ONE or SEVERAL where what the method's own task
    writes, to the store or database that has the log, is the change, and nothing else is. target:
    its id, by the request. before: the object as it is; None or NotFound: there is none. after: the
    same, by the answer. named: tenant and id, by the answer, of what the request does not name.
    refused: whether the answer says that nothing was changed. default_tenant: whose it is where
    neither the request nor its caller says."""

    kind: str
    transactions: Transactions
    target: Callable[[Any], str]
    before: ReadBefore = _nothing
    after: Callable[[Any], Message | None] = _itself
    named: Callable[[Any], tuple[str, str]] | None = None
    refused: Callable[[Any], bool] = lambda response: False
    default_tenant: str = DEFAULT_TENANT


def audited_methods(
    methods: Mapping[str, MethodAccess], objects: Mapping[str, AuditedObject]
) -> dict[str, tuple[MethodAccess, AuditedObject]]:
    """By full path, the methods that are written down, with what they change. Raises ValueError
    where the table does not fit the contract."""
    wanted = {
        path
        for path, access in methods.items()
        if access.changes and access.audit is not Audited.NEVER
    }
    if wanted != set(objects):
        raise ValueError(f"the table of audited objects does not fit: {wanted ^ set(objects)}")
    return {path: (methods[path], objects[path]) for path in wanted}
