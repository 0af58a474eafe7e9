"""Fakes on a wire: a unit that knows the fake service's tickets, and a server for both."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.fakes.provisioning_service import LIMIT_S, FakeProvisioning


class FakeUnit(unit_pb2_grpc.UnitServiceServicer):
    """A unit that knows FakeProvisioning's tickets; `unit_id` is its name."""

    def __init__(self, unit_id: str = "unit-0") -> None:
        self.unit_id = unit_id

    def Admit(
        self, request: unit_pb2.AdmitRequest, context: grpc.ServicerContext
    ) -> unit_pb2.AdmitResponse:
        parts = request.ticket.split(":")
        if len(parts) != 5 or parts[0] != "ticket":
            return unit_pb2.AdmitResponse(
                reason=unit_pb2.ADMIT_REASON_MALFORMED, message="that is no ticket; provision"
            )
        _, tenant, client_id, unit_id, epoch = parts
        if unit_id != self.unit_id:
            return unit_pb2.AdmitResponse(
                reason=unit_pb2.ADMIT_REASON_WRONG_UNIT, message=f"go to {unit_id}"
            )
        response = unit_pb2.AdmitResponse(
            admitted=True,
            reason=unit_pb2.ADMIT_REASON_ADMITTED,
            tenant=tenant,
            client_id=client_id,
            epoch=int(epoch),
        )
        response.expire_time.FromSeconds(2_000_000_000)
        return response


class Served:
    """A server that listens on loopback. `address` stays when it is stopped and started."""

    def __init__(
        self,
        provisioning: FakeProvisioning | None = None,
        unit: FakeUnit | None = None,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.provisioning = provisioning
        self._unit = unit
        self._credentials = credentials
        self._server: grpc.Server | None = None
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        server = grpc.server(
            ThreadPoolExecutor(16, "fake server"), options=[("grpc.so_reuseport", 0)]
        )
        if self.provisioning is not None:
            pb_grpc.add_ProvisioningServiceServicer_to_server(self.provisioning, server)
        if self._unit is not None:
            unit_pb2_grpc.add_UnitServiceServicer_to_server(self._unit, server)
        if self._credentials is None:
            port = server.add_insecure_port(self.address)
        else:
            port = server.add_secure_port(self.address, self._credentials)
        self.address = f"127.0.0.1:{port}"
        server.start()
        self._server = server

    def stop(self) -> None:
        """At once: calls under way are cut off. Idempotent."""
        if self._server is not None:
            self._server.stop(None).wait(LIMIT_S)
            self._server = None


@contextmanager
def serving(
    provisioning: FakeProvisioning | None = None,
    unit: FakeUnit | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[Served]:
    """A server for the length of a block."""
    served = Served(provisioning, unit, credentials)
    served.start()
    try:
        yield served
    finally:
        served.stop()
