"""Performs the core's steps in a test, on fake time that a wait moves on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeport.core import Core
from homeport.endpoints import Endpoints
from homeport.failure import Code, Failure
from homeport.retrying import RetryPolicy
from homeport.steps import Steps, T, Try, Wait

UNAVAILABLE = Failure(Code.UNAVAILABLE, "connection refused")
WALL_AT_START = 1_700_000_000.0  # Unix time


class FakeTime:
    """Monotonic seconds from 0; `wall` is the same in Unix time."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL_AT_START + self.now


def core_on(
    time: FakeTime,
    *,
    servers: str = "a,b",
    policy: RetryPolicy | None = None,
    timeout_s: float = 10.0,
    uses_cache: bool = False,
    jitter: float = 1.0,
) -> Core:
    """A core on fake time, whose every random number is `jitter`."""
    return Core(
        Endpoints(servers),
        policy or RetryPolicy(),
        tenant="acme",
        timeout_s=timeout_s,
        uses_cache=uses_cache,
        clock=time.clock,
        wall=time.wall,
        jitter=lambda: jitter,
    )


def drive(
    steps: Steps[T],
    time: FakeTime,
    answer: Callable[[Try], Any],
    *,
    else_do: Callable[[Any], Any] = lambda step: None,
) -> tuple[T, list[Any]]:
    """Performs steps: `answer` for tries, `else_do` for the cache. Returns what the
    operation returned, and the steps; what it raises gets `steps` as an attribute."""
    done: list[Any] = []
    reply: Any = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            return end.value, done
        except Exception as error:  # raised again with the steps that led to it
            error.steps = done  # type: ignore[attr-defined]
            raise
        done.append(step)
        if isinstance(step, Try):
            reply = answer(step)
        elif isinstance(step, Wait):
            time.now += step.seconds
            reply = None
        else:
            reply = else_do(step)
