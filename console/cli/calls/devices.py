"""Calls to DeviceService of the unit where a client is at home, with its ticket for there."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from console.cli.calls.accounts import AccountCalls
from homeport.api.communication.v1 import device_pb2 as pb
from homeport.api.communication.v1 import device_pb2_grpc


class DeviceCalls(AccountCalls):
    """The devices of one account."""

    def map(self) -> pb.DeviceMap:
        found: pb.DeviceMap = self._devices("GetMap", pb.GetMapRequest())
        return found

    def consent(self, given: bool) -> pb.DeviceMap:
        request = pb.SetConsentRequest(purpose=pb.PURPOSE_REACH, given=given)
        found: pb.DeviceMap = self._devices("SetConsent", request)
        return found

    def report(self, request: pb.ReportDeviceRequest) -> pb.ReportDeviceResponse:
        found: pb.ReportDeviceResponse = self._devices("ReportDevice", request)
        return found

    def explain(self, browser: str) -> pb.ExplainBrowserResponse:
        request = pb.ExplainBrowserRequest(browser=browser)
        found: pb.ExplainBrowserResponse = self._devices("Explain", request)
        return found

    def unlink(self, browser: str, device: str) -> pb.DeviceMap:
        request = pb.UnlinkRequest(browser=browser, device=device)
        found: pb.DeviceMap = self._devices("Unlink", request)
        return found

    def remove(self, device: str) -> pb.DeviceMap:
        found: pb.DeviceMap = self._devices("RemoveDevice", pb.RemoveDeviceRequest(device=device))
        return found

    def erase(self) -> int:
        """How many rows are gone."""
        erased: pb.EraseResponse = self._devices("Erase", pb.EraseRequest())
        return erased.rows

    def _devices(self, method: str, request: Message) -> Any:
        return self._call(device_pb2_grpc.DeviceServiceStub, method, request)
