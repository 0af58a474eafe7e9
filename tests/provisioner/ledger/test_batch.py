"""What goes into one transaction: as much as the store's limits let in, and nothing that has no
room or that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from control_plane import keys
from control_plane.errors import Refused
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.port import MAX_OPERATIONS, Delete, unchanged
from control_plane.turns import Turns
from provisioner.ledger.account import Account
from provisioner.ledger.batch import Batch, counts_some, gather, touches
from provisioner.ledger.operations import Claim, Move, Operation, Release, tenant_of

NOW = 10.0


def account(unit: str = "near", *, grant: int = 1_000, usage: int = 0) -> Account:
    record = CapacityRecord(capacity=10_000)
    return Account(unit=unit, record=record, grant=grant, usage=usage, adopted=True)


def queue(operations: Iterable[Operation]) -> Turns[Operation]:
    return Turns(tenant_of, operations)


def claim(
    name: str, at: Account, *, expires_at: float = 99.0, plain: bool = True, tenant: str = "t"
) -> Claim:
    one = ShownClaim()
    one.plain = plain
    one.key, one.account, one.expires_at = keys.assignment(tenant, name), at, expires_at
    return one


class ShownClaim(Claim):
    """One whose every attribute can be set."""


def release(name: str, at: Account, *, expires_at: float = 99.0) -> Release:
    one = Release()
    one.key, one.account, one.expires_at = keys.assignment("t", name), at, expires_at
    one.revision = 5
    return one


def test_a_batch_takes_what_the_store_lets_in_and_leaves_the_rest_in_order():
    at = account()
    waiting = queue(claim(f"c{n}", at) for n in range(300))
    batch = gather(waiting, NOW, fixed_compares=1)
    # Session; usage and fence of the unit; then one compare for each client.
    assert len(batch.claims) == MAX_OPERATIONS - 1 - 2
    assert batch.changes == {"near": [len(batch.claims), 0]}
    assert waiting.popleft().key == keys.assignment("t", f"c{len(batch.claims)}")


def test_a_compare_more_in_every_batch_is_a_client_less():
    at = account()
    waiting = queue(claim(f"c{n}", at) for n in range(300))
    assert len(gather(waiting, NOW, fixed_compares=2).claims) == MAX_OPERATIONS - 2 - 2


def test_a_key_is_written_once_and_the_second_operation_goes_with_the_next():
    at = account()
    waiting = queue([release("alice", at), claim("bob", at), claim("alice", at)])
    batch = gather(waiting, NOW, fixed_compares=1)
    assert (len(batch.releases), len(batch.claims), len(waiting)) == (1, 1, 1)


def test_claims_beyond_the_grant_are_told_apart():
    at = account(grant=3, usage=1)
    waiting = queue(claim(f"c{n}", at) for n in range(4))
    batch = gather(waiting, NOW, fixed_compares=1)
    assert (len(batch.claims), len(batch.rerouted), len(waiting)) == (2, 2, 0)


def test_without_an_adopted_fence_nobody_is_added_and_clients_may_leave():
    at = account()
    at.adopted = False
    batch = gather(queue([claim("new", at), release("old", at)]), NOW, fixed_compares=1)
    assert (len(batch.claims), len(batch.rerouted), len(batch.releases)) == (0, 1, 1)


def test_who_does_not_wait_any_more_is_not_written():
    at = account()
    waiting = queue([claim("late", at, expires_at=9.9), release("gone", at, expires_at=9.9)])
    batch = gather(waiting, NOW, fixed_compares=1)
    assert (batch.claims, batch.releases, len(batch.expired)) == ([], [], 2)


def test_a_move_changes_two_units():
    here, there = account("here"), account("there")
    move = Move()
    move.key, move.revision, move.expires_at = keys.assignment("t", "c"), 7, 99.0
    move.account, move.source = there, here
    batch = gather(queue([move]), NOW, fixed_compares=1)
    assert batch.changes == {"there": [1, 0], "here": [0, 1]}
    assert {one.unit for one in batch.accounts} == {"here", "there"}
    assert touches(move, {"here"})
    assert not touches(move, {"elsewhere"})


def test_two_that_rest_on_one_key_go_in_two_batches():
    """What one of them deletes, the other may not compare in the same transaction."""
    at, token = account(), b"a token for one use"

    class Guarded(Claim):
        """Lets one client in."""

        def __init__(self) -> None:
            self.guards, self.writes = (unchanged(token, 7),), (Delete(token),)

    claims = [claim(name, at, plain=False) for name in ("alice", "bob", "carol")]
    for place, one in enumerate(claims[:2]):
        claims[place] = Guarded()
        claims[place].key, claims[place].account = one.key, at
        claims[place].expires_at = one.expires_at
    waiting = queue(claims)
    assert gather(waiting, NOW, fixed_compares=1).claims == claims[:1]
    assert gather(waiting, NOW, fixed_compares=1).claims == claims[1:]


def test_a_tenant_with_thousands_waiting_leaves_room_in_the_next_batch_for_everybody_else():
    at = account(grant=10_000)
    flood = [claim(f"c{n}", at, tenant="bank") for n in range(3_000)]
    others = [claim("alice", at, tenant=f"t{n}") for n in range(40)]
    waiting = queue([*flood, *others])
    batch = gather(waiting, NOW, fixed_compares=1)
    assert {one.key for one in others} <= batch.keys
    assert len(batch.claims) == MAX_OPERATIONS - 1 - 2, "and the batch is as full as it can be"
    rest = gather(waiting, NOW, fixed_compares=1)
    served = [one for one in (*batch.claims, *rest.claims) if one in flood]
    assert served == flood[: len(served)], "each tenant's in their order"


class Answered(ShownClaim):
    """Notes its answer; one of a bad name cannot take it."""

    def __init__(self, told: list[bytes]) -> None:
        self.told = told

    def assigned(self, revision):
        if self.key.endswith(b"bad"):
            raise ZeroDivisionError
        self.told.append(self.key)


class Gone(Release):
    """The same of one that leaves."""

    def __init__(self, told: list[bytes]) -> None:
        self.told = told

    def released(self):
        self.told.append(self.key)


@pytest.mark.parametrize("part", [1, 3, 5, 100])
def test_answers_leave_in_parts_and_each_of_them_once(part: int):
    told: list[bytes] = []
    batch = Batch()
    for name in ("a", "bad", "c", "d"):
        batch.claims.append(Answered(told))
        batch.claims[-1].key = keys.assignment("t", name)
    for name in ("e", "f"):
        batch.releases.append(Gone(told))
        batch.releases[-1].key = keys.assignment("t", name)
    start, more, parts = 0, True, 0
    while more:
        before = len(told)
        more = batch.deliver(7, start, start + part)
        assert len(told) - before <= part
        start, parts = start + part, parts + 1
    assert told == [keys.assignment("t", name) for name in "acdef"]
    assert parts == -(-6 // part)


class Outdated(ShownClaim):
    """One that was decided by what was replaced."""

    def is_current(self) -> bool:
        return False


@pytest.mark.parametrize("plain", [True, False])
def test_who_was_decided_by_what_was_replaced_is_asked_again(plain):
    at = account()
    late = Outdated()
    late.key, late.account, late.expires_at = keys.assignment("t", "late"), at, 99.0
    late.plain = plain
    batch = gather(queue([claim("first", at), late, claim("last", at)]), NOW, fixed_compares=1)
    assert ([one.key for one in batch.claims], batch.rerouted) == (
        [keys.assignment("t", "first"), keys.assignment("t", "last")],
        [late],
    )


def test_who_is_refused_is_left_out_among_many():
    at = account()
    refused = keys.assignment("t", "c1")
    batch = gather(
        queue(claim(f"c{n}", at) for n in range(3)),
        NOW,
        1,
        lambda key: Refused("not this one") if key == refused else None,
    )
    assert [one.key for one, _ in batch.refused] == [refused]
    assert len(batch.claims) == 2


@pytest.mark.parametrize(
    ("bounded", "waiting", "some"),
    [
        pytest.param([], ["a"], False, id="no tenant has a bound"),
        pytest.param(["b"], ["a", "c"], False, id="none of those who wait"),
        pytest.param(["b"], ["a", "b"], True, id="one of them"),
        pytest.param(["b"], [f"t{n}" for n in range(MAX_OPERATIONS + 1)], True, id="too many"),
    ],
)
def test_clients_are_asked_about_only_where_one_of_a_tenant_with_a_bound_waits(
    bounded: list[str], waiting: list[str], some: bool
) -> None:
    counting = Counting({name.encode(): f"tenant:{name}:q" for name in bounded})
    at = account()
    tenants = queue(claim("c", at, tenant=name) for name in waiting).keys
    assert counts_some(counting, tenants) is some


class Counting:
    """Quotas of which nothing is asked but who has one."""

    def __init__(self, counted: dict[bytes, str]) -> None:
        self.counted = counted

    def account_of(self, assignment_key: bytes) -> Account | None:
        raise AssertionError(assignment_key)

    def wait(self, claim: Claim, account: Account) -> None:
        raise AssertionError(claim)

    def used(self, account: Account) -> None:
        raise AssertionError(account)
