"""The ledger's transactions: which compares guard which writes. Pure; docs/ledger.md argues
why they keep capacity exact.

Each function builds one Txn from what a provisioner knows. Interpreting a refused one is
the caller's: `read_accounts` reads how things stand in one consistent snapshot,
`accept_snapshot` takes it over.

    S sessions/<p>   U usage/<unit>/<p>   L capacity/<unit>   F fence/<unit>   A assignments/..
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from control_plane import keys, quota_keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.port import (
    MAX_OPERATIONS,
    Compare,
    Create,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Target,
    Txn,
    TxnResult,
    absent,
    unchanged,
)
from provisioner.ledger.account import NO_CAPACITY, Account
from provisioner.ledger.departure import released
from provisioner.ledger.operations import Claim, Release
from provisioner.ledger.operations import Operation as Asked


def session_compare(session_key: bytes, session_revision: int) -> Compare:
    """The provisioner's session is the one it began with."""
    return Compare(session_key, Target.CREATE_REVISION, session_revision)


def assign(
    session: Compare,
    claims: Sequence[Claim],
    releases: Sequence[Release],
    changes: Iterable[tuple[Account, bytes, bytes, int, bool]],
    also: Sequence[Compare] = (),
) -> Txn:
    """One batch of new assignments, moves and releases.

    changes: per unit touched (account, U, F, net slots, whether it takes new clients). What
    the results of a refused one mean, `explain_refusal` says; those of the keys of `also`,
    which must hold as well, come after all others. Whom it releases is written to one more
    key (keys.RELEASED), the 128th at most.
    """
    compares: list[Compare] = [session, *also]
    then: list[Operation] = []
    creates: list[Create] = []
    for account, usage_key, fence_key, slots, takes in changes:
        compares.append(unchanged(usage_key, account.usage_revision))
        if takes:
            compares.append(unchanged(fence_key, account.fence_revision))
        then.append(Put(usage_key, b"%d" % (account.usage + slots)))
    otherwise: list[Operation] = []
    for claim in claims:
        if not claim.revision:
            creates.append((claim.key, claim.value))
        else:
            compares.append(unchanged(claim.key, claim.revision))
            then.append(Put(claim.key, claim.value))
            otherwise.append(Get(claim.key))
    for release in releases:
        compares.append(unchanged(release.key, release.revision))
        then.append(Delete(release.key))
        otherwise.append(Get(release.key))
    for asked in (*claims, *releases):
        if asked.guards or asked.writes:
            _add_guards(asked, compares, then, otherwise)
    otherwise.extend(Get(one.key) for one in also)
    if releases:
        then.append(released(release.key for release in releases))
    return Txn(compares=compares, then=then, otherwise=otherwise, creates=creates)


def explain_refusal(
    claims: Sequence[Claim], releases: Sequence[Release], result: TxnResult
) -> Iterator[tuple[KeyValue | None, bool]]:
    """Of a refused batch, for each operation, claims first: what stands at A, and whether
    everything it was asked with still holds, A included."""
    asked: list[Asked] = [*claims, *releases]
    created = sum(not claim.revision for claim in claims)
    creates = iter(result.results)
    others = iter(result.results[created:])
    guards = iter(result.results[len(asked) :])
    for one in asked:
        found = _only(next(others if one.revision else creates))
        holds = _revision(found) == one.revision
        for guard in one.guards:
            holds = (_revision(_only(next(guards))) == guard.operand) and holds
        yield found, holds


def _add_guards(
    asked: Asked, compares: list[Compare], then: list[Operation], otherwise: list[Operation]
) -> None:
    compares.extend(asked.guards)
    then.extend(asked.writes)
    otherwise.extend(Get(guard.key) for guard in asked.guards)


def take_grant(session: Compare, me: str, account: Account, slots: int) -> Txn:
    """Reserves `slots` more. The caller has checked that they are free. When refused, the
    result is L."""
    record = account.record.with_grant(me + account.queue_name, slots)
    key = keys.capacity(account.unit)
    return Txn(
        compares=[session, unchanged(key, account.record_revision)],
        then=[Put(key, encode_capacity(record))],
        otherwise=[Get(key)],
    )


def return_slots(session: Compare, me: str, account: Account, keep: int) -> Txn:
    """Usage becomes settled; a grant of `keep` slots remains, the rest is free
    for everybody. No assignment of ours at this unit may be in flight.

    U is written even where it is zero already: a return that arrives after its sender
    gave it up must clash with whatever the sender assigned since, and it is U they share.
    (The simulation found the overfilled unit when it did not.)
    """
    holder = me + account.queue_name
    record = account.record.settle(holder, usage=account.usage, keep=keep)
    key, usage_key = keys.capacity(account.unit), keys.usage(account.unit, holder)
    return Txn(
        compares=[
            session,
            unchanged(key, account.record_revision),
            unchanged(usage_key, account.usage_revision),
        ],
        then=[Put(key, encode_capacity(record)), Put(usage_key, b"0")],
        otherwise=[Get(key)],
    )


def reclaim_expired(
    expired: str,
    unit: str,
    record: CapacityRecord,
    record_revision: int,
    usage: int,
    usage_revision: int,
) -> Txn:
    """The usage of a provisioner without session becomes settled, its grant is free again.
    Anyone may do it, once."""
    after = record.settle(expired, usage=usage, keep=0)
    key, usage_key = keys.capacity(unit), keys.usage(unit, expired)
    return Txn(
        compares=[
            absent(keys.session(quota_keys.session_of(expired))),
            unchanged(key, record_revision),
            unchanged(usage_key, usage_revision),
        ],
        then=[Put(key, encode_capacity(after)), Delete(usage_key)],
    )


def read_accounts(session_key: bytes, me: str, accounts: Sequence[Account]) -> Txn:
    """Reads S, then L, F and U of each account, in one snapshot. At most 42 of them."""
    reads: list[Operation] = [Get(session_key)]
    for account in accounts:
        reads += [
            Get(keys.capacity(account.unit)),
            Get(keys.fence(account.unit)),
            Get(keys.usage(account.unit, me + account.queue_name)),
        ]
    return Txn(then=reads)


READ_UNITS = (MAX_OPERATIONS - 1) // 3


def _only(found: Sequence[KeyValue]) -> KeyValue | None:
    return found[0] if found else None


def _revision(found: KeyValue | None) -> int:
    return found.mod_revision if found is not None else 0


def session_stands(result: TxnResult, session_revision: int) -> bool:
    """Whether `read_accounts` found the session that began at `session_revision`."""
    session = _only(result.results[0])
    return session is not None and session.create_revision == session_revision


def accept_snapshot(me: str, accounts: Sequence[Account], result: TxnResult) -> None:
    """Takes over what `read_accounts` read of exactly these accounts.

    A fence is adopted only where the same snapshot shows an open unit whose settled slots
    and grants fit its capacity; elsewhere the account takes no new clients.
    """
    for position, account in enumerate(accounts):
        capacity, fence, usage = (
            _only(found) for found in result.results[1 + 3 * position : 4 + 3 * position]
        )
        record = decode_capacity(capacity.value) if capacity else NO_CAPACITY
        if capacity:
            account.accept_record(record, capacity.mod_revision, me)
        else:
            account.record, account.record_revision, account.grant = NO_CAPACITY, 0, 0
        account.usage = int(usage.value) if usage else 0
        account.usage_revision = usage.mod_revision if usage else 0
        account.fence_revision = fence.mod_revision if fence else 0
        account.adopted = record.open and record.consistent
