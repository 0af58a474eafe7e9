"""DomainRecords: what domains and their organisations' books are read and written by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound
from control_plane.identifiers.domains import read_domain, registrable_domain
from control_plane.identifiers.identifier import Flaw
from control_plane.printable import quoted
from control_plane.store.port import Operation, Put
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.actors import Actor
from provisioner.organisations.domain import Domain
from provisioner.organisations.organisations import Organisations
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import (
    MOST_DOMAINS,
    MOST_PENDING,
    DomainBook,
    PendingDomain,
    encoded,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDomain:
    """A domain as an organisation sees it. domain None: it is pending, and `pending` says what is
    to be published. revision: of the domain; 0: it is not there."""

    name: str
    domain: Domain | None
    pending: PendingDomain | None
    revision: int


class DomainRecords:
    """Over the organisations of a store. wall: Unix seconds."""

    def __init__(self, organisations: Organisations, *, wall: Callable[[], float]) -> None:
        self.organisations = organisations
        self.store = organisations.store
        self._wall = wall

    def now_ms(self) -> int:
        return int(self._wall() * 1_000)

    async def book(
        self, tenant: str, organisation_id: str, actor: Actor
    ) -> tuple[Reads, DomainBook]:
        """The book of an organisation that the actor owns; what is written by these reads compares
        both. Raises NotFound."""
        reads = Reads(self.store)
        await self.organisations.owned(reads, tenant, organisation_id, actor)
        key = keys.organisation_domains(tenant, organisation_id)
        return reads, await reads.get(key, DomainBook) or DomainBook()

    async def handed_over(
        self, reads: Reads, tenant: str, name: str, before: str, after: str
    ) -> list[Operation]:
        """What a domain's coming from one organisation to another writes in their books."""
        writes: list[Operation] = []
        for organisation_id, gains in ((before, False), (after, True)):
            key = keys.organisation_domains(tenant, organisation_id)
            book = await reads.get(key, DomainBook) or DomainBook()
            fresh = book.with_owned(name) if gains else book.without(name)
            writes.append(Put(key, encoded(fresh)))
        return writes


def registrable(text: str) -> str:
    """The name of a domain that somebody can have, in A-labels. Raises InvalidInput;
    ClaimNotAllowed for a public suffix."""
    read = read_domain(text)
    if isinstance(read, Flaw):
        raise InvalidInput("domain", f"domain: {read}")
    if registrable_domain(read) is None:
        raise ClaimNotAllowed(
            "PUBLIC_SUFFIX",
            f"{quoted(read.shown)} is a public suffix: names below it are many people's; name the "
            "domain that you have registered",
        )
    return read.normal


def held_domain(
    reads: Reads, tenant: str, name: str, domain: Domain | None, pending: PendingDomain | None
) -> HeldDomain:
    """As it was read."""
    revision = reads.revision(keys.domain(tenant, name))
    return HeldDomain(name=name, domain=domain, pending=pending, revision=revision)


def seen_domain(
    reads: Reads,
    tenant: str,
    name: str,
    domain: Domain | None,
    book: DomainBook,
    organisation_id: str,
    now_ms: int,
) -> HeldDomain | None:
    """What an organisation sees of a domain: of one that is another's and that it does not contest,
    only that it asked for it. None: nothing."""
    pending = book.wants(name, now_ms)
    if domain is not None and (
        domain.owner == organisation_id or is_rival(domain, organisation_id)
    ):
        return held_domain(reads, tenant, name, domain, pending)
    if pending is not None:
        return HeldDomain(name=name, domain=None, pending=pending, revision=0)
    return None


def is_rival(domain: Domain, organisation_id: str) -> bool:
    """Whether the organisation contests it."""
    return domain.rival is not None and domain.rival.organisation == organisation_id


def not_its(name: str) -> NotFound:
    """Of a domain that is not there, and of another organisation's."""
    return NotFound(
        f"the organisation has no domain {quoted(name)} that it has proved; ask for it, publish "
        "its record, and have it verified"
    )


def busy(name: str) -> Conflict:
    """Raised where others were faster each time."""
    return Conflict(f"others keep changing domain {quoted(name)}, or its organisation; try again")


def check_room(book: DomainBook) -> None:
    """Of one as it would be. Raises ClaimNotAllowed."""
    if len(book.pending) > MOST_PENDING or len(book.owned) + len(book.pending) > MOST_DOMAINS:
        raise ClaimNotAllowed(
            "TOO_MANY_DOMAINS",
            f"an organisation has at most {MOST_DOMAINS} domains, {MOST_PENDING} of them to be "
            "proved; release one",
        )
