"""Real provisioning servers for end-to-end tests: processes over one store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc

from control_plane.fleet.unit import Position, UnitId, UnitSpec
from control_plane.fleet_messages import spec_to_proto
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from tests.support.server_process import ServerProcess

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


class Server(ServerProcess):
    """One `python -m provisioner`. program: what Python runs in its place; environment: beside
    ours."""

    def __init__(
        self,
        folder: Path,
        name: str,
        store: str,
        *arguments: str,
        program: Sequence[str] = ("-m", "provisioner"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.program = program
        command = (
            *program, f"--store={store}", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
            *arguments,
        )  # fmt: skip
        super().__init__(folder, name, command, environment=environment)


def start(stack: ExitStack, folder: Path, store: str, count: int, *arguments: str) -> list[Server]:
    """`count` servers over one store, all serving."""
    made: list[Server] = []
    with ExitStack() as begun:  # ends them all where one does not come to serve
        for number in range(count):
            made.append(Server(folder, f"server-{number}", store, *arguments))
            begun.push(made[-1])
        for server in made:
            server.__enter__()
        stack.push(begun.pop_all())
    return made


async def apply(
    address: str, specs: list[UnitSpec], *, metadata: Sequence[tuple[str, str]] = ()
) -> None:
    """Applies units and waits until every one can be seen by placement."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)
        for spec in specs:
            await stub.ApplyUnit(
                fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(spec)), timeout=10, metadata=metadata
            )
