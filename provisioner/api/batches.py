"""BatchRun: one ProvisionManyRequest under way, answered when its last client is."""

from __future__ import annotations

import asyncio

from control_plane.errors import HomeportError, InvalidInput
from control_plane.serving.status import code_of, duration
from deployment_units.fleet.unit import TenantSpec
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api import encoding
from provisioner.api.desk import Desk
from provisioner.api.requests import Batch, text, unsaid, utf8


class BatchRun:
    """Holds the results in the order of the request, whatever order they come in."""

    def __init__(self, size: int) -> None:
        self._results: list[bytes] = [b""] * size
        self._left = size
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, desk: Desk, tenant: TenantSpec, batch: Batch) -> None:
        """Puts every client on its way."""
        with_tickets, provision = batch.with_tickets, desk.provision
        seen: set[str] = set()
        for position, client in enumerate(batch.clients):
            raw = client.client_id
            place = _Place(self, position, raw if isinstance(raw, str) else text(raw))
            try:
                client_id = raw if isinstance(raw, str) else utf8(raw, "client_id")
                if client_id in seen:
                    raise InvalidInput(
                        "client_id",
                        f"client {client_id!r} is in this batch already; send each client once",
                    )
                seen.add(client_id)
                address = client.address
                declared = None
                if address:
                    if not isinstance(address, str):
                        address = utf8(address, "address")
                else:
                    # Nothing said, a position, or an address that is empty.
                    address, declared = unsaid(client)
                provision(tenant, client_id, address, declared, place, with_ticket=with_tickets)
            except HomeportError as error:
                place.fail(error)

    async def response(self) -> bytes:
        """The ProvisionManyResponse, when everybody has an answer. Each client's wait is
        bounded by the desk's patience, and so is this."""
        await self._done
        return b"".join(self._results)

    def put(self, position: int, result: bytes) -> None:
        """The result at one position has come."""
        self._results[position] = result
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)


class _Place:
    """The sink of one client of a batch."""

    __slots__ = ("_client_id", "_position", "_run")

    def __init__(self, run: BatchRun, position: int, client_id: str) -> None:
        self._run = run
        self._position = position
        self._client_id = client_id

    def reply(self, response: bytes) -> None:
        self._run.put(self._position, encoding.result_bytes(self._client_id.encode(), response))

    def fail(self, error: HomeportError) -> None:
        result = pb.ProvisionResult(client_id=self._client_id)
        result.error.code = code_of(error).name
        result.error.message = error.message
        if isinstance(error, InvalidInput):
            result.error.field = error.field
        if error.retry_after_s is not None:
            result.error.retry_after.CopyFrom(duration(error.retry_after_s))
        self._run.put(
            self._position,
            pb.ProvisionManyResponse(results=[result]).SerializeToString(),
        )
