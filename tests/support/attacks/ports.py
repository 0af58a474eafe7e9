"""The attacks on ports as rows of the suite: strangers who show nothing at all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from tests.support.attacks import connection_attacks as attacks
from tests.support.attacks.target import Attack, AttackFunction, Attempts, Target

MANY = 2_000
FEW = 100
PATH = "/homeport.api.provisioning.v1.ProvisioningService/Provision"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def again(step: Callable[[Target, Attempts], None]) -> AttackFunction:
    """The step again and again, in a thread."""

    async def run(target: Target, attempts: Attempts) -> None:
        goes_on = target.until()

        def steps() -> None:
            while goes_on():
                with contextlib.suppress(OSError):
                    step(target, attempts)

        await asyncio.to_thread(steps)

    return run


def connections(says: bytes) -> Callable[[Target, Attempts], None]:
    def step(target: Target, attempts: Attempts) -> None:
        with attacks.many_connections(port_of(target.address), MANY, says=says) as held:
            for _ in held:
                attempts.told("opened")
            time.sleep(1.0)

    return step


def half_open(target: Target, attempts: Attempts) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(attacks.half_open_streams(port_of(target.address), FEW, path=PATH))
            attempts.told("opened")
        time.sleep(1.0)


def resets(target: Target, attempts: Attempts) -> None:
    done = attacks.rapid_resets(port_of(target.address), 20_000, path=PATH)
    attempts.told("closed" if done.closed else "not closed")


def nonsense(target: Target, attempts: Attempts) -> None:
    for kind in attacks.GARBAGE:
        attacks.garbage(port_of(target.address), kind)
        attempts.told(kind)


ANY = tuple(
    Attack(name=name, what=what, run=again(step))
    for name, what, step in (
        ("silent connections", "2,000 connections that say nothing", connections(b"")),
        (
            "connections that greet",
            "2,000 connections that begin HTTP/2 and call nothing",
            connections(attacks.GREETING),
        ),
        ("half-open calls", "100 connections with 100 calls without a message", half_open),
        ("rapid resets", "calls that are reset as they are opened", resets),
        ("nonsense", "bytes that are no gRPC", nonsense),
    )
)
