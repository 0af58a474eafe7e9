"""Agents as processes of their own, and the fleet service they talk to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from control_plane import faultpoints
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.support.fakes.fleet_service import FakeFleet
from tests.support.servers import PLACES

WAIT_S = 30.0
READY_S = 150.0


def fake_fleet() -> FakeFleet:
    return FakeFleet(
        TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
    )


async def start_agent(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployment_units.agent", *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended_agent(agent: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Exit code and what it said."""
    async with asyncio.timeout(WAIT_S):
        _, said = await agent.communicate()
    return agent.returncode, said.decode()


def content(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


async def ready_endpoints(path: Path, agent: asyncio.subprocess.Process) -> dict[str, str]:
    """Where each unit answers, as the ready file says, once another process has made it."""
    async with asyncio.timeout(WAIT_S):
        while (document := content(path)) is None:
            assert agent.returncode is None, await ended_agent(agent)
            await asyncio.sleep(0.02)
    units: dict[str, str] = document["units"]
    return units


@asynccontextmanager
async def unit_agent(
    folder: Path,
    *servers: str,
    unit: str = "dublin",
    capacity: int = 1_000,
    arguments: Sequence[str] = (),
    killed: bool = False,
    fault_point: str = "",
    killed_within_s: float = WAIT_S,
) -> AsyncIterator[str]:
    """The agent of one of the units that `servers` knows; where it answers.
    It is told to end when the block does; `killed`: by SIGKILL, as a machine that is lost.
    fault_point: label:n, where it kills itself; the block ends after that, within so many seconds.
    The address is empty where it did so before it was ready."""
    latitude, longitude, country = PLACES[unit]
    file, ready = folder / f"{unit}.yaml", folder / f"{unit}.json"
    ready.unlink(missing_ok=True)
    file.write_text(
        f"units:\n  - {{id: {unit}, endpoint: '{unit}.example.net:443', "
        f"position: {{latitude: {latitude}, longitude: {longitude}}}, country: {country}, "
        f"capacity: {capacity}}}\n"
    )
    with (folder / f"{unit}.log").open("a") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deployment_units.agent", f"--units={file}",
            f"--server={','.join(servers)}", f"--ready-file={ready}", "--ttl-s=3", *arguments,
            env={**os.environ, faultpoints.VARIABLE: fault_point},
            stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        async with asyncio.timeout(READY_S):
            while not ready.exists() and process.returncode is None:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
        assert ready.exists() or fault_point, f"the agent of {unit} ended at once"
        yield json.loads(ready.read_text())["units"][unit] if ready.exists() else ""
    finally:
        if fault_point:
            try:
                async with asyncio.timeout(killed_within_s):
                    assert await process.wait() == -signal.SIGKILL
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        else:
            process.kill() if killed else process.terminate()
            await process.wait()


async def ticket_at(server: str, client: str, unit: str) -> str:
    """The ticket of a client that is at home there; empty: it is elsewhere."""
    async with grpc.aio.insecure_channel(server) as channel:
        home = await provisioning_pb2_grpc.ProvisioningServiceStub(channel).Provision(
            provisioning_pb2.ProvisionRequest(client_id=client), timeout=WAIT_S
        )
    return home.ticket if home.assignment.unit_id == unit else ""


async def somebody_at(server: str, unit: str) -> tuple[str, str]:
    """A client at home there, and its ticket."""
    async with asyncio.timeout(WAIT_S):
        for number in range(10_000):
            if ticket := await ticket_at(server, f"client-{number}", unit):
                return f"client-{number}", ticket
            await asyncio.sleep(0.01)
    raise AssertionError(f"nobody is at home in {unit}")
