"""`homeport push` and `homeport devices`: what is asked of the client's unit, with its ticket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.communication.v1 import (
    device_pb2,
    device_pb2_grpc,
    push_pb2,
    push_pb2_grpc,
)
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

AT = Timestamp(seconds=1_795_867_200)
TOPIC = "ntfys://ntfy.talk.example/as-good-as-a-password"
SHOWN = "ntfys://ntfy.talk.example/"
BROWSER = "talk.example/browser-0123456789"


class FakeUnit(push_pb2_grpc.PushServiceServicer, device_pb2_grpc.DeviceServiceServicer):
    """Alice's. asked: requests, in their order; tickets: that came with them."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.tickets: set[str] = set()
        self.proved = False
        self.agreed = False

    def _heard(self, request, context):
        self.asked.append(request)
        self.tickets.add(dict(context.invocation_metadata())["authorization"])

    def ListPushAddresses(self, request, context):
        self._heard(request, context)
        return push_pb2.ListPushAddressesResponse(addresses=[self._address()])

    def AddPushAddress(self, request, context):
        self._heard(request, context)
        return push_pb2.AddPushAddressResponse(address=self._address(), expire_time=AT)

    def ConfirmPushAddress(self, request, context):
        self._heard(request, context)
        if request.code != "12345678":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "that is not the code; 4 tries left")
        self.proved = True
        return push_pb2.ConfirmPushAddressResponse(address=self._address())

    def RemovePushAddress(self, request, context):
        self._heard(request, context)
        return push_pb2.RemovePushAddressResponse()

    def _address(self) -> push_pb2.PushAddress:
        prove_time = AT if self.proved else None
        return push_pb2.PushAddress(id="p1", shown=SHOWN, label="phone", prove_time=prove_time)

    def SetConsent(self, request, context):
        self._heard(request, context)
        self.agreed = request.given
        return self._map()

    def ReportDevice(self, request, context):
        self._heard(request, context)
        sources = [device_pb2.BOOT_SOURCE_UPTIME] if request.HasField("uptime") else []
        return device_pb2.ReportDeviceResponse(sources=sources, matched=1)

    def GetMap(self, request, context):
        self._heard(request, context)
        return self._map()

    def Explain(self, request, context):
        self._heard(request, context)
        if request.browser != BROWSER:
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing is known of that browser")
        return device_pb2.ExplainBrowserResponse(edge=self._edge(), device="phone", why="it is")

    def Unlink(self, request, context):
        self._heard(request, context)
        return self._map()

    def RemoveDevice(self, request, context):
        self._heard(request, context)
        return device_pb2.DeviceMap()

    def Erase(self, request, context):
        self._heard(request, context)
        return device_pb2.EraseResponse(rows=7)

    def _map(self) -> device_pb2.DeviceMap:
        consent = device_pb2.PurposeConsent(purpose=device_pb2.PURPOSE_REACH, since=AT)
        device = device_pb2.Device(device="phone", label="mine", since=AT, browsers=[self._edge()])
        return device_pb2.DeviceMap(devices=[device], consents=[consent] if self.agreed else [])

    def _edge(self) -> device_pb2.BrowserEdge:
        evidence = device_pb2.BootEvidence(
            apart_ms=3, tolerance_ms=60, gap=Duration(seconds=2),
            browser_source=device_pb2.BOOT_SOURCE_TCP,
            device_source=device_pb2.BOOT_SOURCE_UPTIME,
        )  # fmt: skip
        return device_pb2.BrowserEdge(
            browser=BROWSER, since=AT, confirm_time=AT, times=2, evidence=evidence
        )


