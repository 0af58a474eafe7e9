"""The directory's transactions: which compares guard which writes. Pure.

Where claims and accounts share a store a change is one transaction (`together`). Else it takes
three: the claim becomes `claiming` and says who is to have it (`announce`), the account's record
lists it (`list_claim`), the claim is theirs (`conclude`). Whoever meets a claim whose server is
gone in between does what the record says. Nothing rests on the server's being gone: everything
compares what it was decided by, so one that is settled too early costs its server another attempt.
The other way round a claim is freed before its record forgets it. So at every revision an account
that a claim names has it in its record.

    C handles/.. or identifiers/..   A accounts/..   H assignments/..   S sessions/<server>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from control_plane import keys
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Txn,
    absent,
    unchanged,
)
from provisioner.directory.claim_rules import settled
from provisioner.directory.claims import (
    DirectoryAccount,
    DirectoryClaim,
    PendingClaim,
    encode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimChange:
    """before: what stands at the key; after None: the claim goes. lease: of a quarantined one."""

    key: bytes
    before: KeyValue | None
    after: DirectoryClaim | None
    lease: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """The same of an account's record. home: the assignment by which it was decided; None: it is
    not compared, for an account that only loses something. lease: of one that lists nothing, and
    only says what was given back."""

    key: bytes
    before: KeyValue | None
    after: DirectoryAccount
    home: KeyValue | None = None
    lease: int = 0

    @property
    def assignment_key(self) -> bytes:
        """Of the account's client, with which the record lies."""
        return keys.ASSIGNMENTS + self.key[len(keys.DIRECTORY_ACCOUNTS) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What a change compares and writes besides, in the store of claims."""

    compares: Sequence[Compare] = ()
    writes: Sequence[Operation] = ()


def together(
    claims: Sequence[ClaimChange], accounts: Sequence[AccountChange], guards: Guards
) -> Txn:
    """C and A unchanged, H unchanged → all of it."""
    compares: list[Compare] = [*guards.compares]
    then: list[Operation] = [*guards.writes]
    for claim in claims:
        compares.append(_unchanged(claim.key, claim.before))
        then += _claim_writes(claim)
    for account in accounts:
        compares += _account_compares(account)
        then += _account_writes(account)
    return Txn(compares=compares, then=then)


def first_claim(
    key: bytes,
    claim: DirectoryClaim,
    account_key: bytes,
    account: DirectoryAccount,
    home: KeyValue,
) -> Txn:
    """C and A absent, H unchanged → both: `together` for an account's first claim."""
    return Txn(
        compares=[unchanged(home.key, home.mod_revision)],
        creates=[(key, encode(claim)), (account_key, encode(account))],
    )


def announce(change: ClaimChange, pending: PendingClaim, session: Compare, guards: Guards) -> Txn:
    """S stands, C unchanged → C claiming."""
    before = change.before
    claim = decoded(before) or DirectoryClaim()
    claiming = msgspec.structs.replace(claim, pending=pending)
    return Txn(
        compares=[session, _unchanged(change.key, before), *guards.compares],
        then=[Put(change.key, encode(claiming)), *guards.writes],
    )


def list_claim(change: AccountChange) -> Txn:
    """A and H unchanged → A."""
    return Txn(compares=_account_compares(change), then=_account_writes(change))


def conclude(change: ClaimChange, revision: int) -> Txn:
    """C as it was announced, at this revision → C as it is to be."""
    return Txn(compares=[unchanged(change.key, revision)], then=_claim_writes(change))


def settle(pair: KeyValue, claim: DirectoryClaim, *, listed: bool) -> Txn:
    """C unchanged → C by what A says."""
    change = ClaimChange(key=pair.key, before=pair, after=settled(claim, listed=listed))
    return conclude(change, pair.mod_revision)


def look(claim_key: bytes, session: str) -> Txn:
    """Reads C and S, in one snapshot."""
    return Txn(then=[Get(claim_key), Get(keys.session(session))])


def free(claims: Sequence[ClaimChange]) -> Txn:
    """C unchanged → C free of an account."""
    return together(claims, (), Guards())


def decoded(pair: KeyValue | None) -> DirectoryClaim | None:
    """The claim that a change was decided by, which could be read then."""
    return msgspec.json.decode(pair.value, type=DirectoryClaim) if pair is not None else None


def _unchanged(key: bytes, before: KeyValue | None) -> Compare:
    return unchanged(key, before.mod_revision) if before is not None else absent(key)


def _claim_writes(change: ClaimChange) -> list[Operation]:
    if change.after is not None:
        return [Put(change.key, encode(change.after), change.lease)]
    return [Delete(change.key)]


def _account_compares(change: AccountChange) -> list[Compare]:
    compares = [_unchanged(change.key, change.before)]
    if change.home is not None:
        compares.append(unchanged(change.home.key, change.home.mod_revision))
    return compares


def _account_writes(change: AccountChange) -> list[Operation]:
    if change.after.listed:
        return [Put(change.key, encode(change.after))]
    if change.after.given_back:
        return [Put(change.key, encode(change.after), change.lease)]
    return [Delete(change.key)]
