"""TenantIssuers: verifies JWTs that name clients, by the issuers of their tenant.

Follows the tenants of the fleet view: an issuer that is new, or whose terms have changed, begins
anew. Keys that are at an address are fetched in tasks of `run`, never in a call; until they are
there, and while they cannot be had, its tokens prove nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from control_plane.auth.issuer_keys import IssuerKeys
from control_plane.auth.jwks import parse_jwks
from control_plane.auth.jwks_source import UrlSource
from control_plane.auth.jwt_verifier import (
    ClaimedIssuers,
    Claims,
    FixedKeys,
    IssuerPolicy,
    JwtRefused,
    JwtVerifier,
)
from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import TrustedIssuer
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from provisioner.placement.attributes import Attributes
from provisioner.policy.told_attributes import check_told

REMEMBERED = 20_000  # tokens of one issuer that were verified


class NamedClient(NamedTuple):
    """Whom a token names, and what it says of the client, as `check_told` has it."""

    client_id: str
    attributes: Attributes


class _Issuer:
    """One issuer of one tenant. keys: to be kept up to date; None: they stay."""

    def __init__(
        self, terms: TrustedIssuer, wall: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.terms = terms
        self.keys: IssuerKeys | None = None
        if terms.jwks_url:
            self.keys = IssuerKeys(UrlSource(terms.jwks_url), clock=clock)
        self.verifier: JwtVerifier[NamedClient] = JwtVerifier(
            IssuerPolicy(issuer=terms.issuer, audiences=frozenset({terms.audience})),
            self.keys or FixedKeys(parse_jwks(terms.jwks.encode())),
            read=self._named,
            wall=wall,
            max_remembered=REMEMBERED,
        )

    def _named(self, claims: Claims) -> NamedClient:
        """Raises ValueError."""
        named = claims.get(self.terms.client_claim)
        if not isinstance(named, str):
            raise ValueError(f"it has no text in {self.terms.client_claim}")
        try:
            said = {
                attribute: _text(claims, claim)
                for attribute, claim in self.terms.attribute_claims.items()
            }
            return NamedClient(check_client_id(named), check_told(said))
        except InvalidInput as error:
            raise ValueError(error.message) from error


class TenantIssuers:
    """One per server. wall: Unix seconds; clock: monotonic seconds."""

    def __init__(self, *, wall: Callable[[], float], clock: Callable[[], float]) -> None:
        self._wall = wall
        self._clock = clock
        self._issuers: dict[str, dict[str, _Issuer]] = {}
        self._claimed = ClaimedIssuers(REMEMBERED)
        self._changed = asyncio.Event()

    def client_of(self, tenant_id: str, token: str) -> NamedClient | None:
        """The client that a JWT of one of the tenant's issuers names; None: it names none."""
        issuers = self._issuers.get(tenant_id)
        if not issuers:
            return None
        issuer = issuers.get(self._claimed.of(token)) if len(issuers) > 1 else _only(issuers)
        if issuer is None:
            return None
        try:
            return issuer.verifier.verify(token)
        except JwtRefused:
            return None

    def follow(self, tenants: Mapping[str, TenantSpec]) -> None:
        """From now on these are the tenants."""
        issuers: dict[str, dict[str, _Issuer]] = {}
        for tenant_id, tenant in tenants.items():
            if tenant.issuers:
                before = self._issuers.get(tenant_id, {})
                issuers[tenant_id] = {
                    terms.issuer: self._kept(before.get(terms.issuer), terms)
                    for terms in tenant.issuers
                }
        self._issuers = issuers
        self._changed.set()

    def _kept(self, before: _Issuer | None, terms: TrustedIssuer) -> _Issuer:
        if before is not None and before.terms == terms:
            return before
        return _Issuer(terms, self._wall, self._clock)

    async def run(self) -> None:
        """Keeps the keys of all issuers up to date, for ever."""
        running: dict[IssuerKeys, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                wanted = {
                    one.keys
                    for of_tenant in self._issuers.values()
                    for one in of_tenant.values()
                    if one.keys is not None
                }
                for keys in [one for one in running if one not in wanted]:
                    running.pop(keys).cancel()
                for keys in wanted:
                    if keys not in running:
                        running[keys] = group.create_task(keys.run(), name="issuer keys")
                await self._changed.wait()


def _text(claims: Claims, claim: str) -> str:
    """What an attribute's claim says; empty: it is not there. Raises ValueError where it is
    anything else: a client must not lose an attribute by what nobody can read."""
    said = claims.get(claim, "")
    if not isinstance(said, str):
        raise ValueError(f"what it has in {claim} is no text")
    return said


def _only(issuers: Mapping[str, _Issuer]) -> _Issuer:
    return next(iter(issuers.values()))
