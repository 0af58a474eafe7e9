"""OidcOperators: operators who sign in at an OpenID provider, by the tokens it makes for us.

The verified claims become a Caller: who it is by `sub`, its roles by the values of one claim, its
tenant by another where one is named. Values that are not mapped give nothing. Only the roles of
people are given this way; units, platforms and applications have tokens or certificates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.auth.callers import Caller
from control_plane.auth.jwt_verifier import Claims
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from control_plane.printable import printable, quoted

OPERATOR_ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
MAX_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0, section 2
MAX_VALUES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """roles_claim: the claim whose values `roles` maps; where there is none of that very name,
    dots lead into claims within claims. tenant_claim: empty: callers are of all tenants."""

    roles: Mapping[str, Role] = field(default_factory=dict)
    roles_claim: str = "roles"
    tenant_claim: str = ""


def caller_of_claims(claims: Claims, rules: ClaimRules) -> Caller:
    """Whoever a verified token is of; with a role or without any. Raises ValueError where it does
    not say who, or not which tenant where it has to."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise ValueError(f"sub is {quoted(subject)}; it has to say who this is")
    tenant = ""
    if rules.tenant_claim:
        named = _claim(claims, rules.tenant_claim)
        try:
            tenant = check_slug(named if isinstance(named, str) else "", rules.tenant_claim)
        except InvalidInput as error:
            raise ValueError(f"{rules.tenant_claim} is {quoted(named)}, not a tenant") from error
    values = _values(_claim(claims, rules.roles_claim))
    return Caller(
        name=f"oidc:{printable(subject)}",
        roles=with_implied(rules.roles[value] for value in values if value in rules.roles),
        tenant=tenant,
    )


def role_mapping(pairs: list[str], setting: str) -> dict[str, Role]:
    """Of `value=role` pairs. Raises InvalidInput that names the setting."""
    found: dict[str, Role] = {}
    for pair in pairs:
        value, _, word = pair.rpartition("=")
        role = next((role for role in OPERATOR_ROLES if role.value == word), None)
        if not value or role is None:
            raise InvalidInput(
                setting,
                f"{setting}: {quoted(pair)} is not <name>=<role>; "
                f"roles are {', '.join(role.value for role in OPERATOR_ROLES)}",
            )
        if found.setdefault(value, role) is not role:
            raise InvalidInput(setting, f"{setting}: {quoted(value)} is there twice")
    return found


def _claim(claims: Claims, name: str) -> Any:
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _values(claim: Any) -> list[str]:
    """A list of texts, or one text with spaces between them, as `scope` has."""
    if isinstance(claim, str):
        return claim.split()[:MAX_VALUES]
    if isinstance(claim, list):
        return [one for one in claim[:MAX_VALUES] if isinstance(one, str)]
    return []
