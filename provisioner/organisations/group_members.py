"""GroupMembers: who is in a group, told to those who are.

A member is a client of one life: who has the id of one that is gone is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.errors import NotFound
from control_plane.printable import quoted
from provisioner.directory.claim_rules import same_life
from provisioner.organisations.actors import Actor, live_account
from provisioner.organisations.addressed import AddressedReader
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import GroupMember, decoded

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersPage:
    """accounts: in order; after: behind which the next page begins, empty: there is none."""

    accounts: Sequence[str]
    after: str


class GroupMembers:
    """Over a registrar's stores."""

    def __init__(self, reader: AddressedReader) -> None:
        self._reader = reader
        self._store = reader.registrar.claims
        self._accounts = reader.registrar.accounts

    async def page(
        self, tenant: str, organisation: str, group: str, actor: Actor, *, after: str, limit: int
    ) -> MembersPage:
        """Members after this one. Raises NotFound for a group that the actor is not in, as for one
        that is not there; what check_home raises; DataLoss, Unavailable."""
        if not actor.is_operator:
            account = await live_account(self._accounts, tenant, actor.account, actor.unit)
            own = await Reads(self._store).get(
                keys.group_member(tenant, organisation, group, actor.account), GroupMember
            )
            if own is None or not same_life(own.life_ms, account.home.first_ms):
                raise NotFound(f"there is no group {quoted(group)} here that you are in")
        prefix = keys.group_member(tenant, organisation, group, "")
        start = prefix + after.encode() if after else None
        page = await self._store.range(prefix, start_after=start, limit=min(limit, PAGE))
        found = []
        for pair in page.items:
            name = pair.key[len(prefix) :].decode()
            record = decoded(pair, GroupMember)
            assert record is not None
            if (await self._reader.view(tenant, name)).has(record.life_ms):
                found.append(name)
        last = page.items[-1].key[len(prefix) :].decode() if page.more else ""
        return MembersPage(accounts=found, after=last)
