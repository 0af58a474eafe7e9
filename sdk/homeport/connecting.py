"""Connecting: how long a TCP connect to each of a few endpoints takes, all at once, within a time.

Names are looked up first, and that does not count. Nothing is sent; each connection is closed at
once. What does not answer in time is left out.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Mapping, Sequence

MOST = 8  # endpoints


def host_and_port(endpoint: str) -> tuple[str, int]:
    """Of `host:port` or `[v6]:port`. Raises ValueError.

    >>> host_and_port("[2001:db8::1]:443")
    ('2001:db8::1', 443)
    """
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{endpoint} is no host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def connect_times(endpoints: Mapping[str, str], timeout_s: float) -> dict[str, float]:
    """ms by name, of those that answered within the time; at most MOST are tried."""
    found: dict[str, float] = {}
    lock = threading.Lock()
    end = time.monotonic() + timeout_s

    def one(name: str, endpoint: str) -> None:
        try:
            host, port = host_and_port(endpoint)
            family, kind, proto, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind, proto) as connection:
                began = time.perf_counter()
                connection.settimeout(max(0.001, end - time.monotonic()))
                connection.connect(address)
                took_ms = (time.perf_counter() - began) * 1_000.0
        except (OSError, ValueError):
            return
        with lock:
            found[name] = took_ms

    # Looking names up cannot be given up, so nobody waits for these threads beyond the time.
    threads = [threading.Thread(target=one, args=entry, daemon=True) for entry in _few(endpoints)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    with lock:
        return dict(found)


async def async_connect_times(endpoints: Mapping[str, str], timeout_s: float) -> dict[str, float]:
    """The same on asyncio."""
    found: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    async def one(name: str, endpoint: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                host, port = host_and_port(endpoint)
                family, kind, proto, _, address = (
                    await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                )[0]
                with socket.socket(family, kind, proto) as connection:
                    connection.setblocking(False)
                    began = time.perf_counter()
                    await loop.sock_connect(connection, address)
                    found[name] = (time.perf_counter() - began) * 1_000.0
        except (OSError, ValueError):  # TimeoutError is an OSError
            return

    await asyncio.gather(*(one(*entry) for entry in _few(endpoints)))
    return found


def _few(endpoints: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return list(endpoints.items())[:MOST]
