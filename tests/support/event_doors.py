"""Every door by which events come in: sends the cases of `event_cases` through it to a server, and
says of each what became of it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import grpc

from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc as pb_grpc
from homeport.api.status.v1 import status_pb2
from tests.support.command_line import run_process
from tests.support.data_sharing_server import SharingServer
from tests.support.event_cases import DATA, Door, EventCase
from tests.support.event_writing import header_fields, json_event, proto_event

_SERVICE = "/homeport.api.datasharing.v1.FeedService/"
_GOOD = EventCase(name="a good neighbour")
_JSON = "application/cloudevents+json"


class Told(NamedTuple):
    """position 0: refused, with code and field."""

    position: int
    code: str = ""
    field: str = ""


def send(
    door: Door, server: SharingServer, tenant: str, cases: Sequence[EventCase]
) -> list[tuple[Told, bool]]:
    """What each case was told, and whether events in the same batch were kept. The id of a case
    that has none of its own is its name."""
    if door is Door.LINE:
        return _lines(server, tenant, cases)
    if door in (Door.BINARY, Door.STRUCTURED, Door.BATCH):
        return [_over_http(door, server, tenant, case) for case in cases]
    with grpc.insecure_channel(server.address) as channel:
        return [_over_grpc(door, channel, tenant, case) for case in cases]


def _over_http(
    door: Door, server: SharingServer, tenant: str, case: EventCase
) -> tuple[Told, bool]:
    if door is Door.BINARY:
        status, answer = post(server, tenant, header_fields(case, case.name), case.data or b"")
    elif door is Door.STRUCTURED:
        fields = [("content-type", f"{_JSON}; charset=utf-8".encode())]
        status, answer = post(server, tenant, fields, json_event(case, case.name))
    else:
        before, after = _neighbours(case)
        parts = [json_event(_GOOD, before), json_event(case, case.name), json_event(_GOOD, after)]
        fields = [("Content-Type", b"Application/CloudEvents-Batch+JSON;charset=UTF-8")]
        status, answer = post(server, tenant, fields, b"[" + b",".join(parts) + b"]")
        assert status == 200, (case.name, answer)
        first, one, last = answer["results"]
        return _told_of(one), "position" in first and "position" in last
    error = answer.get("error")
    assert (status == 200) == (error is None), (case.name, status, answer)
    assert status in (200, 400, 403, 404), (case.name, status, answer)
    return _told_of(answer), True


def post(
    server: SharingServer, tenant: str, fields: Sequence[tuple[str, bytes]], body: bytes
) -> tuple[int, dict[str, Any]]:
    """Header fields as they are, also those that stand there twice."""
    host, _, port = server.http.rpartition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.putrequest("POST", f"/v1/tenants/{tenant}/events")
        for name, value in (*fields, ("content-length", str(len(body)).encode())):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def _told_of(result: dict[str, Any]) -> Told:
    error = result.get("error")
    return Told(0, error["code"], error["field"]) if error else Told(result["position"])


def _over_grpc(
    door: Door, channel: grpc.Channel, tenant: str, case: EventCase
) -> tuple[Told, bool]:
    content = proto_event(case, case.name)
    if door is Door.EVENT:
        call = channel.unary_unary(_SERVICE + "PublishEvent")
        request = pb.PublishEventRequest(tenant=tenant).SerializeToString() + _part(content)
        try:
            kept = pb.PublishEventResponse.FromString(call(request, timeout=30))
        except grpc.RpcError as error:
            return Told(0, error.code().name, _field_of(error)), True  # type: ignore[attr-defined]
        return Told(kept.position), True
    before, after = _neighbours(case)
    request = pb.PublishBatchRequest(tenant=tenant).SerializeToString() + b"".join(
        _part(one) for one in (proto_event(_GOOD, before), content, proto_event(_GOOD, after))
    )
    if door is Door.EVENTS:
        answered = channel.unary_unary(_SERVICE + "PublishBatch")(request, timeout=30)
    else:
        (answered,) = channel.stream_stream(_SERVICE + "PublishEvents")(iter([request]), timeout=30)
    first, one, last = pb.PublishBatchResponse.FromString(answered).results
    told = Told(one.position, one.error.code, one.error.field)
    return told, bool(first.position and last.position)


def _part(event: bytes) -> bytes:
    """Field 2 of a request, whatever the bytes are."""
    length, size = b"", len(event)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return b"\x12" + length + bytes([size]) + event


def _field_of(error: Any) -> str:
    """The field that a status names; of a NOT_FOUND, which names none, the type."""
    if error.code() is grpc.StatusCode.NOT_FOUND:
        return "type"
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                if detail.type_url.endswith("BadRequest"):
                    return status_pb2.BadRequest.FromString(detail.value).field_violations[0].field
    return ""


def _lines(
    server: SharingServer, tenant: str, cases: Sequence[EventCase]
) -> list[tuple[Told, bool]]:
    """All cases through one run of the command, each between two good lines."""
    lines: list[bytes] = []
    for case in cases:
        before, after = _neighbours(case)
        lines += [json_event(_GOOD, before), json_event(case, case.name), json_event(_GOOD, after)]
    ran = run_process(
        "events", "publish", "-", "--server", server.address,
        stdin=b"".join(line + b"\n" for line in lines), HOMEPORT_TENANT=tenant,
    )  # fmt: skip
    assert len(ran.lines) == len(lines), ran.err
    assert "Traceback" not in ran.err
    answers = iter(ran.lines)
    return [
        (_told_of(one), "position" in first and "position" in last)
        for first, one, last in zip(answers, answers, answers, strict=True)
    ]


def _neighbours(case: EventCase) -> tuple[str, str]:
    return f"before {case.name}"[:500], f"after {case.name}"[:500]


def kept_events(server: SharingServer, tenant: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(position, the event by names of attributes) of all that is kept for a tenant."""
    with grpc.insecure_channel(server.address) as channel:
        request = pb.TailRequest(tenant=tenant, after_position=0)
        for answer in pb_grpc.FeedServiceStub(channel).Tail(request, timeout=60):
            for one in answer.events:
                yield one.position, _plain(one.event)


def _plain(event: ce.CloudEvent) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": event.id, "source": event.source, "type": event.type,
        "data": event.text_data.encode(),
    }  # fmt: skip
    for name, attribute in event.attributes.items():
        kind = attribute.WhichOneof("attr")
        if kind == "ce_timestamp":
            found["time_ms"] = attribute.ce_timestamp.ToMilliseconds()
        else:
            value = getattr(attribute, kind)
            # A header has no types: all doors are compared by the canonical text.
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def expected_of(case: EventCase) -> dict[str, Any]:
    """What has to be kept of a case; time_ms only where the case is about it."""
    found: dict[str, Any] = {
        "id": case.name, "source": "/city/traffic", "type": "city.traffic.speed", "data": DATA,
    }  # fmt: skip
    for name, value in case.given.items():
        if isinstance(value, (str, int)) and name not in ("specversion", "time"):
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found | dict(case.kept)
