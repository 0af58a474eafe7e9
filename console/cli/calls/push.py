"""Calls to PushService of the unit where a client is at home, with its ticket for there."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from console.cli.calls.accounts import AccountCalls
from homeport.api.communication.v1 import push_pb2 as pb
from homeport.api.communication.v1 import push_pb2_grpc

CODE_S = 30.0  # a code is handed on within the call


class PushCalls(AccountCalls):
    """The push addresses of one account."""

    def addresses(self) -> list[pb.PushAddress]:
        """In the order in which they were added."""
        found: pb.ListPushAddressesResponse = self._push(
            "ListPushAddresses", pb.ListPushAddressesRequest()
        )
        return list(found.addresses)

    def add(self, address: str, label: str) -> pb.AddPushAddressResponse:
        request = pb.AddPushAddressRequest(address=address, label=label)
        added: pb.AddPushAddressResponse = self._push("AddPushAddress", request, CODE_S)
        return added

    def confirm(self, id_: str, code: str) -> pb.PushAddress:
        request = pb.ConfirmPushAddressRequest(id=id_, code=code)
        confirmed: pb.ConfirmPushAddressResponse = self._push("ConfirmPushAddress", request)
        return confirmed.address

    def remove(self, id_: str) -> None:
        self._push("RemovePushAddress", pb.RemovePushAddressRequest(id=id_))

    def _push(self, method: str, request: Message, deadline_s: float | None = None) -> Any:
        return self._call(push_pb2_grpc.PushServiceStub, method, request, deadline_s)
