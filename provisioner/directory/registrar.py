"""Registrar: carries changes of claims out, in one transaction or in steps.

A write whose outcome is unknown is looked up, never repeated: the request that a claim was written
by says whose it is. Where that does not show, whoever asked is told to ask again with the same
request id, which comes to the same. A claim that another server has left half-way is settled by
whoever meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, Unavailable
from control_plane.store.port import (
    Compare,
    Get,
    KeyValue,
    LeaseLost,
    OutcomeUnknown,
    Store,
    Txn,
)
from control_plane.store.shared_lease import SharedLease
from provisioner.directory import protocol
from provisioner.directory.accounts import (
    AccountStore,
    AccountView,
    account_reads,
    account_view,
    view_account,
)
from provisioner.directory.claim_rules import ABANDONED_MS, freed
from provisioner.directory.claims import (
    DirectoryAccount,
    DirectoryClaim,
    Holder,
    Listed,
    PendingClaim,
    decode_claim,
)
from provisioner.directory.protocol import AccountChange, ClaimChange, Guards

ATTEMPTS = 10


class ServerSession(Protocol):
    """Of this server, in the store of claims."""

    @property
    def id(self) -> str: ...

    @property
    def compare(self) -> Compare:
        """Holds while it stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A claim that an account is to have. change.after: as it is then; loses: the account that has
    it no more; gives: a claim that the account gives up for it, which its record lists so."""

    change: ClaimChange
    account: AccountView
    record: DirectoryAccount
    listed: Listed
    holder: Holder
    loses: AccountView | None = None
    gives: tuple[ClaimChange, Listed] | None = None


class Registrar:
    """claims: the store with the claims; quarantine: the lease of freed handles; wall: Unix
    seconds."""

    def __init__(
        self,
        claims: Store,
        accounts: AccountStore,
        *,
        session: Callable[[], ServerSession],
        quarantine: SharedLease,
        wall: Callable[[], float],
    ) -> None:
        self.claims = claims
        self.accounts = accounts
        self._session = session
        self._quarantine = quarantine
        self._wall = wall

    def now_ms(self) -> int:
        return int(self._wall() * 1_000)

    async def claim_at(self, key: bytes) -> tuple[KeyValue | None, DirectoryClaim | None]:
        """What stands at a key, settled where its server is gone. Raises Unavailable while another
        server is at it; DataLoss."""
        for _ in range(ATTEMPTS):
            pair = await self.claims.get(key)
            claim = decode_claim(pair)
            if pair is None or claim is None or claim.pending is None:
                return pair, claim
            await self._settle(pair, claim, claim.pending)
        raise Conflict("others keep changing this claim; try again")

    async def account_and_claim(
        self, tenant: str, account: str, key: bytes
    ) -> tuple[AccountView, KeyValue | None, DirectoryClaim | None]:
        """An account as it is, and what stands at a key, as `claim_at` says; where both are in one
        store, in one read. Raises the same."""
        if self.accounts.shared is None:
            view = await view_account(self.accounts, tenant, account)
            return view, *(await self.claim_at(key))
        read = Txn(then=[*account_reads(tenant, account), Get(key)])
        *of_account, at_key = (await self.claims.commit(read)).results
        view = account_view(tenant, account, of_account)
        pair = at_key[0] if at_key else None
        claim = decode_claim(pair)
        if claim is not None and claim.pending is not None:
            pair, claim = await self.claim_at(key)
        return view, pair, claim

    async def _settle(self, pair: KeyValue, claim: DirectoryClaim, pending: PendingClaim) -> None:
        standing = await self.claims.get(keys.session(pending.session))
        young = self.now_ms() - pending.holder.proved_ms < ABANDONED_MS
        if standing is not None and young:
            raise Unavailable("somebody is claiming this just now; try again", retry_after_s=0.5)
        tenant, kind, name = split_claim_key(pair.key)
        view = await view_account(self.accounts, tenant, pending.holder.account)
        listed = view.record.lists(kind, name, pending.request)
        with suppress(OutcomeUnknown):  # read again either way
            await self.claims.commit(protocol.settle(pair, claim, listed=listed))

    async def gain(self, gain: Gain, guards: Guards = Guards()) -> int:  # noqa: B008  # immutable
        """Has an account gain a claim; the revision by which it has. 0: something has changed
        meanwhile, read again. Raises Unavailable, OutcomeUnknown."""
        try:
            if self.accounts.shared is None:
                return await self._gain_in_steps(gain, guards)
            return await self._gain_at_once(gain, guards)
        except LeaseLost:
            self._quarantine.lost()
            return 0

    async def _gain_at_once(self, gain: Gain, guards: Guards) -> int:
        key, request = gain.change.key, gain.listed.request
        claims, record = [gain.change], gain.record.with_listed(gain.listed)
        if gain.gives is not None:
            given, gone = gain.gives
            claims.append(given)
            record = record.without_listed(gone.kind, gone.key)
        account = AccountChange(
            key=gain.account.key,
            before=gain.account.pair,
            after=record,
            home=gain.account.home_pair,
        )
        changes = [account]
        if gain.loses is not None:
            changes.append(await self._loss(gain.loses, gain.listed))
        txn = protocol.together(claims, changes, guards)
        faultpoints.passing("claim.commit.before")
        try:
            result = await self.claims.commit(txn)
        except OutcomeUnknown:
            return await self.looked_up(key, request, gain.holder.account)
        faultpoints.passing("claim.commit.after")
        return result.revision if result.succeeded else 0

    async def looked_up(self, key: bytes, request: str, account: str) -> int:
        """The revision at which a request was carried out whose outcome is not known. Raises
        OutcomeUnknown where nothing shows that it was: it may be yet."""
        pair = await self.claims.get(key)
        claim = decode_claim(pair)
        standing = claim is not None and claim.pending is None and claim.request == request
        if pair is not None and claim is not None and standing and claim.holder(account):
            return pair.mod_revision
        raise OutcomeUnknown(
            "the store did not say whether it was done; try again, with the same id"
        )

    async def _gain_in_steps(self, gain: Gain, guards: Guards) -> int:
        session, change, after = self._session(), gain.change, gain.change.after
        assert after is not None
        account, request = gain.holder.account, gain.listed.request
        pending = PendingClaim(
            holder=gain.holder,
            request=request,
            session=session.id,
            replaces=len(after.holders) == 1,
            handle=after.handle,
        )
        announced = await self._announced(change, pending, session, guards)
        if not announced:
            return 0
        listing = AccountChange(
            key=gain.account.key,
            before=gain.account.pair,
            after=gain.record.with_listed(gain.listed),
            home=gain.account.home_pair,
        )
        try:
            listed = await self.accounts.commit(
                protocol.list_claim(listing), listing.assignment_key
            )
            done = listed.succeeded
        except OutcomeUnknown:
            view = await view_account(self.accounts, gain.account.tenant, account)
            if not view.record.lists(gain.listed.kind, gain.listed.key, request):
                raise  # it may be yet: the claim is settled by who meets it
            done = True
        except Unavailable:  # surely not written, such as while its shard moves
            await self._withdraw(change, announced)
            raise
        if not done:
            await self._withdraw(change, announced)
            return 0
        revision = await self._concluded(change, announced, request, account)
        if not revision:
            await self._unlist(gain.account.tenant, account, gain.listed)
            return 0
        if gain.loses is not None:
            await self._unlist(gain.loses.tenant, gain.loses.account, gain.listed)
        if gain.gives is not None:
            given, gone = gain.gives
            if (await self.claims.commit(protocol.free([given]))).succeeded:
                await self._unlist(gain.account.tenant, account, gone)
        return revision

    async def _announced(
        self, change: ClaimChange, pending: PendingClaim, session: ServerSession, guards: Guards
    ) -> int:
        """The revision at which the claim became `claiming`; 0: it did not."""
        try:
            result = await self.claims.commit(
                protocol.announce(change, pending, session.compare, guards)
            )
            return result.revision if result.succeeded else 0
        except OutcomeUnknown:
            pair = await self.claims.get(change.key)
            claim = decode_claim(pair)
            if pair is None or claim is None or claim.pending != pending:
                raise
            return pair.mod_revision

    async def _concluded(
        self, change: ClaimChange, announced: int, request: str, account: str
    ) -> int:
        faultpoints.passing("claim.commit.before")
        try:
            result = await self.claims.commit(protocol.conclude(change, announced))
            faultpoints.passing("claim.commit.after")
            if result.succeeded:
                return result.revision
        except OutcomeUnknown:
            pass
        with suppress(OutcomeUnknown):  # somebody may have settled it, as was wanted or not
            return await self.looked_up(change.key, request, account)
        return 0

    async def _withdraw(self, change: ClaimChange, announced: int) -> None:
        """Puts back what stood before the announcement."""
        before = protocol.decoded(change.before)
        back = ClaimChange(key=change.key, before=change.before, after=before)
        with suppress(OutcomeUnknown):
            await self.claims.commit(protocol.conclude(back, announced))

    async def let_go(self, view: AccountView, listed: Sequence[Listed], request: str) -> bool:
        """Has an account lose these claims, its own ones among them freed; whether it was done,
        else something has changed meanwhile. Raises Unavailable, OutcomeUnknown."""
        now_ms, changes, record = self.now_ms(), [], view.record
        for one in listed:
            key = claim_key(view.tenant, one)
            pair, claim = await self.claim_at(key)
            if claim is None or claim.holder(view.account) is None:
                continue
            after = freed(claim, view.account, request, now_ms)
            lease = await self.quarantine_lease() if after is not None and after.until_ms else 0
            changes.append(ClaimChange(key=key, before=pair, after=after, lease=lease))
            if after is not None and after.until_ms:
                record = record.with_given_back(one.key, after.until_ms, now_ms)
        for one in listed:
            record = record.without_listed(one.kind, one.key)
        if view.is_former:  # who comes under its name later has given nothing back
            record = msgspec.structs.replace(record, given_back=())
        account = await self._account_change(view, record)
        try:
            if self.accounts.shared is not None:
                txn = protocol.together(changes, [account], Guards())
                return (await self.claims.commit(txn)).succeeded
            if changes and not (await self.claims.commit(protocol.free(changes))).succeeded:
                return False
        except LeaseLost:
            self._quarantine.lost()
            return False
        done = await self.accounts.commit(protocol.list_claim(account), account.assignment_key)
        return done.succeeded

    async def _account_change(self, view: AccountView, after: DirectoryAccount) -> AccountChange:
        """Of an account that loses something. What only says what was given back goes with it;
        where accounts lie elsewhere it stays, for leases are of one store."""
        lease = 0
        if self.accounts.shared is not None and after.given_back and not after.listed:
            lease = await self.quarantine_lease()
        return AccountChange(key=view.key, before=view.pair, after=after, lease=lease)

    async def _loss(self, view: AccountView, listed: Listed) -> AccountChange:
        after = view.record.without_listed(listed.kind, listed.key)
        return await self._account_change(view, after)

    async def quarantine_lease(self) -> int:
        """What a freed handle hangs on."""
        return await self._quarantine.current()

    async def _unlist(self, tenant: str, account: str, listed: Listed) -> None:
        """Has a record forget what its account has no more. A claim that still stands in one is
        no claim: it is told by what the claim says."""
        with suppress(Unavailable):
            for _ in range(ATTEMPTS):
                view = await view_account(self.accounts, tenant, account)
                if not view.record.lists(listed.kind, listed.key):
                    return
                pair, claim = await self.claim_at(claim_key(tenant, listed))
                if pair is not None and claim is not None and claim.holder(account) is not None:
                    return
                after = view.record.without_listed(listed.kind, listed.key)
                change = AccountChange(key=view.key, before=view.pair, after=after)
                txn = protocol.list_claim(change)
                if (await self.accounts.commit(txn, change.assignment_key)).succeeded:
                    return


def claim_key(tenant: str, listed: Listed) -> bytes:
    """Where a listed claim stands."""
    if listed.handle:
        return keys.handle_claim(tenant, listed.key)
    return keys.identifier_claim(tenant, listed.kind, listed.key)


def split_claim_key(key: bytes) -> tuple[str, str, str]:
    """(tenant, kind, stored key or digest) of a claim's key."""
    if key.startswith(keys.DIRECTORY_HANDLES):
        tenant, _, name = key[len(keys.DIRECTORY_HANDLES) :].decode().partition("/")
        return tenant, "handle", name
    tenant, kind, name = key[len(keys.DIRECTORY_IDENTIFIERS) :].decode().split("/", 2)
    return tenant, kind, name
