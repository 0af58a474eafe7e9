"""Batch: the operations of one transaction, and what they change at each unit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Sequence

from control_plane import faultpoints
from control_plane.errors import ServiceError
from control_plane.store.port import MAX_OPERATIONS
from control_plane.turns import Turns
from provisioner.ledger.account import Account
from provisioner.ledger.operations import Claim, Operation, Release
from provisioner.ledger.quota_accounts import QuotaAccounts

log = logging.getLogger(__name__)


class Batch:
    """Filled by one commit queue, committed whole or not at all."""

    __slots__ = (
        "accounts", "changes", "claims", "expired", "keys", "quotas", "refused", "releases",
        "rerouted", "settled", "unplaced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.keys: set[bytes] = set()  # no transaction may write a key twice
        self.claims: list[Claim] = []
        self.releases: list[Release] = []
        self.changes: dict[str, list[int]] = {}  # unit, or quota -> [claims, releases]
        self.quotas: dict[str, Account] = {}  # of clients, of which some are in it
        self.accounts: Sequence[Account] = ()  # every account touched, once
        self.expired: list[Operation] = []  # met on the way: nobody waits for them any more
        self.refused: list[tuple[Operation, ServiceError]] = []  # met on the way: not to be made
        self.rerouted: list[Claim] = []  # met on the way: no slot there, or a replaced policy
        self.unplaced: list[tuple[Claim, Account]] = []  # met on the way: no place in a quota
        self.settled = False  # everybody in it is told, is about to be, or waits again

    def deliver(self, revision: int, start: int, end: int) -> bool:
        """Answers those in it from `start` to before `end`, claims first: it is durable at
        `revision`. Returns whether there are more. One answer that fails is a defect, and takes
        no other along."""
        if not start:
            faultpoints.passing("ledger.answer.before")
        for claim in self.claims[start:end]:
            try:
                claim.assigned(revision)
            except Exception:  # the boundary: whoever asks brings its own code along
                log.exception("a claim that is durable could not be answered")
        claims = len(self.claims)
        for release in self.releases[max(0, start - claims) : max(0, end - claims)]:
            try:
                release.released()
            except Exception:  # the same
                log.exception("a release that is durable could not be answered")
        if end < claims + len(self.releases):
            return True
        faultpoints.passing("ledger.answer.after")
        return False


def gather(
    waiting: Turns[Operation],
    now: float,
    fixed_compares: int,
    refusal: Callable[[bytes], ServiceError | None] | None = None,
    quotas: QuotaAccounts | None = None,
) -> Batch:
    """Takes the next batch off the queue: as many operations as the store's limit on lists
    lets in, each tenant's in turn. now: monotonic seconds; fixed_compares: what a batch compares
    whatever is in it; refusal: why the client of a key may not be given a home, None: nobody has to
    be asked about; quotas: where clients of tenants are counted as well, None: nowhere."""
    batch = Batch()
    counts = quotas if quotas is not None and counts_some(quotas, waiting.keys) else None
    changes = batch.changes
    compares = writes = MAX_OPERATIONS - fixed_compares
    while waiting:
        operation = waiting.popleft()
        account = operation.account
        change = changes.get(account.unit)
        if change is not None and isinstance(operation, Claim) and operation.plain:
            # One of many: a new client at a unit that this batch writes already.
            if not compares or not writes or operation.key in batch.keys:
                waiting.appendleft(operation)
                break
            quota = counts.account_of(operation.key) if counts is not None else None
            place = changes.get(quota.unit) if quota is not None else None
            if (
                (quota is None or (place is not None and has_place(quota, place)))
                and account.adopted
                and (refusal is None or refusal(operation.key) is None)
                and operation.expires_at >= now
                and account.usage + change[0] < account.grant
                and operation.is_current()
            ):
                batch.keys.add(operation.key)
                batch.claims.append(operation)
                change[0] += 1
                if place is not None:
                    place[0] += 1
                compares -= 1
                writes -= 1
                continue
        claim = operation if isinstance(operation, Claim) else None
        source = claim.source if claim is not None else None
        # Who is made, or goes, is counted; who moves is there already.
        counted = counts is not None and (claim is None or not claim.revision)
        quota = counts.account_of(operation.key) if counts is not None and counted else None
        # A new unit costs its usage and fence besides; each counts once in either list.
        new_units = (
            (change is None)
            + (source is not None and source.unit not in changes)
            + (quota is not None and quota.unit not in changes)
        )
        compared = 1 + 2 * new_units + len(operation.guards)
        written = 1 + new_units + len(operation.writes)
        guarded = {guard.key for guard in operation.guards}
        if (
            compared > compares
            or written > writes
            or operation.key in batch.keys
            or not guarded.isdisjoint(batch.keys)
        ):
            waiting.appendleft(operation)
            break
        batch.keys.add(operation.key)
        batch.keys |= guarded
        if operation.expires_at < now:
            batch.expired.append(operation)
            continue
        if refusal is not None and claim is not None:
            why_not = refusal(claim.key)
            if why_not is not None:
                batch.refused.append((claim, why_not))
                continue
        if claim is not None:
            taken = change[0] if change is not None else 0
            full = not account.adopted or account.usage + taken >= account.grant
            if full or not claim.is_current():
                batch.rerouted.append(claim)
                continue
            if quota is not None and not has_place(quota, changes.get(quota.unit)):
                batch.unplaced.append((claim, quota))
                continue
            batch.claims.append(claim)
            if change is None:
                changes[account.unit] = [1, 0]
            else:
                change[0] += 1
            if source is not None:
                changes.setdefault(source.unit, [0, 0])[1] += 1
        elif isinstance(operation, Release):
            batch.releases.append(operation)
            if change is None:
                changes[account.unit] = [0, 1]
            else:
                change[1] += 1
        if quota is not None:
            batch.quotas[quota.unit] = quota
            changes.setdefault(quota.unit, [0, 0])[claim is None] += 1
            if claim is not None:
                quota.last_reserved_at = now
        compares -= compared
        writes -= written
    batch.accounts = _accounts(batch)
    return batch


def counts_some(quotas: QuotaAccounts, tenants: Collection[Hashable]) -> bool:
    """Whether a client of these tenants may be counted; False: none is, and nothing is asked of
    each. Of more tenants than a batch has clients it is not found out."""
    counted = quotas.counted
    if not counted:
        return False
    return len(tenants) > MAX_OPERATIONS or any(tenant in counted for tenant in tenants)


def has_place(quota: Account, change: Sequence[int] | None) -> bool:
    """Whether there is a place for one more client in our grant of a quota. change: what the batch
    changes there already."""
    return quota.adopted and quota.usage + (change[0] if change is not None else 0) < quota.grant


def _accounts(batch: Batch) -> Sequence[Account]:
    seen: dict[str, Account] = {}
    for operation in (*batch.claims, *batch.releases):
        seen.setdefault(operation.account.unit, operation.account)
    for claim in batch.claims:
        if claim.source is not None:
            seen.setdefault(claim.source.unit, claim.source)
    return [*seen.values(), *batch.quotas.values()]


def touches(operation: Operation, units: Collection[str]) -> bool:
    """Whether an operation changes the usage of any of these units."""
    if operation.account.unit in units:
        return True
    source = operation.source if isinstance(operation, Claim) else None
    return source is not None and source.unit in units
