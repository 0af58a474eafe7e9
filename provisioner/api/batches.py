"""BatchRun: one ProvisionManyRequest under way, answered when its last client is.

What a thousand clients have in common is done once for all of them: the clock is read once,
addresses are located together (geo/batch_lookup.py), answers written around what repeats. From
there each client goes its own way through the use case like a single call. They begin in parts,
for which tenants take turns, so that others are answered in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from control_plane import keys
from control_plane.errors import InvalidInput, ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from control_plane.pacing import CoroutinePacer
from control_plane.printable import quoted
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from provisioner.api.requests import Batch, text, told_attributes, unsaid, utf8
from provisioner.api.waiting_clients import waits_since_ms
from provisioner.geo.location import Location
from provisioner.placement.attributes import NO_ATTRIBUTES
from provisioner.policy.told_attributes import check_told
from provisioner.provisioning import answers, response_encoding
from provisioner.provisioning.client_proof import GATEWAYS
from provisioner.provisioning.pending import PendingProvision
from provisioner.provisioning.provisioner import DEFAULT_TIMEOUT_S, Provisioner

BEGUN_AT_ONCE = 64  # clients, in about a millisecond


class BatchRun:
    """Holds the results in the order of the request, whatever order they come in."""

    def __init__(self, provisioner: Provisioner, tenant: TenantSpec, batch: Batch) -> None:
        """Nothing has begun yet; `begin` does."""
        self.provisioner = provisioner
        self._tenant = tenant
        self._batch = batch
        self._at_ms = provisioner.wall_ms()
        self._expires_at = provisioner.now() + DEFAULT_TIMEOUT_S
        self.new_results = response_encoding.NewResults(tenant.id, self._at_ms)
        self._results: list[bytes] = [b""] * len(batch.clients)
        self._positions: dict[str, int] = {}
        self._left = len(batch.clients)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self, pacer: CoroutinePacer) -> None:
        """Puts every client on its way, as many at once as the event loop can spare."""
        given = [client.address for client in self._batch.clients]
        locations = self.provisioner.locator.locate_plain(
            [address if isinstance(address, str) else "" for address in given]
        )
        for start in range(0, len(given), BEGUN_AT_ONCE):
            await pacer.turn(self._tenant.id)
            self._begin_some(start, start + BEGUN_AT_ONCE, locations)

    def _begin_some(self, start: int, end: int, locations: Sequence[Location | None]) -> None:
        provisioner, tenant = self.provisioner, self._tenant
        locator, begin = provisioner.locator, provisioner.begin
        at_ms, expires_at, with_tickets = self._at_ms, self._expires_at, self._batch.with_tickets
        default = tenant.default_position
        prefix = keys.assignment(tenant.id, "")
        clients = self._batch.clients[start:end]
        positions = self._positions
        for position, client in enumerate(clients, start):
            client_id = client.client_id
            try:
                if not isinstance(client_id, str):
                    client_id = utf8(client_id, "client_id")
                check_client_id(client_id)
                if client_id in positions:
                    raise InvalidInput(
                        "client_id",
                        f"client {quoted(client_id)} is in this batch already; send each "
                        "client once",
                    )
                positions[client_id] = position
                told = NO_ATTRIBUTES
                if client.attributes:
                    told = check_told(told_attributes(client))
                location = locations[position]
                if location is None:
                    location = locator.locate(*_origin(client), default)
                pending = BatchProvision(
                    provisioner, prefix + client_id.encode(), tenant, client_id, location, at_ms,
                    expires_at, with_tickets, self, GATEWAYS, told,
                )  # fmt: skip
                if client.waiting_token:
                    pending.waits_since_ms = waits_since_ms(
                        provisioner, tenant.id, client_id, text(client.waiting_token)
                    )
                begin(pending)
            except ServiceError as error:
                self._put_at(position, answers.failed_result(text(client.client_id), error))

    async def response(self) -> bytes:
        """The ProvisionManyResponse, when everybody has an answer. Each client's wait is
        bounded by its deadline in the use case, and so is this."""
        await self._done
        return b"".join(self._results)

    def put(self, client_id: str, result: bytes) -> None:
        """A client's result has come, as an entry of the response."""
        self._put_at(self._positions[client_id], result)

    def _put_at(self, position: int, result: bytes) -> None:
        self._results[position] = result
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)


class BatchProvision(PendingProvision[BatchRun]):
    """A client of a batch. Where it is new and wants no ticket, its entry is written around
    what the batch has in common."""

    __slots__ = ()

    def reply(self, response: bytes) -> None:
        entry = response_encoding.result_bytes(self.client_id.encode(), response)
        self.receiver.put(self.client_id, entry)

    def fail(self, error: ServiceError) -> None:
        told = self.told(error)
        self.receiver.put(self.client_id, answers.failed_result(self.client_id, told))

    def assigned(self, revision: int) -> None:
        if self.with_ticket or self.joined is not None:
            self.flow.assigned(self)
            return
        run = self.receiver
        run.provisioner.count_new(self)
        entry = run.provisioner.answers.new_result(run.new_results, self)
        run.put(self.client_id, entry)


def add_to_server(servicer: Any, server: Any) -> None:
    """Like the generated function, with ProvisionMany on bytes: batches are read and written
    by requests.read_batch and encoding."""
    add: Any = pb_grpc.add_ProvisioningServiceServicer_to_server
    add(servicer, server)
    many: Any = grpc.stream_stream_rpc_method_handler(servicer.ProvisionMany)
    service = pb.DESCRIPTOR.services_by_name["ProvisioningService"].full_name
    server.add_registered_method_handlers(service, {"ProvisionMany": many})


def _origin(client: pb.ClientOrigin) -> tuple[str | None, tuple[float, float] | None]:
    """(address, position) as a client of a batch gave them. Raises InvalidInput."""
    address = client.address
    if not address:
        # Nothing said, a position, or an address that is empty.
        return unsaid(client)
    return (address if isinstance(address, str) else utf8(address, "address")), None