@pytest.fixture
def unit(cli: CommandLine, service: Served) -> Iterator[FakeUnit]:
    one = FakeUnit()
    server = grpc.server(ThreadPoolExecutor(4))
    push_pb2_grpc.add_PushServiceServicer_to_server(one, server)
    device_pb2_grpc.add_DeviceServiceServicer_to_server(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = f"127.0.0.1:{port}"
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    try:
        yield one
    finally:
        server.stop(None).wait(10)


def test_a_push_address_is_added_from_a_file_and_proved(
    cli: CommandLine, unit: FakeUnit, tmp_path: Path
) -> None:
    file = tmp_path / "address"
    file.write_text(f"{TOPIC}\n")
    added = cli("push", "add", "alice", str(file), "--label", "phone", "-o", "json")
    assert (added.code, added.document["id"], added.document["proved"]) == (0, "p1", None)
    assert added.document["code_expires"]
    assert unit.asked[-1] == push_pb2.AddPushAddressRequest(address=TOPIC, label="phone")
    assert "as-good-as" not in cli("push", "add", "alice", str(file)).out
    assert "homeport push confirm" in cli("push", "add", "alice", str(file)).out

    wrong = cli("push", "confirm", "alice", "p1", "00000000")
    assert (wrong.code, wrong.out) == (4, "")
    assert "4 tries left" in wrong.err
    proved = cli("push", "confirm", "alice", "p1", "12345678", "-o", "json")
    (one,) = proved.document["addresses"]
    assert one["proved"]
    assert SHOWN in cli("push", "list", "alice").out
    assert cli("push", "remove", "alice", "p1").code == 0
    assert push_pb2.RemovePushAddressRequest(id="p1") in unit.asked
    assert len(unit.tickets) == 1
    assert next(iter(unit.tickets)).startswith("Bearer ticket:default:alice:")


def test_a_file_that_is_too_large_is_no_address(
    cli: CommandLine, unit: FakeUnit, tmp_path: Path
) -> None:
    file = tmp_path / "address"
    file.write_text("x" * 5_000)
    assert cli("push", "add", "alice", str(file)).code == 2
    assert unit.asked == []


def test_devices_are_shown_with_what_is_on_them(cli: CommandLine, unit: FakeUnit) -> None:
    assert cli("devices", "map", "alice", "-o", "json").document["consents"] == []
    agreed = cli("devices", "consent", "alice", "-o", "json").document
    assert [one["purpose"] for one in agreed["consents"]] == ["reach"]
    (device,) = agreed["devices"]
    (edge,) = device["browsers"]
    assert (device["device"], device["label"]) == ("phone", "mine")
    assert (edge["browser"], edge["times"], edge["evidence"]["apart_ms"]) == (BROWSER, 2, 3)
    assert edge["evidence"]["gap_s"] == 2.0
    assert BROWSER in cli("devices", "map", "alice").out
    assert not cli("devices", "consent", "alice", "--withdraw", "-o", "json").document["consents"]


def test_a_device_is_reported_with_its_uptime(cli: CommandLine, unit: FakeUnit) -> None:
    ran = cli("devices", "report", "alice", "phone", "--uptime", "90.25", "-o", "json")
    assert ran.document == {"sources": ["uptime"], "again": False, "matched": 1}
    assert unit.asked[-1] == device_pb2.ReportDeviceRequest(
        device="phone", uptime=Duration(seconds=90, nanos=250_000_000)
    )
    assert "--uptime" in cli("devices", "report", "alice", "phone").out


def test_why_a_browser_is_there_and_what_takes_it_back(cli: CommandLine, unit: FakeUnit) -> None:
    said = cli("devices", "explain", "alice", BROWSER, "-o", "json").document
    assert (said["device"], said["edge"]["browser"], said["why"]) == ("phone", BROWSER, "it is")
    assert cli("devices", "explain", "alice", "talk.example/another-0123456789").code == 3
    assert cli("devices", "unlink", "alice", BROWSER, "phone").code == 0
    assert unit.asked[-1] == device_pb2.UnlinkRequest(browser=BROWSER, device="phone")
    assert cli("devices", "remove", "alice", "phone", "-o", "json").document["devices"] == []
    assert cli("devices", "erase", "alice", "-o", "json").document == {"rows": 7}
