"""Calls about latencies that clients reported, as an operator."""

from __future__ import annotations

from console.cli.calls.channel import Calls
from homeport.api.policy.v1 import latency_pb2 as pb
from homeport.api.policy.v1 import latency_pb2_grpc


class LatencyCalls(Calls):
    """A context manager, like all of them."""

    def known(self, *, unit: str, cell: str, limit: int) -> pb.ListLatenciesResponse:
        """What the server knows; cell: with what names of cells begin."""
        request = pb.ListLatenciesRequest(unit_id=unit, cell_prefix=cell, limit=limit)
        stub = latency_pb2_grpc.LatencyServiceStub
        found: pb.ListLatenciesResponse = self._call(stub, "ListLatencies", request, None)
        return found
