"""How a command waits for room: as servers say, within bounds, and it says so once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from console.cli.calls.room_wait import with_room
from homeport.errors import NoRoom, WaitingForRoom


def waiting(relaxes_after_s: float | None, retry_after_s: float = 6.0) -> WaitingForRoom:
    error = WaitingForRoom("full", retry_after_s=retry_after_s)
    error.within_ms, error.relaxes_after_s = 50.0, relaxes_after_s
    return error


class Terminal:
    """Time that waiting moves on, and what was said."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.limits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, answers: Callable[[float], NoRoom | None], timeout_s: float | None) -> str:
        def ask(within_s: float) -> str:
            self.limits.append(within_s)
            error = answers(self.now)
            if error is not None:
                raise error
            return "home"

        return with_room(
            ask, timeout_s=timeout_s, answer_within_s=4.0, clock=lambda: self.now,
            sleep=self.sleep, say=self.said.append,
        )  # fmt: skip


def until(end_s: float, error: NoRoom) -> Callable[[float], NoRoom | None]:
    return lambda now: error if now < end_s else None


def test_it_waits_until_the_cap_relaxes_and_says_so_once() -> None:
    terminal = Terminal()
    assert terminal.run(until(120.0, waiting(120.0)), None) == "home"
    assert terminal.now == 120.0
    assert terminal.said == [
        "waiting for room within 50 ms; after 120 s in all farther units may be had"
    ]
    assert terminal.limits[:2] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("error", "timeout_s", "waited_s"),
    [
        pytest.param(waiting(120.0), 20.0, 18.0, id="no-longer-than-it-was-told-to"),
        pytest.param(waiting(None), None, 0.0, id="not-where-nothing-relaxes"),
        pytest.param(NoRoom("full", retry_after_s=1.5), None, 3.0, id="not-long-where-all-is-full"),
        pytest.param(NoRoom("full"), None, 0.0, id="not-where-waiting-cannot-help"),
    ],
)
def test_it_gives_up(error: NoRoom, timeout_s: float | None, waited_s: float) -> None:
    terminal = Terminal()
    with pytest.raises(NoRoom):
        terminal.run(lambda now: error, timeout_s)
    assert terminal.now == waited_s
