"""The attacks on ports as rows of the suite: strangers who show nothing at all. Those that are
called `http` are on every HTTP port that the server has: clients or events, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import TypeAlias

from tests.support.attacks import connection_attacks as attacks
from tests.support.attacks.target import Attack, AttackFunction, Attempts, Target

MANY = 2_000
FEW = 100
WITHIN_S = 1.0  # an attacker waits no longer for a connection
PATH = "/homeport.api.provisioning.v1.ProvisioningService/Provision"


def half_a_head(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Le".encode()


def half_a_body(path: str) -> bytes:
    """As long as either door takes."""
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: 60000\r\n\r\n{{".encode()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def grpc_ports(target: Target) -> list[int]:
    return [port_of(target.address)]


def http_ports(target: Target) -> list[int]:
    return [port_of(one) for one in (target.http, target.metrics) if one]


Step: TypeAlias = Callable[[Target, Attempts, Callable[[], bool]], None]
"""The last says whether there is time left."""


def again(step: Step) -> AttackFunction:
    """The step again and again, in a thread."""

    async def run(target: Target, attempts: Attempts) -> None:
        goes_on = target.until()

        def steps() -> None:
            while goes_on():
                with contextlib.suppress(OSError):
                    step(target, attempts, goes_on)

        await asyncio.to_thread(steps)

    return run


def connections(says: bytes, ports: Callable[[Target], list[int]]) -> Step:
    def step(target: Target, attempts: Attempts, goes_on: Callable[[], bool]) -> None:
        with contextlib.ExitStack() as stack:
            for port in (at := ports(target)):
                held = attacks.many_connections(
                    port, MANY // len(at), says=says, goes_on=goes_on, within_s=WITHIN_S
                )
                for _ in stack.enter_context(held):
                    attempts.told("opened")
            time.sleep(1.0)

    return step


def dripping_heads(target: Target, attempts: Attempts, goes_on: Callable[[], bool]) -> None:
    """Connections to each port whose request comes a byte at a time, for as long as they are
    left open."""
    head = b"GET / HTTP/1.1\r\n" + b"x-more: yes\r\n" * 400
    with contextlib.ExitStack() as stack:
        held: list[socket.socket] = []
        for port in http_ports(target):
            opened = attacks.many_connections(port, FEW, goes_on=goes_on, within_s=WITHIN_S)
            held += stack.enter_context(opened)
        attempts.tried += len(held)
        for place in range(len(head)):
            if not held or not goes_on():
                break
            for one in list(held):
                try:
                    one.sendall(head[place : place + 1])
                except OSError:
                    held.remove(one)
                    attempts.codes["closed"] = attempts.codes.get("closed", 0) + 1
            time.sleep(0.02)


def half_open(target: Target, attempts: Attempts, goes_on: Callable[[], bool]) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(attacks.half_open_streams(port_of(target.address), FEW, path=PATH))
            attempts.told("opened")
        time.sleep(1.0)


def resets(target: Target, attempts: Attempts, goes_on: Callable[[], bool]) -> None:
    done = attacks.rapid_resets(port_of(target.address), 20_000, path=PATH)
    attempts.told("closed" if done.closed else "not closed")


def nonsense(ports: Callable[[Target], list[int]]) -> Step:
    def step(target: Target, attempts: Attempts, goes_on: Callable[[], bool]) -> None:
        for port in ports(target):
            for kind in attacks.GARBAGE:
                attacks.garbage(port, kind)
                attempts.told(kind)

    return step


def on_ports(path: str) -> tuple[Attack, ...]:
    """Those on a server one of whose HTTP routes is this POST."""
    return tuple(
        Attack(name=name, what=what, run=again(step))
        for name, what, step in (
            (
                "silent connections",
                "2,000 connections that say nothing",
                connections(b"", grpc_ports),
            ),
            (
                "connections that greet",
                "2,000 connections that begin HTTP/2 and call nothing",
                connections(attacks.GREETING, grpc_ports),
            ),
            ("half-open calls", "100 connections with 100 calls without a message", half_open),
            ("rapid resets", "calls that are reset as they are opened", resets),
            ("nonsense", "bytes that are no gRPC", nonsense(grpc_ports)),
            (
                "http: silent connections",
                "2,000 connections that say nothing",
                connections(b"", http_ports),
            ),
            (
                "http: half a head",
                "2,000 connections whose request breaks off in a header",
                connections(half_a_head(path), http_ports),
            ),
            (
                "http: half a body",
                "2,000 connections whose body does not come",
                connections(half_a_body(path), http_ports),
            ),
            (
                "http: heads a byte at a time",
                "100 connections to each port whose request comes a byte at a time",
                dripping_heads,
            ),
            ("http: nonsense", "bytes that are no HTTP", nonsense(http_ports)),
        )
    )


PROVISIONER = on_ports("/v1/tenants/city/clients/alice:provision")
DATA_SHARING = on_ports("/v1/tenants/city/events")
