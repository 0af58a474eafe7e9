"""Domain notices: owners of an organisation are told that one of its domains is lapsing, has
lapsed, is contested or was taken over, each in the unit where the owner is at home.

What is to be told is written in the transaction that changes the domain, and goes once every owner
was told, or nobody is there to be told; a domain that is verified again needs no notice. Units know
one by what it says: telling it again tells nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from control_plane import keys
from control_plane.errors import DataLoss, NotFound, ServiceError
from control_plane.store.port import Delete, KeyValue, Operation, Put, Store, Txn, unchanged
from provisioner.directory.residence import Residence
from provisioner.organisations.domain import Domain, DomainState
from provisioner.organisations.records import Organisation, decoded, encoded

log = logging.getLogger(__name__)

PASS_S = 30.0  # between passes over all notices
PAGE = 100
GIVEN_UP_MS = 7 * 86_400_000
TAKEN_OVER = "taken_over"
_TOLD = frozenset({DomainState.LAPSING, DomainState.LAPSED, DomainState.CONTESTED})


class DomainNotice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """state: of the domain since then, Unix ms, or TAKEN_OVER."""

    state: str
    since_ms: int


class OwnerNotices(Protocol):
    """Tells an owner, where it is at home."""

    async def tell(
        self, residence: Residence, organisation: str, domain: str, notice: DomainNotice
    ) -> None:
        """Raises NotFound where it cannot be told for good; another ServiceError where it is to be
        tried again."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


def notice_writes(
    tenant: str, name: str, before: Domain, after: Domain, now_ms: int
) -> list[Operation]:
    """What a change of a domain writes for the owners of the organisation that had it."""
    key = keys.domain_notice(tenant, before.owner, name)
    if after.owner != before.owner:
        return [Put(key, encoded(DomainNotice(state=TAKEN_OVER, since_ms=now_ms)))]
    if after.state is before.state:
        return []
    if after.state in _TOLD:
        return [Put(key, encoded(DomainNotice(state=after.state.value, since_ms=now_ms)))]
    return [Delete(key)]


class DomainNotices:
    """`run` is a task of the owner's. leads: whether this server tells; home_of: where an account
    is, by its tenant and id, raises NotFound; wall: Unix seconds; jitter: 0 to 1."""

    def __init__(
        self,
        store: Store,
        notices: OwnerNotices,
        *,
        leads: Callable[[], Awaitable[bool]],
        home_of: Callable[[str, str], Awaitable[Residence]],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._notices = notices
        self._leads = leads
        self._home_of = home_of
        self._wall = wall
        self._jitter = jitter

    async def run(self) -> None:
        """Works until it is cancelled, and ends the connections to units then."""
        try:
            while True:
                await asyncio.sleep(PASS_S * (0.5 + self._jitter()))
                try:
                    if await self._leads():
                        await self.pass_over()
                except ServiceError as error:
                    log.warning("owners of domains are told later: %s", error)
        finally:
            await self._notices.close()

    async def pass_over(self) -> None:
        """Tells all that is to be told. Raises Unavailable, OutcomeUnknown."""
        start: bytes | None = None
        while True:
            page = await self._store.range(keys.DOMAIN_NOTICES, start_after=start, limit=PAGE)
            for pair in page.items:
                await self._tell(pair)
            if not page.more:
                return
            start = page.items[-1].key

    async def _tell(self, pair: KeyValue) -> None:
        """To every owner; it goes once all were told, or it is old."""
        tenant, organisation_id, name = pair.key[len(keys.DOMAIN_NOTICES) :].decode().split("/")
        try:
            notice = decoded(pair, DomainNotice)
            found = await self._store.get(keys.organisation(tenant, organisation_id))
            organisation = decoded(found, Organisation)
        except DataLoss as error:
            log.warning("%s", error)
            return
        assert notice is not None
        late = False
        for owner in organisation.owners if organisation is not None else ():
            try:
                home = await self._home_of(tenant, owner)
                await self._notices.tell(home, organisation_id, name, notice)
            except NotFound:
                continue
            except ServiceError as error:
                log.info("an owner of %s is told later: %s", name, error)
                late = True
        if late and self._wall() * 1_000 < notice.since_ms + GIVEN_UP_MS:
            return
        compares = [unchanged(pair.key, pair.mod_revision)]
        await self._store.commit(Txn(compares=compares, then=[Delete(pair.key)]))
