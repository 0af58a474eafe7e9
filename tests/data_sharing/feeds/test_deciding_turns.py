"""What a steady tenant waits for beside greedy ones, in simulated time: the scheduler is the
server's, and its events arrive at random times, some 100 a second. Making a transaction durable
takes 2 ms, as on an ordinary disk."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from data_sharing.feeds.append_queue import AppendQueue, WaitingAppend, WaitingLimits
from data_sharing.feeds.deciding_turns import DecidingTurns, Publishing
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
    publishing = Publishing()
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
    for tenant, (events, _) in greedy.items():
        for _ in range(AT_ONCE):
            hand_in(tenant, events, now)
    while next_one < len(arrivals):
        if not queue.tenants:
            now = max(now, arrivals[next_one])
        while next_one < len(arrivals) and arrivals[next_one] <= now:
            hand_in("steady", 1, arrivals[next_one])
            next_one += 1
        turns = DecidingTurns(queue, now + publishing.seconds(now))
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
def test_a_steady_tenant_waits_at_most_twice_as_long_beside_a_greedy_one(greedy):
    alone, _ = simulated({})
    beside, spent = simulated(greedy)
    assert p99(beside) <= 2 * p99(alone)
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


def test_a_tenant_that_is_alone_has_long_transactions():
    publishing = Publishing()
    publishing.note("a", 0.0)
    publishing.note("a", 1.0)
    assert publishing.seconds(1.0) == pytest.approx(0.05)
    publishing.note("b", 2.0)
    assert publishing.seconds(2.0) == publishing.seconds(12.0) == pytest.approx(0.002)
    publishing.note("b", 12.5)
    assert publishing.seconds(12.5) == pytest.approx(0.05)
