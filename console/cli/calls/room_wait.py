"""How a command waits for room for a client, and says so."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeVar

from homeport.errors import NoRoom, WaitingForRoom

T = TypeVar("T")


def with_room(
    ask: Callable[[float], T],
    *,
    timeout_s: float | None,
    answer_within_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> T:
    """What `ask` comes to, which is given how long it may take, asked again as servers say.
    timeout_s: how long in all; None: `answer_within_s`, but where a client waits for a cap in
    latency to relax, until it does. Raises NoRoom, and what `ask` does."""
    began = clock()
    told = ""
    while True:
        patience_s = answer_within_s if timeout_s is None else timeout_s - (clock() - began)
        try:
            return ask(max(0.1, patience_s))
        except NoRoom as error:
            relaxes = isinstance(error, WaitingForRoom) and error.relaxes_after_s is not None
            left_s = (answer_within_s if timeout_s is None else timeout_s) - (clock() - began)
            if relaxes and timeout_s is None:
                left_s = inf
            wait_s = error.retry_after_s
            if wait_s is None or wait_s >= left_s:
                raise
            if isinstance(error, WaitingForRoom) and (words := waiting_words(error)) != told:
                say(words)
                told = words
            sleep(wait_s)


def waiting_words(error: WaitingForRoom) -> str:
    """For what a client waits.

    >>> error = WaitingForRoom("all full")
    >>> error.within_ms, error.relaxes_after_s = 50.0, 120.0
    >>> waiting_words(error)
    'waiting for room within 50 ms; after 120 s in all farther units may be had'
    """
    within = f" within {error.within_ms:g} ms" if error.within_ms is not None else ""
    after = error.relaxes_after_s
    relaxes = "" if after is None else f"; after {after:g} s in all farther units may be had"
    return f"waiting for room{within}{relaxes}"
