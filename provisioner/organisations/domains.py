"""Domains: asked for, proved by a record in DNS, and given up.

Asking for a domain reserves nothing. What proves it is looked for outside of any transaction; what
comes of it is written in one that compares the domain, the organisation and its book. Whoever
proves what another organisation has contests it, and takes nothing (see `domain`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

import msgspec

from control_plane import faultpoints, keys
from control_plane.errors import Unavailable
from control_plane.store.port import Delete, Operation, Put, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.actors import Actor
from provisioner.organisations.challenges import ChallengeReader
from provisioner.organisations.domain import Domain, Observation, domain_proved
from provisioner.organisations.domain_notices import notice_writes
from provisioner.organisations.domain_records import (
    DomainRecords,
    HeldDomain,
    busy,
    check_room,
    held_domain,
    is_rival,
    not_its,
    registrable,
    seen_domain,
)
from provisioner.organisations.organisations import ATTEMPTS
from provisioner.organisations.records import (
    DomainBook,
    PendingDomain,
    encoded,
)

PENDING_MS = 7 * 86_400_000
TOKEN_BYTES = 20


class Domains:
    """random(n): n bytes from a cryptographic source. Every method raises InvalidInput for a text
    that is no domain; NotFound also for an organisation that is none of the actor's, and for a
    domain that is none of the organisation's; Unavailable, OutcomeUnknown."""

    def __init__(
        self,
        records: DomainRecords,
        challenges: ChallengeReader,
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._records = records
        self._challenges = challenges
        self._random = random

    async def claim(
        self,
        tenant: str,
        organisation_id: str,
        text: str,
        actor: Actor,
        *,
        covers_subdomains: bool,
    ) -> HeldDomain:
        """Asks for a domain; the answer has the record to publish. What is pending keeps its token,
        for as long as it is asked for. Raises ClaimNotAllowed for a public suffix, and where the
        organisation has as many as it may."""
        name = registrable(text)
        for _ in range(ATTEMPTS):
            reads, book = await self._records.book(tenant, organisation_id, actor)
            domain = await reads.get(keys.domain(tenant, name), Domain)
            now_ms = self._records.now_ms()
            if name in book.owned and domain is not None and domain.owner == organisation_id:
                return held_domain(reads, tenant, name, domain, None)
            wanted = book.wants(name, now_ms)
            token = wanted.token if wanted is not None else self._token()
            fresh = PendingDomain(
                name=name, token=token, expires_ms=now_ms + PENDING_MS,
                covers_subdomains=covers_subdomains,
            )  # fmt: skip
            after = book.with_pending(fresh, now_ms)
            check_room(after)
            put = Put(keys.organisation_domains(tenant, organisation_id), encoded(after))
            if (
                await self._records.store.commit(Txn(compares=reads.compares(), then=[put]))
            ).succeeded:
                return held_domain(reads, tenant, name, None, fresh)
        raise busy(name)

    async def verify(
        self, tenant: str, organisation_id: str, text: str, actor: Actor
    ) -> HeldDomain:
        """Looks for the record now. Raises ClaimNotAllowed NO_RECORD where it is not there,
        CONFLICT where two others are at it; Unavailable where DNS does not say."""
        name = registrable(text)
        reads, book = await self._records.book(tenant, organisation_id, actor)
        domain = await reads.get(keys.domain(tenant, name), Domain)
        token = self._wanted_token(book, name, domain, organisation_id)
        seen = (await self._challenges.read(name)).observe(token)
        if seen is Observation.UNKNOWN:
            raise Unavailable(
                f"the name servers of {name} do not say what they have; try again in a minute",
                retry_after_s=60.0,
            )
        if seen is Observation.MISSING:
            raise ClaimNotAllowed(
                "NO_RECORD",
                f"the record of {name} is not there yet; publish it, and try again once its "
                "servers have it",
            )
        faultpoints.passing("domain.checked.after")
        for _ in range(ATTEMPTS):
            reads, book = await self._records.book(tenant, organisation_id, actor)
            domain = await reads.get(keys.domain(tenant, name), Domain)
            if self._wanted_token(book, name, domain, organisation_id) != token:
                continue
            pending = book.wants(name, self._records.now_ms())
            covers = pending.covers_subdomains if pending is not None else True
            if domain is not None and pending is None:
                rival = domain.rival if domain.owner != organisation_id else None
                covers = (rival or domain).covers_subdomains
            after = domain_proved(domain, organisation_id, token, covers, self._records.now_ms())
            if after == domain and domain is not None and domain.owner != organisation_id:
                raise ClaimNotAllowed(
                    "CONFLICT", f"{name} is contested by another organisation already; wait"
                )
            writes: list[Operation] = [Put(keys.domain(tenant, name), encoded(after))]
            if domain is not None:
                writes += notice_writes(tenant, name, domain, after, self._records.now_ms())
            if after.owner == organisation_id:
                book_key = keys.organisation_domains(tenant, organisation_id)
                writes.append(Put(book_key, encoded(book.with_owned(name))))
            result = await self._records.store.commit(Txn(compares=reads.compares(), then=writes))
            if result.succeeded:
                return HeldDomain(
                    name=name, domain=after, pending=pending, revision=result.revision
                )
        raise busy(name)

    async def get(self, tenant: str, organisation_id: str, text: str, actor: Actor) -> HeldDomain:
        """One that the organisation has, contests or asked for."""
        name = registrable(text)
        reads, book = await self._records.book(tenant, organisation_id, actor)
        domain = await reads.get(keys.domain(tenant, name), Domain)
        found = seen_domain(
            reads, tenant, name, domain, book, organisation_id, self._records.now_ms()
        )
        if found is None:
            raise not_its(name)
        return found

    async def of(self, tenant: str, organisation_id: str, actor: Actor) -> Sequence[HeldDomain]:
        """All of them, by name."""
        reads, book = await self._records.book(tenant, organisation_id, actor)
        names = sorted({*book.owned, *(one.name for one in book.pending)})
        await reads.read([keys.domain(tenant, name) for name in names])
        found = []
        for name in names:
            domain = await reads.get(keys.domain(tenant, name), Domain)
            one = seen_domain(
                reads, tenant, name, domain, book, organisation_id, self._records.now_ms()
            )
            if one is not None:
                found.append(one)
        return found

    async def release(self, tenant: str, organisation_id: str, text: str, actor: Actor) -> bool:
        """Gives it up, also what is pending; False: the organisation does not have it."""
        name = registrable(text)
        for _ in range(ATTEMPTS):
            reads, book = await self._records.book(tenant, organisation_id, actor)
            domain = await reads.get(keys.domain(tenant, name), Domain)
            after = book.without(name)
            writes: list[Operation] = []
            if after != book:
                book_key = keys.organisation_domains(tenant, organisation_id)
                writes.append(Put(book_key, encoded(after)))
            if domain is not None and domain.owner == organisation_id:
                writes.append(Delete(keys.domain(tenant, name)))
            elif domain is not None and is_rival(domain, organisation_id):
                left = msgspec.structs.replace(domain, rival=None)
                writes.append(Put(keys.domain(tenant, name), encoded(left)))
            if not writes:
                return False
            if (
                await self._records.store.commit(Txn(compares=reads.compares(), then=writes))
            ).succeeded:
                return True
        raise busy(name)

    def _token(self) -> str:
        return base64.b32hexencode(self._random(TOKEN_BYTES)).decode().lower()

    def _wanted_token(
        self, book: DomainBook, name: str, domain: Domain | None, organisation_id: str
    ) -> str:
        """Of the record that is to prove the domain to this organisation: what it asked for last,
        else what it proved it by. Raises NotFound."""
        pending = book.wants(name, self._records.now_ms())
        if pending is not None:
            return pending.token
        if domain is not None and domain.owner == organisation_id:
            return domain.token
        if domain is not None and domain.rival is not None and is_rival(domain, organisation_id):
            return domain.rival.token
        raise not_its(name)
