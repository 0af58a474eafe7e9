"""Organisations: made, given a policy, members and groups, by their owners and by operators.

A change names the revision that it was decided on, or none for what is to be made; who comes too
late is told so, and reads again. Every write is one transaction that compares all that it was
decided by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound
from control_plane.printable import quoted
from control_plane.store.port import Delete, Operation, Put, Store, Txn
from provisioner.directory.accounts import AccountStore
from provisioner.directory.claim_rules import ClaimNotAllowed, same_life
from provisioner.organisations.actors import Actor, LiveAccount, live_account, no_organisation
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import (
    MOST_OWNERS,
    Group,
    Membership,
    Organisation,
    decoded,
    encoded,
)

ATTEMPTS = 10
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOrganisation:
    """One as it stands. revision: of its record."""

    id: str
    organisation: Organisation
    revision: int


class Organisations:
    """Over the store of claims. Every method raises Unavailable, OutcomeUnknown; NotFound also for
    an organisation that is none of the actor's; what check_home raises."""

    def __init__(self, store: Store, accounts: AccountStore) -> None:
        self.store = store
        self.accounts = accounts

    async def create(
        self, tenant: str, organisation_id: str, wanted: Organisation, actor: Actor, *, now_ms: int
    ) -> HeldOrganisation:
        """Makes one that is not there. An account that makes it becomes its owner and its first
        member. What is there already as it is wanted is answered. Raises Conflict where another one
        is there; ClaimNotAllowed where the account is a member elsewhere; InvalidInput."""
        reads = Reads(self.store)
        key = keys.organisation(tenant, organisation_id)
        writes: list[Operation] = []
        if not actor.is_operator:
            maker = await self.live(tenant, actor.account, actor)
            wanted = msgspec.structs.replace(
                wanted, owners=tuple(dict.fromkeys((actor.account, *wanted.owners)))
            )
            found = await self._member(reads, tenant, maker)
            if found is not None and found.organisation != organisation_id:
                raise _elsewhere(actor.account)
            membership = Membership(
                organisation=organisation_id, life_ms=maker.home.first_ms, since_ms=now_ms
            )
            writes.append(Put(keys.membership(tenant, actor.account), encoded(membership)))
        _check_owners(wanted)
        stands = await reads.get(key, Organisation)
        if stands is None and actor.is_operator:
            await self._check_named(tenant, organisation_id, Organisation(name=""), wanted)
        if stands is not None:
            if stands == wanted and actor.owns(stands):
                return HeldOrganisation(
                    id=organisation_id, organisation=stands, revision=reads.revision(key)
                )
            raise Conflict(
                f"there is an organisation {quoted(organisation_id)}; name the revision that you "
                "change, or choose another id"
            )
        txn = Txn(compares=reads.compares(), then=[Put(key, encoded(wanted)), *writes])
        result = await self.store.commit(txn)
        if not result.succeeded:
            raise _changed(organisation_id)
        return HeldOrganisation(id=organisation_id, organisation=wanted, revision=result.revision)

    async def apply(
        self,
        tenant: str,
        organisation_id: str,
        wanted: Organisation,
        actor: Actor,
        *,
        revision: int,
    ) -> HeldOrganisation:
        """Changes the one of this revision. Raises Conflict where it has changed since."""
        reads, key = Reads(self.store), keys.organisation(tenant, organisation_id)
        stands = await self.owned(reads, tenant, organisation_id, actor)
        held = HeldOrganisation(
            id=organisation_id, organisation=stands, revision=reads.revision(key)
        )
        _check_owners(wanted)
        if stands == wanted:
            return held
        if not actor.is_operator and not wanted.owners:
            raise InvalidInput("owners", "owners is empty; somebody has to own it")
        if held.revision != revision:
            raise _changed(organisation_id)
        if actor.is_operator:
            await self._check_named(tenant, organisation_id, stands, wanted)
        result = await self.store.commit(
            Txn(compares=reads.compares(), then=[Put(key, encoded(wanted))])
        )
        if not result.succeeded:
            raise _changed(organisation_id)
        return HeldOrganisation(id=organisation_id, organisation=wanted, revision=result.revision)

    async def get(self, tenant: str, organisation_id: str, actor: Actor) -> HeldOrganisation:
        """One that the actor owns."""
        reads = Reads(self.store)
        found = await self.owned(reads, tenant, organisation_id, actor)
        revision = reads.revision(keys.organisation(tenant, organisation_id))
        return HeldOrganisation(id=organisation_id, organisation=found, revision=revision)

    async def page(self, tenant: str, after: str, limit: int) -> Sequence[HeldOrganisation]:
        """A tenant's, in order of their ids, after this one; for operators."""
        prefix = keys.organisation(tenant, "")
        start = prefix + after.encode() if after else None
        page = await self.store.range(prefix, start_after=start, limit=min(limit, PAGE))
        found = []
        for pair in page.items:
            organisation = decoded(pair, Organisation)
            assert organisation is not None
            name = pair.key[len(prefix) :].decode()
            found.append(
                HeldOrganisation(id=name, organisation=organisation, revision=pair.mod_revision)
            )
        return found

    async def set_member(
        self,
        tenant: str,
        organisation_id: str,
        account: str,
        actor: Actor,
        wanted: Membership,
        *,
        now_ms: int,
    ) -> Membership:
        """Says what a member has shown, and whether it is active. Only operators make a member of
        who is none: an account joins by what it does itself. Raises ClaimNotAllowed, NotFound."""
        for _ in range(ATTEMPTS):
            reads = Reads(self.store)
            await self.owned(reads, tenant, organisation_id, actor)
            try:
                member = await live_account(self.accounts, tenant, account, None)
            except NotFound:
                if actor.is_operator:
                    raise
                # An owner learns no more of it than of who is no member.
                raise _no_member(account) from None
            stands = await self._member(reads, tenant, member)
            if stands is not None and stands.organisation != organisation_id:
                raise _elsewhere(account) if actor.is_operator else _no_member(account)
            if stands is None and not actor.is_operator:
                raise _no_member(account)
            since_ms = stands.since_ms if stands is not None else now_ms
            fresh = msgspec.structs.replace(
                wanted,
                organisation=organisation_id,
                life_ms=member.home.first_ms,
                since_ms=since_ms,
            )
            if fresh == stands:
                return fresh
            put = Put(keys.membership(tenant, account), encoded(fresh))
            result = await self.store.commit(Txn(compares=reads.compares(), then=[put]))
            if result.succeeded:
                return fresh
        raise _busy(organisation_id)

    async def remove_member(
        self, tenant: str, organisation_id: str, account: str, actor: Actor
    ) -> bool:
        """Whether the account was one. Members go by themselves, too."""
        key = keys.membership(tenant, account)
        for _ in range(ATTEMPTS):
            reads = Reads(self.store)
            by_itself = actor.account == account and not actor.is_operator
            member = None
            if by_itself:
                member = await self._member(reads, tenant, await self.live(tenant, account, actor))
            else:
                await self.owned(reads, tenant, organisation_id, actor)
            stands = await reads.get(key, Membership)
            if stands is None or stands.organisation != organisation_id:
                return False
            if by_itself and member is not None and not member.active:
                raise ClaimNotAllowed("SUSPENDED", "the account is suspended; ask an owner")
            result = await self.store.commit(Txn(compares=reads.compares(), then=[Delete(key)]))
            if result.succeeded:
                return True
        raise _busy(organisation_id)

    async def membership(self, tenant: str, account: str, actor: Actor) -> Membership | None:
        """An account's, for itself or an operator; None: it is no member anywhere."""
        member = await self.live(tenant, account, actor)
        return await self._member(Reads(self.store), tenant, member)

    async def apply_group(
        self, tenant: str, organisation_id: str, group_id: str, wanted: Group, actor: Actor
    ) -> int:
        """Makes a group, or changes it; the revision of its record."""
        key = keys.group(tenant, organisation_id, group_id)
        for _ in range(ATTEMPTS):
            reads = Reads(self.store)
            await self.owned(reads, tenant, organisation_id, actor)
            if await reads.get(key, Group) == wanted:
                return reads.revision(key)
            put = Put(key, encoded(wanted))
            result = await self.store.commit(Txn(compares=reads.compares(), then=[put]))
            if result.succeeded:
                return result.revision
        raise _busy(organisation_id)

    async def owned(
        self, reads: Reads, tenant: str, organisation_id: str, actor: Actor
    ) -> Organisation:
        """An organisation that the actor owns, compared by what is written. An owner is an active
        member of it, so that a later client of the same name is none. Raises NotFound."""
        if not actor.is_operator:
            owner = await self.live(tenant, actor.account, actor)
            member = await self._member(reads, tenant, owner)
            if member is None or not member.active or member.organisation != organisation_id:
                raise no_organisation(organisation_id)
        found = await reads.get(keys.organisation(tenant, organisation_id), Organisation)
        if found is None or not actor.owns(found):
            raise no_organisation(organisation_id)
        return found

    async def _check_named(
        self, tenant: str, organisation_id: str, stands: Organisation, wanted: Organisation
    ) -> None:
        """Whether what it names, and did not name before, is there. Owners are not told: of others
        they learn nothing. Raises InvalidInput."""
        for owner in sorted({*wanted.owners} - {*stands.owners}):
            try:
                await live_account(self.accounts, tenant, owner, None)
            except NotFound as error:
                raise InvalidInput("owners", f"owners: {error.message}") from error
        reads, named = Reads(self.store), {organisation_id}
        for policy in (stands.policy, wanted.policy):
            for field in ("guests_of", "visits_to"):
                for one in getattr(policy, field):
                    known = policy is stands.policy or one in named
                    key = keys.organisation(tenant, one)
                    if not known and await reads.get(key, Organisation) is None:
                        raise InvalidInput(
                            field, f"{field}: there is no organisation {quoted(one)}; make it first"
                        )
                    named.add(one)

    async def live(self, tenant: str, account: str, actor: Actor) -> LiveAccount:
        """Raises NotFound, ClaimNotAllowed."""
        return await live_account(self.accounts, tenant, account, actor.unit)

    async def _member(self, reads: Reads, tenant: str, account: LiveAccount) -> Membership | None:
        """Of this very client; what an earlier one of its name was is nothing."""
        found = await reads.get(keys.membership(tenant, account.view.account), Membership)
        if found is None or not same_life(found.life_ms, account.home.first_ms):
            return None
        return found


def _check_owners(wanted: Organisation) -> None:
    if len(wanted.owners) > MOST_OWNERS:
        raise InvalidInput("owners", f"owners names {len(wanted.owners)}; at most {MOST_OWNERS}")


def _elsewhere(account: str) -> ClaimNotAllowed:
    return ClaimNotAllowed(
        "MEMBER_ELSEWHERE",
        f"account {quoted(account)} is a member of another organisation; it leaves that first",
    )


def _no_member(account: str) -> NotFound:
    return NotFound(f"account {quoted(account)} is no member of it")


def _changed(organisation_id: str) -> Conflict:
    return Conflict(
        f"organisation {quoted(organisation_id)} has changed since; read it again, and change that"
    )


def _busy(organisation_id: str) -> Conflict:
    return Conflict(f"others keep changing organisation {quoted(organisation_id)}; try again")
