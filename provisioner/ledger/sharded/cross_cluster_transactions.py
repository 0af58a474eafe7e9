"""The ledger's transactions where assignments live in other clusters than the ledger.

Pure, like `provisioner.ledger.transactions`; docs/ledger.md argues why they hold. No
transaction spans clusters, so nothing may depend on two of them happening together:

- A provisioner has a session, and an id, in one assignment cluster: it *is* of that cluster.
- U only counts: clients handed out less clients given back, since the id began. It is never
  reset, so there is nothing to return between two clusters while its writer lives.
- In L stands an allowance for each provisioner: what its U may come to. Clients at the unit
  are settled + sum of U over the provisioners that stand in L.
- The fence has a copy in each cluster, the gate G, which says which revision of F it is. It
  may be adopted when the L of that very F was seen to fit.

    with the control data: L capacity/<unit>  F fence/<unit>
    in each cluster: S sessions/<p>  U usage/<unit>/<p>  G gate/<unit>  E shards/epoch  A, ..
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Txn,
    TxnResult,
    absent,
    unchanged,
)
from provisioner.ledger.account import NO_CAPACITY, Account


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleGate:
    """A gate that does not say what the fence says."""

    unit: str
    revision: int  # its mod_revision; 0: absent
    fence: int  # the fence's mod_revision, which it should say


def read_cluster(session_key: bytes, me: str, units: Sequence[str]) -> Txn:
    """Reads S, E, then G and U of each unit. Comes before `read_control`."""
    reads: list[Operation] = [Get(session_key), Get(keys.SHARD_EPOCH)]
    for unit in units:
        reads += [Get(keys.gate(unit)), Get(keys.usage(unit, me))]
    return Txn(then=reads)


def read_control(units: Sequence[str]) -> Txn:
    """Reads L and F of each unit, in one snapshot."""
    reads: list[Operation] = []
    for unit in units:
        reads += [Get(keys.capacity(unit)), Get(keys.fence(unit))]
    return Txn(then=reads)


def epoch_read(here: TxnResult) -> KeyValue | None:
    """E as `read_cluster` read it."""
    return _only(here.results[1])


def accept_snapshots(
    me: str, accounts: Sequence[Account], here: TxnResult, control: TxnResult
) -> list[StaleGate]:
    """Takes over what the two reads of exactly these accounts found; the gates to be updated
    before they can be adopted.

    A gate is adopted only where the L of the very fence it names is open and fits.
    """
    stale: list[StaleGate] = []
    for place, account in enumerate(accounts):
        gate, usage = (_only(found) for found in here.results[2 + 2 * place : 4 + 2 * place])
        capacity, fence = (_only(found) for found in control.results[2 * place : 2 * place + 2])
        record = decode_capacity(capacity.value) if capacity else NO_CAPACITY
        if capacity:
            account.accept_record(record, capacity.mod_revision, me)
        else:
            account.record, account.record_revision, account.grant = NO_CAPACITY, 0, 0
        account.usage = int(usage.value) if usage else 0
        account.usage_revision = usage.mod_revision if usage else 0
        account.fence_revision = gate.mod_revision if gate else 0
        generation = fence.mod_revision if fence else 0
        current = gate_says(gate) == generation
        account.adopted = current and record.open and record.consistent
        if not current:
            stale.append(
                StaleGate(unit=account.unit, revision=account.fence_revision, fence=generation)
            )
    return stale


def accept_usage(accounts: Sequence[Account], here: TxnResult) -> None:
    """Takes over U of exactly these accounts where the control data cannot be read now. What
    is known of L stays; so does an adopted gate that is still the same."""
    for place, account in enumerate(accounts):
        gate, usage = (_only(found) for found in here.results[2 + 2 * place : 4 + 2 * place])
        account.usage = int(usage.value) if usage else 0
        account.usage_revision = usage.mod_revision if usage else 0
        same = account.fence_revision == (gate.mod_revision if gate else 0)
        account.adopted = account.adopted and same


def gate_says(gate: KeyValue | None) -> int:
    """Which revision of the fence a gate is a copy of; 0: of none."""
    return int(gate.value) if gate is not None else 0


def update_gate(stale: StaleGate) -> Txn:
    """Makes a gate say what the fence says."""
    key = keys.gate(stale.unit)
    return Txn(
        compares=[unchanged(key, stale.revision)],
        then=[Put(key, b"%d" % stale.fence)],
    )


def registered(me: str, account: Account) -> bool:
    """Whether L knows that we may count at this unit. Nothing may be counted before."""
    return me in account.record.grants


def reset_usage(session: Compare, me: str, account: Account) -> Txn:
    """Before registering where a U of ours stands: the unit was removed and made anew, and
    nothing that was counted for the old one counts."""
    key = keys.usage(account.unit, me)
    return Txn(
        compares=[session, unchanged(key, account.usage_revision)],
        then=[Put(key, b"0")],
    )


def register(me: str, account: Account) -> tuple[CapacityRecord, Txn]:
    """Has L know us, with nothing to hand out yet. Only between two batches, and after a read
    that showed our session and then a U of 0: a provisioner that was absorbed meanwhile
    stands in L again, and must have nothing that could be absorbed a second time."""
    assert not account.usage, "what is counted already was, or will be, absorbed"
    record = account.record.with_allowance(me, 0)
    return record, write_capacity(account.unit, record, account.record_revision)


def take_grant(me: str, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
    """Reserves `slots` more, which the caller has checked to be free, where L knows us. No
    session is compared: slots that an expired session takes are found and freed like the
    others it held, and it cannot use them."""
    record = account.record.with_allowance(me, account.record.grants[me] + slots)
    return record, write_capacity(account.unit, record, account.record_revision)


def confirm_usage(session: Compare, me: str, account: Account) -> Txn:
    """Writes U as it is. Any batch of ours that is still on its way compares U, and will
    fail: from here on U is what we believe it is. Comes before every `lower_allowance`."""
    key = keys.usage(account.unit, me)
    return Txn(
        compares=[session, unchanged(key, account.usage_revision)],
        then=[Put(key, b"%d" % account.usage)],
    )


def lower_allowance(me: str, account: Account, keep: int) -> tuple[CapacityRecord, Txn]:
    """Our U may come to no more than `keep` above what it is now. Until the outcome is known
    the caller must live by the lower allowance."""
    record = account.record.with_allowance(me, account.usage + keep)
    return record, write_capacity(account.unit, record, account.record_revision)


def absorb_expired(
    expired: str, unit: str, record: CapacityRecord, record_revision: int, usage: int
) -> tuple[CapacityRecord, Txn]:
    """What a provisioner whose session expired handed out becomes settled and it leaves L,
    which is what makes this happen once. Read in this order: L, in which it stands; its
    session, gone, which it will be for ever; its U, which therefore is its last."""
    after = record.absorb(expired, usage=usage)
    return after, write_capacity(unit, after, record_revision)


def delete_usage(expired: str, unit: str, usage_revision: int) -> Txn:
    """Deletes the U of a provisioner without session that stands in L no more."""
    key = keys.usage(unit, expired)
    return Txn(
        compares=[absent(keys.session(expired)), unchanged(key, usage_revision)],
        then=[Delete(key)],
    )


def write_capacity(unit: str, record: CapacityRecord, compared: int) -> Txn:
    """L as `record`, if nobody wrote it since. When refused, the result is L."""
    key = keys.capacity(unit)
    return Txn(
        compares=[unchanged(key, compared)],
        then=[Put(key, encode_capacity(record))],
        otherwise=[Get(key)],
    )


def _only(found: Sequence[KeyValue]) -> KeyValue | None:
    return found[0] if found else None
