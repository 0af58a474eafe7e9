"""MethodAccess: who may call a method, as its option in the contract says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from control_plane.auth.roles import Role, role_from_proto
from homeport.api.access.v1 import access_pb2 as pb

PUBLIC_SERVICES = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""Not ours and without the option: they tell what is public, or whether the server lives."""


class Audited(Enum):
    """Whether a change is written to the audit log."""

    ALWAYS = pb.AUDIT_UNSPECIFIED
    NEVER = pb.AUDIT_NONE
    OF_OPERATORS = pb.AUDIT_OPERATORS  # not of clients, gateways and units


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodAccess:
    """roles: any of these may call. The fields are paths in the request; empty: it has none.
    changes: whether the method changes anything; audit: whether that is written down."""

    method: str
    roles: frozenset[Role]
    tenant_field: tuple[str, ...] = ()
    unit_field: tuple[str, ...] = ()
    platform_field: tuple[str, ...] = ()
    changes: bool = False
    audit: Audited = Audited.ALWAYS


def access_of(method: MethodDescriptor) -> MethodAccess | None:
    """What the method's option says; None: it has none, or one that names nobody."""
    access = method.GetOptions().Extensions[pb.access]
    if not access.roles:
        return None
    return MethodAccess(
        method=f"/{method.containing_service.full_name}/{method.name}",
        roles=frozenset(role_from_proto(number) for number in access.roles),
        tenant_field=_path(access.tenant_field),
        unit_field=_path(access.unit_field),
        platform_field=_path(access.platform_field),
        changes=access.changes,
        audit=Audited(access.audit),
    )


def access_of_services(names: Iterable[str]) -> Mapping[str, MethodAccess]:
    """By full method path, of services by full name; those without the option are left out, so
    that they are refused. The services' generated modules have to be imported."""
    pool = descriptor_pool.Default()
    found = {}
    for name in names:
        for method in pool.FindServiceByName(name).methods:
            access = access_of(method)
            if access is not None:
                found[access.method] = access
    return found


def field_of(message: Message, path: tuple[str, ...]) -> tuple[Any, Callable[[str], None]] | None:
    """The value at a path, and how it is set; None where a message on the way is not there."""
    holder: Any = message
    for name in path[:-1]:
        if not holder.HasField(name):
            return None
        holder = getattr(holder, name)
    last = path[-1]
    return getattr(holder, last), lambda value: setattr(holder, last, value)


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()
