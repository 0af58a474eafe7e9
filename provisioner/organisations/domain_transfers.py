"""DomainTransfers: whose the invitations to a domain's addresses are, and whose the domain is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from control_plane import keys
from control_plane.errors import InvalidInput, NotFound
from control_plane.printable import quoted
from control_plane.store.port import Operation, Put, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.actors import Actor
from provisioner.organisations.domain import Domain, DomainOffer
from provisioner.organisations.domain_records import (
    DomainRecords,
    HeldDomain,
    busy,
    check_room,
    held_domain,
    is_rival,
    not_its,
    registrable,
)
from provisioner.organisations.organisations import ATTEMPTS
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import Organisation, encoded

OFFER_MS = 7 * 86_400_000

Change = Callable[[Reads, Domain], Awaitable[Domain]]


class DomainTransfers:
    """Every method raises what those of Domains do."""

    def __init__(self, records: DomainRecords) -> None:
        self._records = records

    async def set_primary(
        self, tenant: str, organisation_id: str, text: str, primary: str, actor: Actor
    ) -> HeldDomain:
        """Says which organisation the invitations to its addresses belong to; empty: none. An owner
        names its own, an operator any that is there. Raises InvalidInput, NotFound."""
        if primary not in ("", organisation_id) and not actor.is_operator:
            raise InvalidInput("primary", "primary is another organisation; name your own, or none")

        async def changed(reads: Reads, domain: Domain) -> Domain:
            if primary:
                there = await reads.get(keys.organisation(tenant, primary), Organisation)
                if there is None:
                    raise NotFound(f"there is no organisation {quoted(primary)}")
            if domain.primary != primary and not domain.routes and primary:
                raise ClaimNotAllowed(
                    "LAPSED", "the domain has lapsed; publish its record again, and verify it"
                )
            return msgspec.structs.replace(domain, primary=primary)

        return await self._change(tenant, organisation_id, text, actor, changed)

    async def offer(
        self, tenant: str, organisation_id: str, text: str, to: str, actor: Actor
    ) -> HeldDomain:
        """Offers it to another organisation, which has seven days to accept; to empty: takes the
        offer back."""
        if to == organisation_id:
            raise InvalidInput("to", "to is the organisation that has the domain")
        until_ms = self._records.now_ms() + OFFER_MS

        async def changed(reads: Reads, domain: Domain) -> Domain:
            offer = DomainOffer(to=to, until_ms=until_ms) if to else None
            return msgspec.structs.replace(domain, offer=offer)

        return await self._change(tenant, organisation_id, text, actor, changed)

    async def accept(
        self, tenant: str, organisation_id: str, text: str, actor: Actor
    ) -> HeldDomain:
        """Takes a domain that the organisation was offered; its record stays as it is published.
        Raises ClaimNotAllowed OFFER_VOID, and where the organisation has as many as it may."""
        name = registrable(text)
        for _ in range(ATTEMPTS):
            reads, book = await self._records.book(tenant, organisation_id, actor)
            key = keys.domain(tenant, name)
            domain = await reads.get(key, Domain)
            if domain is not None and domain.owner == organisation_id:
                return held_domain(reads, tenant, name, domain, None)
            offer = None if domain is None else domain.offer
            if domain is None or offer is None or offer.to != organisation_id:
                raise not_its(name)
            if self._records.now_ms() >= offer.until_ms:
                raise ClaimNotAllowed("OFFER_VOID", "the offer has ended; ask for another one")
            check_room(book.with_owned(name))
            rival = None if is_rival(domain, organisation_id) else domain.rival
            after = msgspec.structs.replace(
                domain, owner=organisation_id, primary="", offer=None, rival=rival
            )
            writes: list[Operation] = [Put(key, encoded(after))]
            writes += await self._records.handed_over(
                reads, tenant, name, domain.owner, organisation_id
            )
            result = await self._records.store.commit(Txn(compares=reads.compares(), then=writes))
            if result.succeeded:
                return HeldDomain(name=name, domain=after, pending=None, revision=result.revision)
        raise busy(name)

    async def _change(
        self, tenant: str, organisation_id: str, text: str, actor: Actor, changed: Change
    ) -> HeldDomain:
        """A domain that the organisation has, changed so."""
        name = registrable(text)
        for _ in range(ATTEMPTS):
            reads, _ = await self._records.book(tenant, organisation_id, actor)
            domain = await reads.get(keys.domain(tenant, name), Domain)
            if domain is None or domain.owner != organisation_id:
                raise not_its(name)
            after = await changed(reads, domain)
            if after == domain:
                return held_domain(reads, tenant, name, domain, None)
            put = Put(keys.domain(tenant, name), encoded(after))
            result = await self._records.store.commit(Txn(compares=reads.compares(), then=[put]))
            if result.succeeded:
                return HeldDomain(name=name, domain=after, pending=None, revision=result.revision)
        raise busy(name)
