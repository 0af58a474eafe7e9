"""What a steady tenant waits for beside greedy ones, in simulated time: the scheduler is the
server's, and its events arrive at random times, some 100 a second; those that arrive while others
are decided are there between two turns. Making a transaction durable takes 2 ms, as on an ordinary
disk."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from data_sharing.feeds.append_queue import AppendQueue, WaitingAppend, WaitingLimits
from data_sharing.feeds.deciding_turns import (
    ALONE_S,
    DECIDING_S,
    LITTLE_S,
    SHARED_S,
    TURN_S,
    DecidingTurns,
)
from data_sharing.feeds.publishing_tenants import SHARED_FOR_S, PublishingTenants
from tests.support.contracts.feed_log_contract import candidate

SYNC_S = 0.002
PER_TRANSACTION_S = 0.0001
STEADY_S = 0.0001  # what deciding an event of the steady tenant takes
RATE = 100.0  # of them a second
FOR_S = 60.0
AT_ONCE = 8  # appends of a greedy tenant that wait, always
EVENT = candidate("e")


def simulated(
    greedy: Mapping[str, tuple[int, float]],
    weight_of: Callable[[str], float] = lambda _: 1.0,
    seed: int = 7,
) -> tuple[list[float], dict[str, float]]:
    """How long each event of the steady tenant took from its arrival to its answer, s; and how long
    was decided for each tenant. greedy: events in an append, and s for each, by tenant."""
    rng = random.Random(seed)
    arrivals, at = [], 0.0
    while at < FOR_S:
        at += rng.expovariate(RATE)
        arrivals.append(at)
    queue = AppendQueue(WaitingLimits(of_all=1 << 40, of_tenant=1 << 40, of_producer=1 << 40),
                        weight_of)  # fmt: skip
    publishing = PublishingTenants()
    costs = {"steady": STEADY_S, **{name: each for name, (_, each) in greedy.items()}}
    took, spent = list[float](), dict.fromkeys(costs, 0.0)

    def hand_in(tenant: str, events: int, since: float) -> None:
        publishing.note(tenant, since)
        queue.add(
            WaitingAppend(
                tenant=tenant, candidates=[EVENT] * events, answer=None, size=0, by_producer={},  # type: ignore[arg-type]
                weights=(), since=since, feeds={},
            )
        )  # fmt: skip

    now, next_one = 0.0, 0

    def hand_in_arrived() -> None:
        nonlocal next_one
        while next_one < len(arrivals) and arrivals[next_one] <= now:
            hand_in("steady", 1, arrivals[next_one])
            next_one += 1

    for tenant, (events, _) in greedy.items():
        for _ in range(AT_ONCE):
            hand_in(tenant, events, now)
    while next_one < len(arrivals):
        if not queue.tenants:
            now = max(now, arrivals[next_one])
        hand_in_arrived()
        turns = DecidingTurns(queue, publishing, now)
        now += PER_TRANSACTION_S
        whole = list[WaitingAppend]()
        while (turn := turns.next(now)) is not None:
            kept = 0
            for part in turn.parts:
                done = 0
                while done < part.events and (not kept or now < turn.end):
                    now += costs[turn.tenant]
                    spent[turn.tenant] += costs[turn.tenant]
                    done, kept = done + 1, kept + 1
                part.append.kept += [None] * done  # type: ignore[list-item]
            for one, *_ in reversed(turn.parts):
                if one.is_whole:
                    whole.append(one)
                else:
                    queue.put_back(one)
            turns.done(turn, kept, now)
            if not turns.is_over:
                hand_in_arrived()
        now += SYNC_S
        for one in whole:
            queue.end(one)
            if one.tenant == "steady":
                took.append(now - one.since)
            else:
                hand_in(one.tenant, len(one.candidates), now)
    return took, spent


def p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


@pytest.mark.parametrize(
    "greedy",
    [
        pytest.param({"greedy": (500, 20e-6)}, id="small events"),
        pytest.param({"greedy": (1, 20e-6)}, id="one event at a time"),
        pytest.param({"greedy": (50, 0.001)}, id="events that many rules fire on"),
        pytest.param({f"greedy{n}": (500, 20e-6) for n in range(3)}, id="three greedy tenants"),
    ],
)
def test_a_steady_tenant_waits_at_most_half_as_long_again_beside_a_greedy_one(greedy):
    alone, _ = simulated({})
    beside, spent = simulated(greedy)
    assert p99(beside) <= 1.5 * p99(alone)
    used = sum(spent.values()) - spent["steady"]
    assert used >= 4.0, "what the steady one leaves is used"


def test_a_single_event_that_takes_long_is_waited_for_and_no_more_than_one_of_each():
    """Nothing can come between: what one event may cost is bounded elsewhere."""
    alone, _ = simulated({})
    beside, _ = simulated({"greedy": (4, 0.1)})
    assert p99(beside) <= p99(alone) + 0.1 + 2 * SYNC_S


def test_shares_of_the_time_follow_the_weights():
    _, spent = simulated(
        {"one": (100, 1e-4), "three": (20, 5e-4)},
        {"steady": 1.0, "one": 1.0, "three": 3.0}.__getitem__,
    )
    assert spent["three"] == pytest.approx(3 * spent["one"], rel=0.1)


class Deciding:
    """One transaction after the other, whose turns the test asks for; each takes as long as it
    may."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = AppendQueue(WaitingLimits(), lambda _: 1.0)
        self.publishing = PublishingTenants()
        self.turns = DecidingTurns(self.queue, self.publishing, self.now)

    def publish(self, tenant: str, events: int = 1) -> None:
        self.publishing.note(tenant, self.now)
        self.queue.add(
            WaitingAppend(
                tenant=tenant, candidates=[EVENT] * events, answer=None, size=0, by_producer={},  # type: ignore[arg-type]
                weights=(), since=self.now, feeds={},
            )
        )  # fmt: skip

    def turn(self, *, events: int = 1) -> tuple[str, float] | None:
        """Whose turn it is, of which so many events are decided until it ends, and how long it
        may take, s."""
        turn = self.turns.next(self.now)
        if turn is None:
            return None
        took = turn.end - turn.began
        self.now += took
        for part in turn.parts:
            part.append.kept += [None] * min(events, part.events)  # type: ignore[list-item]
            if not part.append.is_whole:
                self.queue.put_back(part.append)
        self.turns.done(turn, events, self.now)
        return turn.tenant, pytest.approx(took)

    def begin(self) -> None:
        """The next transaction."""
        self.turns = DecidingTurns(self.queue, self.publishing, self.now)


