"""FleetReader: the fleet as FleetWatches reads and compares it."""

from __future__ import annotations

from control_plane import keys
from control_plane.fleet.move_job import JobKind
from control_plane.fleet.records import decode_job, readable
from control_plane.fleet.registry import UnitRegistry
from control_plane.store.port import Store, range_all
from homeport.api.fleet.v1 import fleet_pb2 as pb
from provisioner.api import mapping


class FleetReader:
    """Over one store; units and the jobs that move clients off them, of one revision."""

    def __init__(self, store: Store, registry: UnitRegistry) -> None:
        self._store = store
        self._registry = registry

    async def read(self, revision: int) -> tuple[dict[str, pb.Unit], int]:
        """All units by id, and the revision they were read at; 0: now. Raises Compacted,
        Unavailable."""
        views, at = await self._registry.list(at_revision=revision)
        jobs = {}
        pairs = (await range_all(self._store, keys.JOBS, at_revision=at)).items
        for job in readable(pairs, decode_job):
            if job.is_open and job.kind in (JobKind.DRAIN, JobKind.FAILOVER):
                jobs[job.unit] = job
        units = (mapping.unit_to_proto(view, jobs.get(view.spec.id)) for view in views)
        return {unit.spec.unit_id: unit for unit in units}, at

    @staticmethod
    def fingerprint(unit: pb.Unit) -> bytes:
        """A unit without what changes with every heartbeat."""
        plain = pb.Unit()
        plain.CopyFrom(unit)
        if plain.HasField("status"):
            plain.status.ClearField("report_time")
        return plain.SerializeToString(deterministic=True)
