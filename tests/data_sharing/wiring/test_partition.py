"""A server that waits for its partition says so to whoever looks after it."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request

from console.local.etcd_process import free_ports
from control_plane.supervision import Supervisor
from data_sharing.wiring.partition import told_as_waiting


def supervisor() -> Supervisor:
    return Supervisor(clock=time.monotonic, jitter=lambda: 0.5, on_end=lambda: None)


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


async def test_who_waits_is_alive_and_not_ready() -> None:
    (port,) = free_ports(1)
    listen = f"127.0.0.1:{port}"
    async with told_as_waiting(listen, supervisor()):
        assert (await asyncio.to_thread(asked, port, "/healthz"))[0] == 200
        assert (await asyncio.to_thread(asked, port, "/readyz"))[0] == 503
        status, page = await asyncio.to_thread(asked, port, "/metrics")
        assert status == 200
        assert "homeport_partition_standby 1.0" in page
    async with told_as_waiting(listen, supervisor()):  # the port is free again
        pass


async def test_a_port_that_is_the_servers_who_serves_ends_nobody() -> None:
    (port,) = free_ports(1)
    listen = f"127.0.0.1:{port}"
    async with told_as_waiting(listen, supervisor()), told_as_waiting(listen, supervisor()):
        assert (await asyncio.to_thread(asked, port, "/healthz"))[0] == 200
    async with told_as_waiting("", supervisor()):
        pass
