"""Calls about the telephone numbers of a tenant, as an operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from console.cli.calls.channel import Calls
from console.cli.profile import Target
from homeport.api.directory.v1 import number_pb2 as pb
from homeport.api.directory.v1 import number_pb2_grpc

AT_ONCE = 40  # numbers in one request


class NumberCalls(Calls):
    """For the target's tenant. A context manager, like all of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tenant = target.tenant

    def add(self, pool: str, kind: pb.NumberKind.ValueType, numbers: Sequence[str]) -> int:
        """How many are new; as many requests as they need."""
        added = 0
        for start in range(0, len(numbers), AT_ONCE):
            request = pb.AddNumbersRequest(
                tenant=self._tenant, pool=pool, kind=kind, numbers=numbers[start : start + AT_ONCE]
            )
            added += self._ask("AddNumbers", request).added
        return added

    def assign(self, account: str, pool: str, number: str) -> pb.Number:
        request = pb.AssignNumberRequest(
            tenant=self._tenant, account=account, pool=pool, number=number
        )
        found: pb.Number = self._ask("AssignNumber", request)
        return found

    def release(self, number: str, *, remove: bool) -> bool:
        """Whether anything was done."""
        request = pb.ReleaseNumberRequest(tenant=self._tenant, number=number, remove=remove)
        released: bool = self._ask("ReleaseNumber", request).released
        return released

    def all(self) -> Iterator[pb.Number]:
        """The tenant's, page after page."""
        token = ""
        while True:
            request = pb.ListNumbersRequest(tenant=self._tenant, page_token=token)
            page: pb.ListNumbersResponse = self._ask("ListNumbers", request)
            yield from page.numbers
            token = page.next_page_token
            if not token:
                return

    def _ask(self, method: str, request: object) -> Any:
        return self._call(number_pb2_grpc.NumberServiceStub, method, request, None)
