"""Pacer: begins work a little at a time, so that what is under way goes on in between.

An event loop runs all that is ready before it looks at the network again. Who hands it a
thousand calls at once therefore makes everybody else wait until all of them have begun. Here each
pass of the loop begins so much of it and no more, of each of those it is for in turn. While little
comes, all of it begins at once, and it costs a comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from control_plane.turns import Turns

T = TypeVar("T")

WINDOW_S = 0.001  # work that came within it counts as of one pass


class Pacer(Generic[T]):
    """Use from one event loop. begin(entries): begins them; it must not raise. turns: in which
    order, and empty. per_pass: what all of one pass may cost at most, by `cost_of`; one that costs
    more has a pass of its own. clock: monotonic seconds."""

    def __init__(
        self,
        begin: Callable[[list[T]], None],
        turns: Turns[T],
        *,
        per_pass: int,
        cost_of: Callable[[T], int],
        clock: Callable[[], float],
    ) -> None:
        self._begin = begin
        self._turns = turns
        self._per_pass = per_pass
        self._cost_of = cost_of
        self._clock = clock
        self._window = 0.0
        self._spent = 0  # of this window
        self._running = False

    def __len__(self) -> int:
        """Entries that have not begun."""
        return len(self._turns)

    def begin_now(self, entries: Sequence[T], cost: int | None = None) -> bool:
        """Whether these may begin without waiting, as whoever asks then has them do: nothing
        waits, and little came within this window. cost: what they cost by `cost_of` together, of
        who knows it already."""
        if self._running:
            return False
        if cost is None:
            cost = sum(map(self._cost_of, entries))
        now = self._clock()
        if now - self._window > WINDOW_S:
            self._window, self._spent = now, 0
        if self._spent + cost > self._per_pass and (self._spent or len(entries) > 1):
            return False
        self._spent += cost
        return True

    def add(self, entries: Iterable[T]) -> None:
        """They begin when it is their turn."""
        for entry in entries:
            self._turns.append(entry)
        if not self._running and self._turns:
            self._running = True
            asyncio.get_running_loop().call_soon(self._pass)

    def _pass(self) -> None:
        turns, left = self._turns, self._per_pass
        taken: list[T] = []
        while turns:
            entry = turns.popleft()
            cost = self._cost_of(entry)
            if cost > left and taken:
                turns.appendleft(entry)
                break
            left -= cost
            taken.append(entry)
        if turns:
            asyncio.get_running_loop().call_soon(self._pass)
        else:
            self._running = False
            self._window, self._spent = self._clock(), self._per_pass - left
        if taken:
            self._begin(taken)


class CoroutinePacer:
    """A Pacer for coroutines: each waits until it is its turn to go on."""

    def __init__(self, *, per_pass: int, clock: Callable[[], float]) -> None:
        """per_pass: how many go on in each pass of the loop."""
        self._pacer: Pacer[_Waiting] = Pacer(
            _go_on,
            Turns(_key_of, within=_within),
            per_pass=per_pass,
            cost_of=lambda entry: 1,
            clock=clock,
        )

    async def turn(self, key: Hashable, within: Hashable = None) -> None:
        """Until it is the turn of this key, of `within` among those of the key, and of this one
        among those."""
        waiting = (key, within, asyncio.get_running_loop().create_future())
        if not self._pacer.begin_now([waiting]):
            self._pacer.add([waiting])
            await waiting[2]


_Waiting: TypeAlias = tuple[Hashable, Hashable, asyncio.Future[None]]


def _key_of(waiting: _Waiting) -> Hashable:
    return waiting[0]


def _within(waiting: _Waiting) -> Hashable:
    return waiting[1]


def _go_on(entries: list[_Waiting]) -> None:
    for _, _, turn in entries:
        if not turn.done():  # who does not wait any more was cancelled
            turn.set_result(None)
