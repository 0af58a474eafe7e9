"""BatchRun: one ProvisionManyRequest under way, answered when its last client is.

What a thousand clients have in common is done once for all of them: the clock is read once,
addresses are located together (geo/many.py), and answers are written around what repeats.
From there each client goes its own way through the desk like a single call.
"""

from __future__ import annotations

import asyncio

from control_plane import keys
from control_plane.errors import InvalidInput, ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from control_plane.serving.status import code_of, duration
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.requests import Batch, text, unsaid, utf8
from provisioner.provisioning import response_encoding
from provisioner.provisioning.pending import PendingProvision
from provisioner.provisioning.provisioner import PATIENCE_S, Provisioner


class BatchRun:
    """Holds the results in the order of the request, whatever order they come in."""

    def __init__(self, provisioner: Provisioner, tenant: TenantSpec, batch: Batch) -> None:
        """Nothing has begun yet; `begin` does."""
        self._provisioner = provisioner
        self._tenant = tenant
        self._batch = batch
        self._results: list[bytes] = [b""] * len(batch.clients)
        self._left = len(batch.clients)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_ms = provisioner.wall_ms()
        self._at_ms, self._expires_at = at_ms, provisioner.now() + PATIENCE_S
        self.new = response_encoding.NewResults(tenant.id, at_ms)

    def begin(self) -> None:
        """Puts every client on its way."""
        provisioner, tenant, batch = self._provisioner, self._tenant, self._batch
        begin, with_tickets, default = (
            provisioner.begin,
            batch.with_tickets,
            tenant.default_position,
        )
        prefix = keys.assignment(tenant.id, "")
        at_ms, expires_at = self._at_ms, self._expires_at
        addresses = [
            one if isinstance(one, str) else "" for one in [c.address for c in batch.clients]
        ]
        locations = provisioner.locator.locate_plain(addresses)
        seen: set[str] = set()
        for position, client in enumerate(batch.clients):
            client_id = client.client_id
            try:
                if not isinstance(client_id, str):
                    client_id = utf8(client_id, "client_id")
                check_client_id(client_id)
                if client_id in seen:
                    raise InvalidInput(
                        "client_id",
                        f"client {client_id!r} is in this batch already; send each client once",
                    )
                seen.add(client_id)
                location = locations[position]
                if location is None:
                    location = provisioner.locator.locate(*_origin(client), default)
                claim = BatchProvision(
                    provisioner,
                    prefix + client_id.encode(),
                    tenant,
                    client_id,
                    location,
                    at_ms,
                    expires_at,
                    with_tickets,
                    self,  # type: ignore[arg-type]  # see BatchProvision
                )
                claim.position = position
                begin(claim)
            except ServiceError as error:
                self.fail(position, text(client.client_id), error)

    async def response(self) -> bytes:
        """The ProvisionManyResponse, when everybody has an answer. Each client's wait is
        bounded by the desk's patience, and so is this."""
        await self._done
        return b"".join(self._results)

    def put(self, position: int, result: bytes) -> None:
        """The result at one position has come, as an entry of the response."""
        self._results[position] = result
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def fail(self, position: int, client_id: str, error: ServiceError) -> None:
        """The client at one position goes without."""
        result = pb.ProvisionResult(client_id=client_id)
        result.error.code = code_of(error).name
        result.error.message = error.message
        if isinstance(error, InvalidInput):
            result.error.field = error.field
        if error.retry_after_s is not None:
            result.error.retry_after.CopyFrom(duration(error.retry_after_s))
        self.put(position, pb.ProvisionManyResponse(results=[result]).SerializeToString())


class BatchProvision(PendingProvision):
    """A client of a batch. It has no sink of its own: its answer goes to its place in the
    run, which is kept where the sink would be."""

    __slots__ = ("position",)

    position: int
    sink: BatchRun  # type: ignore[assignment]

    def reply(self, response: bytes) -> None:
        entry = response_encoding.result_bytes(self.client_id.encode(), response)
        self.sink.put(self.position, entry)

    def fail(self, error: ServiceError) -> None:
        self.sink.fail(self.position, self.client_id, error)

    def assigned(self, revision: int) -> None:
        provisioner = self.provisioner
        unit = provisioner.unit_bytes.get(self.account.unit)
        if self.with_ticket or self.also is not None or unit is None:
            provisioner.answer_new(self)
            return
        run, decision = self.sink, provisioner.placed(self)
        run.put(self.position, run.new.entry(self.client_id.encode(), unit, decision))


def _origin(client: pb.ClientOrigin) -> tuple[str | None, tuple[float, float] | None]:
    """(address, position) as a client of a batch gave them. Raises InvalidInput."""
    address = client.address
    if not address:
        # Nothing said, a position, or an address that is empty.
        return unsaid(client)
    return (address if isinstance(address, str) else utf8(address, "address")), None
