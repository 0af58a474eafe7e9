"""`homeport numbers` and `homeport calls`: what is asked of a server, and of the client's unit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.communication.v1 import telephony_pb2, telephony_pb2_grpc
from homeport.api.directory.v1 import number_pb2, number_pb2_grpc
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

AT = Timestamp(seconds=1_795_867_200)
V, T, P1, P2 = "+442079460001", "+442079460101", "+442079460301", "+442079460302"
V2 = "+442079460002"


class FakeNumbers(number_pb2_grpc.NumberServiceServicer):
    """Of one tenant. asked: requests, in their order."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.releases = True

    def AddNumbers(self, request, context):
        self.asked.append(request)
        return number_pb2.AddNumbersResponse(added=len(request.numbers))

    def AssignNumber(self, request, context):
        self.asked.append(request)
        if request.pool == "empty":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the pool has no free number")
        return self._number(request.account)

    def ReleaseNumber(self, request, context):
        self.asked.append(request)
        if request.number == V2:  # as where the server ends once it has done it
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
        return number_pb2.ReleaseNumberResponse(released=self.releases)

    def ListNumbers(self, request, context):
        token = "" if request.page_token else V
        return number_pb2.ListNumbersResponse(
            numbers=[self._number("alice")], next_page_token=token
        )

    def _number(self, account: str) -> number_pb2.Number:
        return number_pb2.Number(
            number=V, pool="people", kind=number_pb2.NUMBER_KIND_VIRTUAL,
            state=number_pb2.NUMBER_STATE_ASSIGNED, account=account, since=AT,
        )  # fmt: skip


class FakeTelephony(telephony_pb2_grpc.TelephonyServiceServicer):
    """Alice's."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def LinkContact(self, request, context):
        self.asked.append(request)
        return self._link()

    def UnlinkContact(self, request, context):
        self.asked.append(request)
        return telephony_pb2.UnlinkContactResponse(unlinked=True)

    def ListLinks(self, request, context):
        return telephony_pb2.ListLinksResponse(
            links=[self._link()], virtual=[V], own=[P1], strangers=telephony_pb2.STRANGERS_LINKED,
            next_page_token="" if request.page_token else T,
        )  # fmt: skip

    def ListCalls(self, request, context):
        call = telephony_pb2.Call(
            record=bytes(16), kind=telephony_pb2.CALL_KIND_CALL, outgoing=True, technical=T,
            other="ab", time=AT, answer_time=AT, duration=Duration(seconds=60),
            end=telephony_pb2.CALL_END_NO_ANSWER,
        )  # fmt: skip
        return telephony_pb2.ListCallsResponse(calls=[call])

    def TraceCall(self, request, context):
        self.asked.append(request)
        if request.dialled == "112":
            return telephony_pb2.TraceCallResponse(emergency="112", why="an emergency number")
        return telephony_pb2.TraceCallResponse(
            refused=telephony_pb2.CALL_REFUSAL_NOT_FOUND, why="the number stands for nobody"
        )

    def SetStrangers(self, request, context):
        self.asked.append(request)
        return telephony_pb2.SetStrangersResponse()

    def SetRinging(self, request, context):
        self.asked.append(request)
        return telephony_pb2.SetRingingResponse()

    def _link(self) -> telephony_pb2.ContactLink:
        return telephony_pb2.ContactLink(technical=T, contact=P2, since=AT)


def serving(add, one) -> tuple[grpc.Server, str]:
    server = grpc.server(ThreadPoolExecutor(4))
    add(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
def unit(cli: CommandLine, service: Served) -> Iterator[FakeTelephony]:
    one = FakeTelephony()
    server, address = serving(telephony_pb2_grpc.add_TelephonyServiceServicer_to_server, one)
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = address
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    yield one
    server.stop(None).wait(10)


@pytest.fixture
def numbers() -> Iterator[tuple[FakeNumbers, str]]:
    one = FakeNumbers()
    server, address = serving(number_pb2_grpc.add_NumberServiceServicer_to_server, one)
    yield one, address
    server.stop(None).wait(10)


def test_numbers_are_added_assigned_released_and_listed(
    cli: CommandLine, numbers: tuple[FakeNumbers, str]
) -> None:
    fake, server = numbers
    many = [f"+4420794600{n:02}" for n in range(50)]
    added = cli("numbers", "add", "people", *many, "--server", server, "-o", "json")
    assert added.document == {"added": 50, "there": 0}
    assert [len(one.numbers) for one in fake.asked] == [40, 10]
    cli("numbers", "add", "contacts", T, "--technical", "--server", server)
    assert fake.asked[-1].kind == number_pb2.NUMBER_KIND_TECHNICAL
    assigned = cli("numbers", "assign", "alice", "people", "--server", server, "-o", "json")
    assert (assigned.document["number"], assigned.document["account"]) == (V, "alice")
    assert cli("numbers", "assign", "alice", "empty", "--server", server).code == 4
    released = cli("numbers", "release", V, "--server", server, "-o", "json")
    assert released.document["released"]
    listed = cli("numbers", "list", "--server", server, "-o", "json")
    assert [one["number"] for one in listed.document] == [V, V]


def test_whether_a_server_that_ended_released_a_number_is_not_known(
    cli: CommandLine, numbers: tuple[FakeNumbers, str]
) -> None:
    """And so it is not said that it was not there."""
    fake, first = numbers
    other = FakeNumbers()
    other.ReleaseNumber = (  # type: ignore[method-assign]
        lambda request, context: number_pb2.ReleaseNumberResponse(released=False)
    )
    server, second = serving(number_pb2_grpc.add_NumberServiceServicer_to_server, other)
    try:
        for more in ([], ["--remove"]):
            both = ("--server", f"{first},{second}", "-o", "json")
            done = cli("numbers", "release", V2, *more, *both)
            assert (done.code, done.document) == (0, {"number": V2, "released": None})
            assert "did not answer may have done that" in done.err
        assert len(fake.asked) == 2
        # Who asked one server alone hears that there was nothing to do.
        assert cli("numbers", "release", V2, "--server", second).code == 3
        nowhere = f"127.0.0.1:1,{second}"  # which surely did nothing
        assert cli("numbers", "release", V2, "--server", nowhere).code == 3
    finally:
        server.stop(None).wait(10)


def test_an_account_links_contacts_and_sees_its_calls(
    cli: CommandLine, unit: FakeTelephony
) -> None:
    linked = cli("calls", "link", "alice", "020 7946 0302", "--region", "GB", "-o", "json")
    assert linked.document["technical"] == T
    assert unit.asked[-1].region == "GB"
    links = cli("calls", "links", "alice", "-o", "json").document
    assert (links["own"], links["virtual"], len(links["links"])) == ([P1], [V], 2)
    assert cli("calls", "unlink", "alice", P2, "-o", "json").document == {"unlinked": True}
    (call,) = cli("calls", "list", "alice", "-o", "json").document
    assert (call["duration_s"], call["ended"], call["direction"]) == (60, "no-answer", "out")
    traced = cli("calls", "trace", "alice", T, "--caller", P1, "-o", "json").document
    assert traced["refused"] == "not-found"
    assert cli("calls", "trace", "alice", "112", "-o", "json").document["emergency"] == "112"
    cli("calls", "rings", "alice", P1)
    assert unit.asked[-1].number == P1
    cli("calls", "strangers", "alice", "anonymous")
    assert unit.asked[-1].strangers == telephony_pb2.STRANGERS_ANONYMOUS
