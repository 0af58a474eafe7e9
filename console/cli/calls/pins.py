"""Calls about the pins of a tenant's clients, as an operator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from console.cli.calls.channel import Calls
from console.cli.profile import Target
from homeport.api.policy.v1 import pin_pb2 as pb
from homeport.api.policy.v1 import pin_pb2_grpc

PAGE = 1_000


class PinCalls(Calls):
    """For the target's tenant. A context manager, like all of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tenant = target.tenant

    def pin(
        self, client_id: str, unit: str, *, reason: str, until: datetime | None
    ) -> pb.PinClientResponse:
        request = pb.PinClientRequest(
            tenant=self._tenant, client_id=client_id, unit_id=unit, reason=reason
        )
        if until is not None:
            request.until_time.FromDatetime(until)
        answer: pb.PinClientResponse = self._ask("PinClient", request)
        return answer

    def unpin(self, client_id: str) -> bool:
        """Whether it was pinned."""
        request = pb.UnpinClientRequest(tenant=self._tenant, client_id=client_id)
        unpinned: bool = self._ask("UnpinClient", request).unpinned
        return unpinned

    def all(self) -> Iterator[pb.Pin]:
        """The tenant's, page after page."""
        token = ""
        while True:
            request = pb.ListPinsRequest(tenant=self._tenant, page_size=PAGE, page_token=token)
            page: pb.ListPinsResponse = self._ask("ListPins", request)
            yield from page.pins
            token = page.next_page_token
            if not token:
                return

    def _ask(self, method: str, request: object) -> Any:
        return self._call(pin_pb2_grpc.PinServiceStub, method, request, None)
