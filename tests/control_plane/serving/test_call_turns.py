"""CallTurns: of many calls those of each address and connection begin in turn; what is given up
before does not begin; nobody has more time than was left."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from pygrpc_native import EVENT_CALL, EVENT_CANCEL

from control_plane.serving.call_turns import COST, HOT_BYTES, PER_PASS, CallTurns, Event
from control_plane.serving.connections import HEADER, Connection, Connections

HOT, OTHER = 1, 2
BANK, CITY = "ipv4:192.0.2.1:1000", "ipv4:192.0.2.2:1000"


class Front:
    """Says what is told, and keeps what began, by pass."""

    def __init__(self, connections: Connections | None = None, *, full: bool = False) -> None:
        self.begun: list[list[Event]] = []
        self.now = 100.0
        self._numbers = itertools.count(1)
        self.turns = CallTurns(
            self.begun.append,
            hot={HOT},
            peer_of=connections.peer_of if connections else lambda metadata, peer: peer,
            clock=lambda: self.now,
            full={HOT: lambda: full},
        )

    def call(
        self,
        peer: str,
        method: int = OTHER,
        left_s: float | None = None,
        *metadata: tuple,
        message: bytes = b"",
    ) -> Event:
        return (EVENT_CALL, next(self._numbers), method, message, None, (metadata, peer, left_s))

    def calls(
        self, count: int, peer: str, method: int = OTHER, message: bytes = b""
    ) -> list[Event]:
        return [self.call(peer, method, message=message) for _ in range(count)]

    async def all(self) -> list[Event]:
        """All that began, once nothing waits."""
        for _ in range(10_000):
            if not len(self.turns):
                return [event for events in self.begun for event in events]
            await asyncio.sleep(0)
        raise AssertionError("it does not come to an end")


async def test_a_few_begin_at_once() -> None:
    front = Front()
    calls = [*front.calls(8, BANK, HOT), *front.calls(2, CITY)]
    front.turns.take(calls)
    assert front.begun == [calls]


async def test_a_flood_lets_the_call_of_another_address_through_with_the_first_pass() -> None:
    front = Front()
    front.turns.take(front.calls(64, BANK))
    front.turns.take([mine := front.call(CITY)])
    await front.all()
    assert mine in front.begun[0]
    assert max(map(len, front.begun)) < 10


async def test_many_connections_of_one_address_have_one_turn_between_them() -> None:
    front = Front()
    for number in range(100):
        front.turns.take([front.call(f"ipv4:192.0.2.1:{number}") for _ in range(3)])
    front.turns.take(front.calls(3, CITY))
    began = await front.all()
    mine = [place for place, event in enumerate(began) if event[5][1] == CITY]
    assert mine[-1] - mine[0] == 4, "every second of them, while all wait"


async def test_connections_of_one_address_take_turns() -> None:
    front = Front()
    front.turns.take(front.calls(200, "ipv4:192.0.2.1:1"))
    front.turns.take([mine := front.call("ipv4:192.0.2.1:2")])
    assert mine in (await front.all())[:8]


async def test_more_hot_calls_begin_in_a_pass_than_others() -> None:
    widths = {}
    for method in (HOT, OTHER):
        front = Front()
        front.turns.take(front.calls(200, BANK, method))
        await front.all()
        widths[method] = max(map(len, front.begun))
    assert widths[HOT] > widths[OTHER] > 1


async def test_the_larger_the_messages_the_fewer_calls_begin_in_a_pass() -> None:
    widths = []
    for size in (100, 1_000, 10_000, 1_000_000):
        front = Front()
        front.turns.take(front.calls(300, BANK, HOT, bytes(size)))
        await front.all()
        widths.append(max(map(len, front.begun)))
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == len(widths)
    assert widths[-1] == 1


@pytest.mark.parametrize(
    ("size", "method", "cost"),
    [
        pytest.param(0, HOT, 1, id="empty"),
        pytest.param(HOT_BYTES - 1, HOT, 1, id="small"),
        pytest.param(HOT_BYTES, HOT, 2, id="twice as long"),
        pytest.param(5 * HOT_BYTES, HOT, 6, id="long"),
        pytest.param(0, OTHER, COST, id="of a method that is not hot"),
    ],
)
async def test_so_many_begin_at_once_as_a_pass_may_cost(size, method, cost) -> None:
    """Beside small ones of a hot method, which make up what a pass has room for."""
    for over in (0, 1):
        front = Front()
        calls = [
            front.call(BANK, method, message=bytes(size)),
            *front.calls(PER_PASS - cost + over, BANK, HOT),
        ]
        front.turns.take(calls)
        assert bool(front.begun) is not bool(over)
        assert sorted(await front.all()) == sorted(calls)


async def test_a_call_that_is_given_up_before_its_turn_does_not_begin() -> None:
    front = Front()
    calls = front.calls(100, BANK)
    front.turns.take(calls)
    front.turns.take([(EVENT_CANCEL, event[1], 0, b"", None, None) for event in calls[50:]])
    assert await front.all() == calls[:50]


async def test_who_leaves_with_all_calls_at_once_stands_before_nobody() -> None:
    front = Front()
    front.turns.take(ends := [(EVENT_CANCEL, number, 0, b"", None, None) for number in range(200)])
    front.turns.take([mine := front.call(CITY)])
    began = await front.all()
    assert mine in front.begun[0]
    assert [event for event in began if event != mine] == ends


async def test_a_call_that_comes_and_is_given_up_at_once() -> None:
    front = Front()
    flood, call = front.calls(100, BANK), front.call(CITY)
    front.turns.take([*flood, call, (EVENT_CANCEL, call[1], 0, b"", None, None)])
    began = await front.all()
    assert call not in began
    assert len(began) == 100


async def test_what_a_call_waited_is_gone_of_its_time() -> None:
    front = Front()
    front.turns.take([front.call(BANK, OTHER, 5.0) for _ in range(100)])
    front.now += 2.0
    began = await front.all()
    assert {event[5][2] for event in began} == {3.0}
    front.turns.take([front.call(BANK, OTHER, 1.0) for _ in range(100)])
    front.now += 2.0
    assert (await front.all())[-1][5][2] == 0.0


async def test_behind_a_listener_of_tls_it_is_the_connection_of_the_caller_that_counts() -> None:
    connections = Connections(iter(["one", "other"]).__next__)
    for peer in (BANK, CITY):
        connections.opened(Connection(peer=peer, certificate=b""))
    front = Front(connections)
    header = HEADER
    front.turns.take([front.call("unix:", OTHER, None, (header, "one")) for _ in range(64)])
    front.turns.take([mine := front.call("unix:", OTHER, None, (header, "other"))])
    front.turns.take([nobodys := front.call("unix:", OTHER, None)])
    began = await front.all()
    assert {mine[1], nobodys[1]} <= {event[1] for event in began[:8]}


async def test_a_call_that_had_to_wait_is_known_by_when_it_came() -> None:
    front, seen = Front(), dict[int, float]()
    turns = CallTurns(
        lambda events: seen.update(front.turns.arrived),
        hot={HOT},
        peer_of=lambda metadata, peer: peer,
        clock=lambda: front.now,
    )
    front.turns = turns
    calls = front.calls(64, BANK)
    turns.take(calls)
    front.now += 3.0
    await front.all()
    assert {seen[event[1]] for event in calls} == {100.0}
    assert not turns.arrived


@pytest.mark.parametrize("full", [True, False])
async def test_calls_that_would_wait_elsewhere_do_not_wait_here(full: bool) -> None:
    front = Front(full=full)
    front.turns.take(flood := front.calls(4 * PER_PASS, BANK, HOT))
    assert (len(front.turns) == 0) is full
    assert sorted(await front.all()) == sorted(flood)


async def test_a_large_message_waits_for_its_turn_all_the_same() -> None:
    front = Front(full=True)
    front.turns.take(front.calls(PER_PASS, BANK, HOT, bytes(HOT_BYTES)))
    assert len(front.turns) > 0
