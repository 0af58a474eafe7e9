"""NumberPools: numbers that operators add, assign to accounts, release and list.

Each change is one transaction that compares all that it was decided by: a virtual number has one
account, however many ask at once, and an account that is gone gets none. Those who ask begin to
look at different places of a pool, so that they rarely meet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, Exhausted, NotFound
from control_plane.faultpoints import passing
from control_plane.identifiers.phones import country_of
from control_plane.printable import quoted
from control_plane.store.port import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    Store,
    Txn,
    unchanged,
)
from provisioner.directory.accounts import AccountStore
from provisioner.directory.claim_rules import ClaimNotAllowed, same_life
from provisioner.numbers.records import (
    MOST_NUMBERS,
    MOST_OF_ACCOUNT,
    MOST_TECHNICAL,
    AccountNumberBook,
    FreeNumber,
    NumberKind,
    NumberRecord,
    NumberTenant,
    TenantNumberBook,
)
from provisioner.organisations.actors import LiveAccount, live_account
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import decoded, encoded

ATTEMPTS = 10
PAGE = 100
MOST_AT_ONCE = 40  # numbers that are added: three keys each, in one transaction
REST_MS = 90 * 86_400_000  # until a released number may be assigned again
_LOOKED_AT = 1_000  # free numbers, a page


class PoolEmpty(Exhausted):
    """No number of the pool is free. Add some, or release one and wait until it has rested."""

    reason = "POOL_EMPTY"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNumber:
    """A number as it stands."""

    number: str
    record: NumberRecord


class NumberPools:
    """Over the store of claims. rest_ms: how long a released number is nobody's; wall: Unix
    seconds. Every method raises Unavailable, OutcomeUnknown, DataLoss; Conflict where others keep
    changing the same."""

    def __init__(
        self,
        store: Store,
        accounts: AccountStore,
        *,
        wall: Callable[[], float],
        rest_ms: int = REST_MS,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._wall = wall
        self._rest_ms = rest_ms

    async def add(self, tenant: str, pool: str, kind: NumberKind, numbers: Sequence[str]) -> int:
        """How many are new. numbers: E.164, different ones, at most MOST_AT_ONCE. Raises
        ClaimNotAllowed."""
        for _ in range(ATTEMPTS):
            reads = Reads(self._store)
            await reads.read(
                [
                    key
                    for one in numbers
                    for key in (keys.number(one), keys.tenant_number(tenant, one))
                ]
            )
            book_key = keys.tenant_number_book(tenant)
            book = await reads.get(book_key, TenantNumberBook) or TenantNumberBook()
            writes: list[Operation] = []
            for one in numbers:
                stands = await reads.get(keys.tenant_number(tenant, one), NumberRecord)
                if stands is not None:
                    if (stands.pool, stands.kind) != (pool, kind):
                        raise _elsewhere(one)
                    continue
                await self._check_free_of_tenants(reads, tenant, one)
                book = book.with_number(one, kind, country_of(one) or "")
                writes += self._added(tenant, pool, kind, one)
            if not writes:
                return 0
            _check_room(book)
            txn = Txn(compares=reads.compares(), then=[*writes, Put(book_key, encoded(book))])
            if (await self._store.commit(txn)).succeeded:
                return sum(
                    isinstance(one, Put) and one.key.startswith(keys.NUMBERS) for one in writes
                )
        raise _busy()

    async def assign(self, tenant: str, account: str, pool: str, number: str = "") -> HeldNumber:
        """The number that the account has then. number: E.164; empty: the one that it has of the
        pool, or any that is free. Raises NotFound, ClaimNotAllowed, PoolEmpty."""
        for _ in range(ATTEMPTS):
            member = await live_account(self._accounts, tenant, account, None)
            reads = Reads(self._store)
            book_key = keys.account_numbers(tenant, account)
            book = await reads.get(book_key, AccountNumberBook) or AccountNumberBook()
            if not same_life(book.life_ms, member.home.first_ms):
                book = AccountNumberBook()  # an earlier client's of that name
            has = await self._has(reads, tenant, book, pool, number)
            if has is not None:
                return has
            if len(book.numbers) >= MOST_OF_ACCOUNT:
                raise ClaimNotAllowed(
                    "TOO_MANY_NUMBERS", f"an account has at most {MOST_OF_ACCOUNT} numbers"
                )
            found = number or await self._free(tenant, pool, account)
            record_key = keys.tenant_number(tenant, found)
            free_key = keys.free_number(tenant, pool, found)
            stands = await reads.get(record_key, NumberRecord)
            free = await reads.get(free_key, FreeNumber)
            if stands is None or stands.pool != pool:
                raise NotFound(f"the pool {quoted(pool)} has no number {quoted(found)}")
            now_ms = self.now_ms()
            if free is None or free.from_ms > now_ms:
                if not number:
                    continue  # somebody was faster
                raise _not_free(found, stands)
            life_ms = member.home.first_ms
            record = NumberRecord(
                kind=stands.kind, pool=pool, since_ms=now_ms, account=account, life_ms=life_ms
            )
            held = AccountNumberBook(numbers=(*book.numbers, found), life_ms=life_ms)
            txn = Txn(
                compares=[*reads.compares(), *self._lives(tenant, account, member)],
                then=[
                    Delete(free_key),
                    Put(record_key, encoded(record)),
                    Put(book_key, encoded(held)),
                ],
            )
            passing("number.assign.before")
            if (await self._store.commit(txn)).succeeded:
                passing("number.assign.after")
                return HeldNumber(number=found, record=record)
        raise _busy()

    async def release(self, tenant: str, number: str, *, remove: bool) -> bool:
        """Whether anything was done. remove: the number leaves the tenant. Raises NotFound where it
        never was the tenant's, and nothing is to be removed; ClaimNotAllowed."""
        for _ in range(ATTEMPTS):
            reads = Reads(self._store)
            record_key = keys.tenant_number(tenant, number)
            stands = await reads.get(record_key, NumberRecord)
            if stands is None:
                if remove:
                    return False
                raise NotFound(f"the tenant has no number {quoted(number)}")
            if remove and stands.account:
                raise _not_free(number, stands)
            if not remove and not stands.account:
                return False
            writes = (
                await self._removed(reads, tenant, number, stands)
                if remove
                else await self._released(reads, tenant, number, stands)
            )
            txn = Txn(compares=reads.compares(), then=writes)
            if (await self._store.commit(txn)).succeeded:
                return True
        raise _busy()

    async def page(self, tenant: str, after: str, limit: int) -> list[HeldNumber]:
        """A tenant's in order, after this one."""
        prefix = keys.tenant_number(tenant, "")
        start = prefix + after.encode() if after else None
        page = await self._store.range(prefix, start_after=start, limit=min(limit, PAGE))
        return [_held(pair, prefix) for pair in page.items]

    async def _has(
        self, reads: Reads, tenant: str, book: AccountNumberBook, pool: str, number: str
    ) -> HeldNumber | None:
        for one in book.numbers:
            record = await reads.get(keys.tenant_number(tenant, one), NumberRecord)
            if record is not None and record.pool == pool and number in ("", one):
                return HeldNumber(number=one, record=record)
        return None

    async def _free(self, tenant: str, pool: str, account: str) -> str:
        """Raises PoolEmpty."""
        prefix, now_ms = keys.free_number(tenant, pool, ""), self.now_ms()
        after: bytes | None = None
        while True:
            page = await self._store.range(prefix, start_after=after, limit=_LOOKED_AT)
            free = []
            for pair in page.items:
                one = decoded(pair, FreeNumber)
                if one is not None and one.from_ms <= now_ms:
                    free.append(pair.key[len(prefix) :].decode())
            if free:
                return free[_place(account) % len(free)]
            if not page.more:
                raise PoolEmpty(
                    f"the pool {quoted(pool)} has no free number; add numbers to it with AddNumbers"
                )
            after = page.items[-1].key

    async def _check_free_of_tenants(self, reads: Reads, tenant: str, number: str) -> None:
        """Raises ClaimNotAllowed where it is another tenant's that has a record of it."""
        owner = await reads.get(keys.number(number), NumberTenant)
        if owner is None or owner.tenant == tenant:
            return
        if await reads.get(keys.tenant_number(owner.tenant, number), NumberRecord) is not None:
            raise _elsewhere(number)

    def _added(self, tenant: str, pool: str, kind: NumberKind, number: str) -> list[Operation]:
        record = NumberRecord(kind=kind, pool=pool, since_ms=self.now_ms())
        writes: list[Operation] = [
            Put(keys.number(number), encoded(NumberTenant(tenant=tenant))),
            Put(keys.tenant_number(tenant, number), encoded(record)),
        ]
        if kind is NumberKind.VIRTUAL:
            writes.append(Put(keys.free_number(tenant, pool, number), encoded(FreeNumber())))
        return writes

    async def _released(
        self, reads: Reads, tenant: str, number: str, stands: NumberRecord
    ) -> list[Operation]:
        now_ms = self.now_ms()
        free_ms = now_ms + self._rest_ms
        book_key = keys.account_numbers(tenant, stands.account)
        book = await reads.get(book_key, AccountNumberBook) or AccountNumberBook()
        left = msgspec.structs.replace(
            book, numbers=tuple(one for one in book.numbers if one != number)
        )
        record = NumberRecord(kind=stands.kind, pool=stands.pool, since_ms=now_ms, free_ms=free_ms)
        return [
            Put(keys.tenant_number(tenant, number), encoded(record)),
            Put(
                keys.free_number(tenant, stands.pool, number), encoded(FreeNumber(from_ms=free_ms))
            ),
            Put(book_key, encoded(left)) if left.numbers else Delete(book_key),
        ]

    async def _removed(
        self, reads: Reads, tenant: str, number: str, stands: NumberRecord
    ) -> list[Operation]:
        book_key = keys.tenant_number_book(tenant)
        book = await reads.get(book_key, TenantNumberBook) or TenantNumberBook()
        owner = await reads.get(keys.number(number), NumberTenant)
        writes: list[Operation] = [
            Delete(keys.tenant_number(tenant, number)),
            Delete(keys.free_number(tenant, stands.pool, number)),
            Put(book_key, encoded(book.without(number, country_of(number) or ""))),
        ]
        if owner is not None and owner.tenant == tenant:
            writes.append(Delete(keys.number(number)))
        return writes

    def _lives(self, tenant: str, account: str, member: LiveAccount) -> Sequence[Compare]:
        """That hold while the account is the one that was looked at, where that can be asked."""
        if self._accounts.shared is not self._store or member.home_pair is None:
            return ()
        return [unchanged(keys.assignment(tenant, account), member.home_pair.mod_revision)]

    def now_ms(self) -> int:
        """Unix ms."""
        return int(self._wall() * 1_000)


