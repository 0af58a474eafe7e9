"""Calls for what became of an account's messages, at the unit where it is at home."""

from __future__ import annotations

from typing import Any

from console.cli.calls.accounts import AccountCalls
from homeport.api.communication.v1 import delivery_pb2 as pb
from homeport.api.communication.v1 import delivery_pb2_grpc


class DeliveryCalls(AccountCalls):
    """See the module."""

    def deliveries(self, message: bytes, *, only_open: bool) -> list[pb.Delivery]:
        """Of one message, or of all, the newest first."""
        found: list[pb.Delivery] = []
        while True:
            before = found[-1].position if found else 0
            request = pb.ListDeliveriesRequest(
                message=message, open=only_open, page_size=1_000, before=before
            )
            page: pb.ListDeliveriesResponse = self._talk("ListDeliveries", request)
            found += page.deliveries
            if not page.more:
                return found

    def redrive(self, message: bytes, recipient: str) -> bool:
        """Whether it is tried again."""
        request = pb.RedriveRequest(message=message, recipient=recipient)
        redriven: bool = self._talk("Redrive", request).redriven
        return redriven

    def explain(self, sender: str) -> pb.ExplainRouteResponse:
        explained: pb.ExplainRouteResponse = self._talk(
            "ExplainRoute", pb.ExplainRouteRequest(sender=sender)
        )
        return explained

    def rules(self) -> pb.GetRulesResponse:
        found: pb.GetRulesResponse = self._talk("GetRules", pb.GetRulesRequest())
        return found

    def apply_rules(self, document: str, revision: int) -> int:
        """Their revision now."""
        request = pb.ApplyRulesRequest(document=document, revision=revision)
        applied: int = self._talk("ApplyRules", request).revision
        return applied

    def _talk(self, method: str, request: Any) -> Any:
        return self._call(delivery_pb2_grpc.DeliveryServiceStub, method, request)