def test_a_tenant_that_is_alone_has_long_transactions_in_turns():
    one = Deciding()
    one.publish("greedy", 10_000)
    assert [one.turn() for _ in range(10)] == [("greedy", ALONE_S)] * 10
    one.now = DECIDING_S
    assert one.turn() is None


def test_while_several_publish_they_are_short():
    one = Deciding()
    one.publish("steady")
    one.publish("greedy", 10_000)
    one.turn()
    one.begin()
    assert [one.turn() for _ in range(3)] == [("greedy", TURN_S)] * 2 + [None]
    one.now += SHARED_FOR_S + 1
    one.begin()
    assert one.turn() == ("greedy", ALONE_S)


def test_who_comes_while_one_is_decided_is_next_and_ends_its_transaction():
    one = Deciding()
    one.publish("greedy", 10_000)
    one.turn()
    one.publish("steady")
    assert not one.turns.is_over
    assert one.turn() == ("steady", TURN_S)
    assert one.turns.is_over, "nobody is waited for any more"
    assert one.turn() is None


def test_who_comes_late_has_a_turn_and_the_greedy_one_none():
    one = Deciding()
    one.publish("steady")
    one.publish("greedy", 10_000)
    one.turn()
    one.begin()
    one.turn()
    one.turn()
    one.publish("steady")
    assert one.turn() == ("steady", TURN_S)
    assert one.turn() is None


def test_who_comes_late_with_a_lot_waits_for_the_next_transaction():
    one = Deciding()
    one.publish("steady")
    one.publish("greedy", 10_000)
    one.turn()
    one.begin()
    one.turn()
    one.turn()
    one.publish("other", 10_000)
    assert one.turn() is None
    one.begin()
    assert one.turn() == ("other", TURN_S)


def test_a_long_transaction_is_cut_short_by_who_comes_with_a_lot():
    one = Deciding()
    one.publish("greedy", 10_000)
    one.turn()
    one.publish("other", 10_000)
    came = one.now
    while one.turn() is not None:
        pass
    assert one.now <= came + SHARED_S + 1e-9


def test_one_event_that_took_unusually_long_does_not_make_its_tenant_a_greedy_one():
    one = Deciding()
    for _ in range(10):
        one.publish("steady")
        one.queue.take("steady", seconds=1.0, weight=1)
        one.queue.charge("steady", 1, 0.0005, cut_after=None)
    one.queue.charge("steady", 1, 0.1, cut_after=None)
    one.publish("steady")
    assert not one.queue.takes_longer("steady", LITTLE_S)