def _held(pair: KeyValue, prefix: bytes) -> HeldNumber:
    record = decoded(pair, NumberRecord)
    assert record is not None
    return HeldNumber(number=pair.key[len(prefix) :].decode(), record=record)


def _place(account: str) -> int:
    return int.from_bytes(hashlib.sha256(account.encode()).digest()[:8])


def _check_room(book: TenantNumberBook) -> None:
    for count, most, what in (
        (book.count, MOST_NUMBERS, "numbers"),
        (len(book.technical), MOST_TECHNICAL, "technical numbers"),
    ):
        if count > most:
            raise ClaimNotAllowed(
                "TOO_MANY_NUMBERS", f"a tenant has at most {most:,} {what}; remove some first"
            )


def _elsewhere(number: str) -> ClaimNotAllowed:
    return ClaimNotAllowed(
        "NUMBER_ELSEWHERE",
        f"{quoted(number)} is another tenant's, or of another pool or kind; remove it there first",
    )


def _not_free(number: str, stands: NumberRecord) -> ClaimNotAllowed:
    what = "is an account's" if stands.account else "rests, or is a technical one"
    return ClaimNotAllowed("NUMBER_NOT_FREE", f"{quoted(number)} {what}; name another number")


def _busy() -> Conflict:
    return Conflict("others keep changing these numbers; try again")
