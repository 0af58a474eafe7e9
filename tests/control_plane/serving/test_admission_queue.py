"""AdmissionQueue: as many calls begin as can be served; those of the first rank go first; nobody is
begun for whom it is too late; all others hear so at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import ServiceError, Unavailable
from control_plane.serving.admission_queue import MOST_SHARE, MOST_WAIT_S, OVERDUE_S, AdmissionQueue
from control_plane.serving.calls import HotCall, Metadata
from control_plane.serving.concurrency_limit import TARGET_S, ConcurrencyLimit
from control_plane.serving.status import Status, try_again

ROOM = 4
QUEUE = int(ROOM * MOST_WAIT_S / TARGET_S)
OF_NEW = int(QUEUE * MOST_SHARE)
BANK, CITY = "ipv4:192.0.2.1:1000", "ipv4:192.0.2.2:1000"


class Call(HotCall):
    """A call, and what it was answered; its message ends with its rank."""

    def __init__(self, message: str, peer: str, left_s: float | None) -> None:
        self.payload = message.encode()
        self._peer = peer
        self._left_s = left_s
        self.heard: list[bytes | ServiceError] = []

    def reply(self, response: bytes) -> None:
        self.heard.append(response)

    def fail(self, error: ServiceError) -> None:
        self.heard.append(error)

    def metadata(self) -> Metadata:
        return ()

    def peer(self) -> str:
        return self._peer

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return self._left_s

    @property
    def refused(self) -> bool:
        return any(isinstance(one, Unavailable) for one in self.heard)


@dataclass
class Door:
    """A method that answers when it is told to, behind a queue."""

    now: float = 100.0
    begun: list[HotCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls: list[Call] = []
        self.queue = AdmissionQueue(
            self.begun.append,
            self,
            clock=lambda: self.now,
            limit=ConcurrencyLimit(least=ROOM, most=ROOM, idle=ROOM),
        )

    def rank(self, message: bytes) -> int:
        return int(message.decode()[-1])

    def status(self, message: bytes, rank: int) -> Status | None:
        return None if message.startswith(b"ticket") else try_again("BUSY", "too many", 1.0)

    def refuse(self, call: HotCall, rank: int) -> None:
        call.fail(Unavailable("too many", retry_after_s=1.0))

    def ask(self, rank: int = 0, peer: str = BANK, left_s: float | None = None) -> Call:
        call = Call(f"call-{len(self.calls)} of rank {rank}", peer, left_s)
        self.calls.append(call)
        self.queue.begin(call)
        return call

    def full(self) -> list[Call]:
        return [self.ask() for _ in range(ROOM)]

    def answer(self, count: int = 1) -> None:
        """The first of those who were begun."""
        for _ in range(count):
            self.begun.pop(0).reply(b"yes")

    def names(self) -> list[bytes]:
        return [call.payload for call in self.begun]


def test_as_many_begin_as_there_is_room_and_the_next_when_one_is_answered() -> None:
    door = Door()
    door.full()
    waiting = door.ask()
    assert len(door.begun) == ROOM
    assert not waiting.heard
    door.answer()
    assert door.names()[-1] == waiting.payload
    assert (door.queue.under_way, door.queue.waiting) == (ROOM, 0)


def test_more_than_can_be_begun_soon_are_refused_at_once() -> None:
    door = Door()
    door.full()
    calls = [door.ask() for _ in range(3 * QUEUE)]
    assert [call.refused for call in calls] == [False] * QUEUE + [True] * 2 * QUEUE
    assert door.queue.refused == [2 * QUEUE, 0]


def test_who_is_of_the_first_rank_begins_first_and_takes_the_place_of_who_is_not() -> None:
    door = Door()
    door.full()
    new = [door.ask(rank=1) for _ in range(OF_NEW)]
    known = [door.ask() for _ in range(QUEUE - 1)]
    assert [call.refused for call in new] == [True] * (OF_NEW - 1) + [False]
    assert not any(call.refused for call in known)
    door.answer(QUEUE)
    assert door.names()[-QUEUE:] == [*(call.payload for call in known), new[-1].payload]
    assert door.ask(rank=1).heard == []


def test_who_is_not_of_the_first_rank_may_not_fill_the_queue() -> None:
    door = Door()
    door.full()
    new = [door.ask(rank=1) for _ in range(QUEUE)]
    assert [call.refused for call in new] == [False] * OF_NEW + [True] * (QUEUE - OF_NEW)
    assert not any(door.ask().refused for _ in range(QUEUE - OF_NEW))


def test_where_those_of_the_first_rank_are_refused_fewer_others_may_wait_for_a_while() -> None:
    door = Door()
    door.full()
    first = [door.ask() for _ in range(QUEUE + 1)]
    assert first[-1].refused
    door.queue.sample()
    door.answer(QUEUE)
    assert door.queue.waiting == 0
    others = [door.ask(rank=1) for _ in range(OF_NEW)]
    assert others[-1].refused
    for _ in range(10):
        door.queue.sample()
    assert not door.ask(rank=1).refused


@pytest.mark.parametrize(("waited_s", "fewer"), [(MOST_WAIT_S / 2, False), (OVERDUE_S, True)])
def test_where_calls_wait_too_long_before_they_come_fewer_may_be_under_way(
    waited_s: float, fewer: bool
) -> None:
    now = 100.0
    queue = AdmissionQueue(
        lambda call: None, Door(), clock=lambda: now, limit=ConcurrencyLimit(least=1, idle=100)
    )
    queue.note_waited(waited_s)
    now += 0.1
    queue.sample()
    assert (queue.limit.calls < 100) is fewer


@pytest.mark.parametrize("ranks", [(), (0,), (1, 0)])
def test_nobody_is_turned_away_who_may_begin_or_wait(ranks: tuple[int, ...]) -> None:
    door = Door()
    if ranks:
        door.full()
    for rank in ranks:
        door.ask(rank=rank)
    assert door.queue.turn_away(b"call of rank 0") is None
    assert door.queue.refused == [0, 0]


def test_who_would_be_refused_is_turned_away_by_its_message_alone() -> None:
    door = Door()
    door.full()
    [door.ask() for _ in range(OF_NEW)]
    assert door.queue.turn_away(b"call of rank 0") is None
    assert door.queue.turn_away(b"call of rank 1") == try_again("BUSY", "too many", 1.0)
    [door.ask() for _ in range(QUEUE - OF_NEW)]
    assert door.queue.turn_away(b"call of rank 0") == try_again("BUSY", "too many", 1.0)
    assert door.queue.refused == [1, 1]
    assert door.queue.turn_away(b"ticket of rank 0") is None, "its refusal takes the call"
    assert door.queue.refused == [1, 1]


def test_who_takes_the_place_of_another_is_not_turned_away() -> None:
    door = Door()
    door.full()
    new = door.ask(rank=1)
    [door.ask() for _ in range(QUEUE - 1)]
    assert door.queue.turn_away(b"call of rank 0") is None
    assert not door.ask().refused
    assert new.refused


def test_addresses_wait_in_turn() -> None:
    door = Door()
    door.full()
    [door.ask(peer=BANK) for _ in range(QUEUE - 1)]
    mine = door.ask(peer=CITY)
    door.answer(2)
    assert mine.payload in door.names()[-2:]


def test_who_has_waited_too_long_is_refused_also_where_nothing_is_answered() -> None:
    door = Door()
    door.full()
    waiting = door.ask()
    door.now += OVERDUE_S + 0.01
    door.queue.sample()
    assert waiting.refused
    assert door.queue.waiting == 0


def test_a_call_whose_time_ends_before_it_can_be_served_is_not_begun() -> None:
    door = Door()
    door.full()
    soon, later = door.ask(left_s=0.2), door.ask(left_s=5.0)
    door.now += 0.3
    door.answer(2)
    assert soon.refused
    assert not later.refused
    assert door.begun[-1].payload == later.payload
    assert door.begun[-1].time_left_s() == pytest.approx(4.7)


def test_a_call_that_has_less_time_than_serving_takes_now_does_not_even_wait() -> None:
    door = Door()
    door.queue.limit.rate_per_s = ROOM / 0.4
    door.full()
    assert door.ask(left_s=0.1).refused
    assert not door.ask(left_s=2.0).refused


def test_a_method_that_raises_or_answers_at_once_leaves_nobody_behind_it() -> None:
    door = Door()

    def method(call: HotCall) -> None:
        if call.payload.startswith(b"call-0 "):
            raise RuntimeError("a fault of ours")
        call.reply(b"yes")

    door.queue = AdmissionQueue(method, door, clock=lambda: door.now)
    failed, fine = door.ask(), door.ask()
    assert isinstance(failed.heard[0], ServiceError)
    assert fine.heard == [b"yes"]
    assert door.queue.under_way == 0


def test_thousands_that_are_answered_as_they_begin_do_not_exhaust_the_stack() -> None:
    door, many, held = Door(), 3_000, list[HotCall]()
    at_once = False
    door.queue = AdmissionQueue(
        lambda call: call.reply(b"yes") if at_once else held.append(call),
        door,
        clock=lambda: door.now,
        limit=ConcurrencyLimit(least=many, most=many, idle=many),
    )
    calls = [door.ask() for _ in range(2 * many)]
    assert door.queue.waiting == many
    at_once = True
    held[0].reply(b"yes")
    assert all(call.heard == [b"yes"] for call in calls[many:])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(0, 1), st.floats(0.0, 6.0)),
            st.tuples(st.just("answer"), st.just(0), st.just(0.0)),
            st.tuples(st.just("pass"), st.just(0), st.floats(0.0, 2.0)),
        ),
        max_size=80,
    )
)
def test_each_call_is_answered_once_and_never_more_are_under_way(steps) -> None:
    door = Door()
    for what, rank, value in steps:
        if what == "ask":
            door.ask(rank, left_s=value)
        elif what == "answer" and door.begun:
            door.answer()
        elif what == "pass":
            door.now += value
            door.queue.sample()
        assert door.queue.under_way == len(door.begun) <= ROOM
        assert door.queue.waiting <= QUEUE
    while door.begun:
        door.answer()
    door.now += OVERDUE_S + 1
    door.queue.sample()
    assert [len(call.heard) for call in door.calls] == [1] * len(door.calls)


async def test_its_task_follows_the_rate_until_it_is_cancelled() -> None:
    door = Door()
    running = asyncio.create_task(door.queue.run())
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
