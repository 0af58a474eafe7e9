"""Liveness: keeps a unit's status in the store under a lease while its agent sends heartbeats.

`attach` when an agent's stream begins, `heartbeat` for each message, `leave` when it says
goodbye. A stream that breaks leaves the lease to run out, which gives the agent that time
to come back, here or on another server. Of two runs of an agent the later one wins.
"""

from __future__ import annotations

from control_plane import keys
from control_plane.errors import Conflict, NotFound
from control_plane.fleet.records import decode_status, encode_agent, encode_status
from control_plane.fleet.unit import AgentRecord, UnitStatus
from control_plane.fleet.unit_view import was_removed
from control_plane.store.port import Get, LeaseLost, Operation, Put, Store, Txn, unchanged

ATTEMPTS = 5
LOAD_STEP = 0.01  # a smaller change of load is not worth a write


class Liveness:
    """One agent's hold on one unit."""

    def __init__(self, store: Store, unit_id: str, ttl_s: int) -> None:
        self._store = store
        self._unit_id = unit_id
        self._ttl_s = ttl_s
        self._lease = 0
        self._revision = 0
        self._written: UnitStatus | None = None

    async def attach(self, status: UnitStatus) -> None:
        """Takes the unit's live record over. Raises NotFound; Conflict when a later run of
        the agent holds it."""
        name = self._unit_id
        live, agent, unit = keys.live(name), keys.agent(name), keys.unit(name)
        lease = await self._store.lease_grant(self._ttl_s)
        for _ in range(ATTEMPTS):
            read = await self._store.commit(
                Txn(then=[Get(unit), Get(live), Get(keys.removed(name))])
            )
            if not read.results[0] and read.results[2]:
                raise NotFound(was_removed(name, read.results[2][0]))
            if not read.results[0]:
                raise NotFound(f"there is no unit {name}; apply it first")
            revision = 0
            if read.results[1]:
                held = decode_status(read.results[1][0])
                revision = read.results[1][0].mod_revision
                if held.incarnation > status.incarnation:
                    raise Conflict(f"a later run of unit {self._unit_id}'s agent is live")
            result = await self._store.commit(
                Txn(
                    compares=[
                        unchanged(unit, read.results[0][0].mod_revision),
                        unchanged(live, revision),
                    ],
                    then=[
                        Put(live, encode_status(status), lease),
                        Put(agent, encode_agent(_agent_of(status))),
                    ],
                )
            )
            if result.succeeded:
                self._lease, self._revision, self._written = lease, result.revision, status
                if read.results[1] and read.results[1][0].lease != lease:
                    # The run that had it finds its lease gone at its next heartbeat.
                    await self._store.lease_revoke(read.results[1][0].lease)
                return
        raise Conflict(f"unit {self._unit_id} keeps changing; try again")

    async def heartbeat(self, status: UnitStatus) -> None:
        """Renews the lease; writes the status where it differs. Raises Conflict when the
        record is not ours any more."""
        try:
            await self._store.lease_keep_alive(self._lease)
        except LeaseLost:
            await self.attach(status)
            return
        written = self._written
        if (
            written is not None
            and written.health == status.health
            and written.version == status.version
            and written.endpoint == status.endpoint
            and written.refused_full == status.refused_full
            and abs(written.load - status.load) < LOAD_STEP
        ):
            return
        key = keys.live(self._unit_id)
        writes: list[Operation] = [Put(key, encode_status(status), self._lease)]
        if written is None or written.endpoint != status.endpoint:
            writes.append(Put(keys.agent(self._unit_id), encode_agent(_agent_of(status))))
        result = await self._store.commit(
            Txn(compares=[unchanged(key, self._revision)], then=writes)
        )
        if not result.succeeded:
            # Another run has it, or the lease ran out just now and took the record along.
            await self.attach(status)
            return
        self._revision, self._written = result.revision, status

    async def leave(self) -> None:
        """The agent ended its stream: the unit is without an agent at once."""
        await self._store.lease_revoke(self._lease)


def _agent_of(status: UnitStatus) -> AgentRecord:
    return AgentRecord(incarnation=status.incarnation, endpoint=status.endpoint)
