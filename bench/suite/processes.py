"""Servers under measurement: each a process of its own, started fresh, ended by its id."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import grpc

from console.local.etcd_process import EtcdCluster
from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet_messages import spec_to_proto
from control_plane.serving.dialing import dialer
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc

START_WITHIN_S = 120.0
STOP_WITHIN_S = 20.0
POLL_S = 0.02
CAPACITY = 50_000_000  # clients a unit: no bench run fills one
# What a server answers that has not seen the fleet yet.
NOT_YET = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk the bench runs from, not in memory: syncs must be real."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        yield Path(folder)


def import_paths(root: Path) -> str:
    """For PYTHONPATH: where the packages of a working copy are, before those that are installed."""
    return os.pathsep.join(str(root / one) for one in ("sdk", "data-sharing", ""))


@contextmanager
def process(
    module: str, arguments: Sequence[str], folder: Path, *, root: Path | None = None
) -> Iterator[dict[str, str]]:
    """`python -m module`, until the block ends; gives what it wrote to its ready file, with
    its process id as "pid". root: of the code that runs; None: this one's."""
    ready_file = folder / f"ready-{time.monotonic_ns()}.json"
    log = folder / f"log-{time.monotonic_ns()}.txt"
    with log.open("w") as sink:
        running = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--ready-file", str(ready_file)],
            stdout=sink,
            stderr=sink,
            cwd=root,
            env=None if root is None else {**os.environ, "PYTHONPATH": import_paths(root)},
        )
    try:
        end = time.monotonic() + START_WITHIN_S
        while not ready_file.exists():
            if running.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{module} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(POLL_S)
        yield {**json.loads(ready_file.read_text()), "pid": str(running.pid)}
    finally:
        running.terminate()
        try:
            running.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@cache
def roomy_fleet() -> tuple[UnitSpec, ...]:
    """The sample fleet with capacity to spare."""
    return tuple(replace(unit, capacity=CAPACITY) for unit in read_fleet(SAMPLE))


async def apply_fleet(address: str, units: Sequence[UnitSpec], ca: bytes | None = None) -> None:
    """Applies units through the API and waits until a first client was placed, and with it the
    server knows them. ca: PEM, of a server that speaks TLS. Raises TimeoutError when that takes
    too long."""
    probe = provisioning_pb2.ProvisionRequest(client_id="probe", address="81.2.69.142")
    async with dialer(ca)(address) as channel, asyncio.timeout(START_WITHIN_S):
        fleet = fleet_pb2_grpc.FleetServiceStub(channel)
        for unit in units:
            await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(unit)), timeout=10)
        clients = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
        while True:
            try:
                await clients.Provision(probe, timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() not in NOT_YET:
                    raise
                await asyncio.sleep(POLL_S)
            else:
                return


@contextmanager
def provisioner(
    store: str,
    transport: str,
    folder: Path,
    *more: str,
    ca: bytes | None = None,
    fleet_applied: bool = False,
    root: Path | None = None,
) -> Iterator[dict[str, str]]:
    """A provisioning server over a store, with the roomy fleet applied, unless it is already. ca:
    PEM, where `more` of its arguments make it speak TLS. root: as for `process`."""
    arguments = [
        f"--store={store}", f"--transport={transport}", "--listen=127.0.0.1:0",
        "--max-connections-per-address=0",  # all load comes from here
        "--metrics-listen=", "--log-level=error", *more,
    ]  # fmt: skip
    with process("provisioner", arguments, folder, root=root) as ready:
        if not fleet_applied:
            asyncio.run(apply_fleet(ready["grpc"], roomy_fleet(), ca))
        yield ready


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """A fresh etcd's store URL."""
    with EtcdCluster(folder / f"etcd-{time.monotonic_ns()}") as cluster:
        yield cluster.url


@contextmanager
def echo(transport: str, folder: Path) -> Iterator[str]:
    """A bare echo server's address."""
    with process("bench.ceilings.echo", ["--transport", transport], folder) as ready:
        yield ready["grpc"]
