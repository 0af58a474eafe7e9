"""Calls to TelephonyService of the unit where a client is at home, with its ticket for there."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from console.cli.calls.accounts import AccountCalls
from homeport.api.communication.v1 import telephony_pb2 as pb
from homeport.api.communication.v1 import telephony_pb2_grpc


class TelephonyCalls(AccountCalls):
    """The links and calls of one account."""

    def link(self, contact: str, region: str) -> pb.ContactLink:
        request = pb.LinkContactRequest(contact=contact, region=region)
        found: pb.ContactLink = self._ask("LinkContact", request)
        return found

    def unlink(self, number: str) -> bool:
        """Whether there was a link."""
        gone: bool = self._ask("UnlinkContact", pb.UnlinkContactRequest(number=number)).unlinked
        return gone

    def links(self) -> pb.ListLinksResponse:
        """All of them, with the account's own numbers."""
        whole: pb.ListLinksResponse = self._ask("ListLinks", pb.ListLinksRequest())
        token = whole.next_page_token
        while token:
            page: pb.ListLinksResponse = self._ask(
                "ListLinks", pb.ListLinksRequest(page_token=token)
            )
            whole.links.extend(page.links)
            token = page.next_page_token
        return whole

    def calls(self, most: int) -> list[pb.Call]:
        """The latest first."""
        found: list[pb.Call] = []
        token = ""
        while True:
            request = pb.ListCallsRequest(page_size=min(100, most - len(found)), page_token=token)
            page: pb.ListCallsResponse = self._ask("ListCalls", request)
            found += page.calls
            token = page.next_page_token
            if not token or len(found) >= most:
                return found

    def trace(self, caller: str, dialled: str, region: str) -> pb.TraceCallResponse:
        request = pb.TraceCallRequest(caller=caller, dialled=dialled, region=region)
        found: pb.TraceCallResponse = self._ask("TraceCall", request)
        return found

    def set_strangers(self, strangers: pb.Strangers.ValueType) -> None:
        self._ask("SetStrangers", pb.SetStrangersRequest(strangers=strangers))

    def set_ringing(self, number: str) -> None:
        self._ask("SetRinging", pb.SetRingingRequest(number=number))

    def _ask(self, method: str, request: Message) -> Any:
        return self._call(telephony_pb2_grpc.TelephonyServiceStub, method, request)
