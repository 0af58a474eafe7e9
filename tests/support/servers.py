"""Real provisioning servers for end-to-end tests: processes over one store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import grpc

from control_plane.fleet.unit import Position, UnitId, UnitSpec
from control_plane.fleet_messages import spec_to_proto
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc

START_WITHIN_S = 60.0
PLACES = {
    "dublin": (53.3, -6.3, "IE"),
    "virginia": (38.9, -77.4, "US"),
    "singapore": (1.3, 103.8, "SG"),
    "mumbai": (19.0, 72.8, "IN"),
    "sao-paulo": (-23.5, -46.6, "BR"),
}


def units(**capacities: int) -> list[UnitSpec]:
    """Units by name (underscores for dashes), each with its capacity."""
    found = []
    for name, capacity in capacities.items():
        unit_id = name.replace("_", "-")
        latitude, longitude, country = PLACES[unit_id]
        found.append(
            UnitSpec(
                id=UnitId(unit_id),
                endpoint=f"{unit_id}.example.net:443",
                position=Position(latitude=latitude, longitude=longitude),
                country=country,
                capacity=capacity,
            )
        )
    return found


class Server:
    """One `python -m provisioner`. A context manager; `kill` is SIGKILL."""

    def __init__(self, folder: Path, name: str, store: str, *arguments: str) -> None:
        self._ready_file = folder / f"{name}.json"
        self._ready_file.unlink(missing_ok=True)
        self._log = folder / f"{name}.log"
        with self._log.open("w") as sink:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "provisioner", f"--store={store}",
                    "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                    f"--ready-file={self._ready_file}", *arguments,
                ],
                stdout=sink,
                stderr=sink,
            )  # fmt: skip

    def __enter__(self) -> Server:
        end = time.monotonic() + START_WITHIN_S
        while not self._ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"a server did not start:\n{self.log()}")
            time.sleep(0.02)
        ready = json.loads(self._ready_file.read_text())
        self.address: str = ready["grpc"]
        self.metrics: str = ready["metrics"]
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()[-4000:]


def start(stack: ExitStack, folder: Path, store: str, count: int, *arguments: str) -> list[Server]:
    """`count` servers over one store, all serving."""
    made = [Server(folder, f"server-{n}", store, *arguments) for n in range(count)]
    return [stack.enter_context(server) for server in made]


async def apply(address: str, specs: list[UnitSpec]) -> None:
    """Applies units and waits until every one can be seen by placement."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)
        for spec in specs:
            await stub.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(spec)), timeout=10)
