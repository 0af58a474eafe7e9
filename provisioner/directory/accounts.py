"""AccountStore: the records of accounts, each where the assignment of its client is.

What an account holds counts only for the client that it was claimed for: one that was released is
gone, and another that is made under its name later has nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from control_plane import keys
from control_plane.errors import DataLoss, NotFound
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Get, KeyValue, Store, Txn, TxnResult
from provisioner.directory.claim_rules import ClaimNotAllowed, same_life
from provisioner.directory.claims import DirectoryAccount, decode_account
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment


class AccountStore(Protocol):
    """Reads and writes them."""

    @property
    def shared(self) -> Store | None:
        """The store that has all of them, and all claims; None: they are in several."""
        ...

    async def read(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        """The results of a reading transaction, where this client is. Raises Unavailable."""
        ...

    async def commit(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        """The same of one that writes. What a refused one found is not told. Raises Unavailable,
        OutcomeUnknown."""
        ...


class SharedAccountStore:
    """Where there is one store for everything."""

    def __init__(self, store: Store) -> None:
        self.shared: Store | None = store
        self._store = store

    async def read(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        return await self._store.commit(txn)

    async def commit(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        return await self._store.commit(txn)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account's record and its client's assignment, at one revision; None: there is none."""

    tenant: str
    account: str
    pair: KeyValue | None
    home_pair: KeyValue | None

    @property
    def key(self) -> bytes:
        return keys.directory_account(self.tenant, self.account)

    @property
    def record(self) -> DirectoryAccount:
        """As it stands, be it of an earlier client. Raises DataLoss."""
        return decode_account(self.pair)

    @property
    def home(self) -> AssignmentRecord | None:
        """Raises DataLoss."""
        if self.home_pair is None:
            return None
        try:
            return decode_assignment(self.home_pair.value)
        except UNREADABLE as error:
            raise DataLoss(
                f"the assignment of client {quoted(self.account)} is damaged in the store"
            ) from error

    @property
    def is_former(self) -> bool:
        """Whether what the record lists is not this client's: it is gone, or another one."""
        home, record = self.home, self.record
        return bool(record.listed) and (
            home is None or not same_life(record.life_ms, home.first_ms)
        )

    def record_now(self, home: AssignmentRecord) -> DirectoryAccount:
        """The record as of this home; its epoch never falls."""
        record = self.record
        return msgspec.structs.replace(
            record,
            epoch=max(record.epoch, home.epoch),
            life_ms=home.first_ms or record.life_ms,
            given_back=record.given_back if same_life(record.life_ms, home.first_ms) else (),
        )

    def has(self, life_ms: int) -> bool:
        """Whether the client is there, and is the one of this first assignment."""
        home = self.home
        return home is not None and same_life(life_ms, home.first_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingUnit:
    """Who acts for an account: the unit where it is at home, at the epoch by which it is."""

    unit_id: str
    epoch: int


async def view_account(accounts: AccountStore, tenant: str, account: str) -> AccountView:
    """Raises Unavailable."""
    home = keys.assignment(tenant, account)
    read = Txn(then=account_reads(tenant, account))
    return account_view(tenant, account, (await accounts.read(read, home)).results)


def account_reads(tenant: str, account: str) -> list[Get]:
    """What is read of an account."""
    return [Get(keys.directory_account(tenant, account)), Get(keys.assignment(tenant, account))]


def account_view(tenant: str, account: str, found: Sequence[Sequence[KeyValue]]) -> AccountView:
    """The account, of what was found at those keys."""
    return AccountView(
        tenant=tenant,
        account=account,
        pair=found[0][0] if found[0] else None,
        home_pair=found[1][0] if found[1] else None,
    )


def check_home(view: AccountView, acting: ActingUnit | None) -> AssignmentRecord:
    """The home of an account that somebody acts for; acting None: an operator, wherever it is.
    Raises NotFound; ClaimNotAllowed where the account is not at home with who acts for it."""
    home = view.home
    if home is None:
        raise NotFound(
            f"there is no account {quoted(view.account)}: an account is a client that has a home"
        )
    if acting is not None and (home.unit, home.epoch) != (acting.unit_id, acting.epoch):
        raise ClaimNotAllowed(
            "STALE_EPOCH",
            f"account {quoted(view.account)} is not at home in {quoted(acting.unit_id)} at epoch "
            f"{acting.epoch}; only its home acts for it",
        )
    return home
