"""Roles: what a caller may be, as the contract names them (homeport.api.access.v1.Role).

A method names the roles that may call it; a caller has what it was given and what that implies.
Rights are the words of token files made before there were roles, and are read as roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from homeport.api.access.v1 import access_pb2 as pb


class Role(StrEnum):
    ANYONE = "anyone"
    CLIENT = "client"
    GATEWAY = "gateway"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    UNIT = "unit"
    PLATFORM = "platform"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    DEVELOPER = "developer"


IMPLIED: dict[Role, frozenset[Role]] = {
    Role.OPERATOR: frozenset({Role.VIEWER}),
    Role.GATEWAY: frozenset({Role.CLIENT}),
    # All but the roles of a unit and a platform, which are of what a credential names.
    Role.ADMIN: frozenset(Role) - {Role.ANYONE, Role.UNIT, Role.PLATFORM},
}
"""Beside itself. Whoever calls is anyone."""

GIVEN = frozenset(Role) - {Role.ANYONE}
"""Roles that a credential may have."""

OF_RIGHTS = {
    "provision": Role.CLIENT,
    "speak-for-others": Role.GATEWAY,
    "operate": Role.OPERATOR,
    "unit": Role.UNIT,
    "publish": Role.PRODUCER,
    "read-feeds": Role.CONSUMER,
    "submit": Role.DEVELOPER,
    "host": Role.PLATFORM,
}


def with_implied(roles: Iterable[Role]) -> frozenset[Role]:
    """These roles and all that they imply."""
    found = {Role.ANYONE}
    for role in roles:
        found |= {role} | IMPLIED.get(role, frozenset())
    return frozenset(found)


def role_from_proto(number: pb.Role.ValueType) -> Role:
    """Raises ValueError for the unspecified one."""
    return Role(pb.Role.Name(number).removeprefix("ROLE_").lower())
