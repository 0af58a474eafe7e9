"""One reading of CloudEvents for all doors: each case of the table, through each door that can say
it, is the same event kept or the same refusal, and leaves the events beside it alone."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest

from data_sharing.clock import SimulatedClock
from homeport.api.datasharing.v1 import registry_pb2_grpc
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.event_cases import CASES, NOW_MS, Door, EventCase
from tests.support.event_doors import Told, expected_of, kept_events, post, send
from tests.support.event_writing import header_fields
from tests.support.submissions import text, traffic


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its clock stands near a moment at which a leap second may come."""
    folder = tmp_path_factory.mktemp("doors")
    SimulatedClock(folder / "clock", starts_at_ms=NOW_MS)
    with SharingServer(folder, f"--clock-file={folder / 'clock'}") as one:
        yield one


@pytest.fixture
def tenant(server):
    name = f"t-{uuid.uuid4().hex[:12]}"
    with grpc.insecure_channel(server.address) as channel:
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        answer = registry.SubmitApplication(submission(text(traffic()), tenant=name), timeout=30)
    assert answer.WhichOneof("result") == "accepted", answer
    return name


def difference(case: EventCase, told: Told, events: dict[int, dict]) -> object:
    """What is other than the table says; None: nothing."""
    if case.refused:
        expected = Told(0, case.code, case.refused)
        return None if told == expected else (case.name, "expected", expected, "got", told)
    if not told.position:
        return (case.name, "is refused", told)
    got = events[told.position]
    expected_event = expected_of(case)
    seen = {
        name: value
        for name, value in got.items()
        if name in expected_event or name not in ("time_ms", "datacontenttype")
    }
    if expected_event.get("datacontenttype") == "":
        seen.setdefault("datacontenttype", "")
    return None if seen == expected_event else (case.name, "expected", expected_event, "got", seen)


@pytest.mark.parametrize("door", Door)
def test_every_case_is_read_as_the_table_says(server, tenant, door):
    cases = [case for case in CASES if door in case.doors]
    told = send(door, server, tenant, cases)
    events = dict(kept_events(server, tenant))
    wrong = [difference(case, one, events) for case, (one, _) in zip(cases, told, strict=True)]
    assert [one for one in wrong if one is not None] == []
    spoilt = [case.name for case, (_, alone) in zip(cases, told, strict=True) if not alone]
    assert spoilt == [], "a case spoilt the events beside it"
    assert "raceback" not in server.log()


def test_names_of_cases_are_their_ids():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("body", "results"),
    [
        pytest.param(b'[{"id": NaN}, GOOD]', ["event", ""], id="a-number-json-has-not"),
        pytest.param(b'[GOOD, {"id": "\\ud800"}]', ["", "event"], id="half-a-pair"),
        pytest.param(b'[{"a" 1}, GOOD, {[}], "]", GOOD]', ["event", "", "event", "event", ""],
                     id="members-that-are-none"),
        pytest.param(b'[GOOD, {"\xff": 1}]', ["", "event"], id="a-name-that-is-not-utf8"),
        pytest.param(b'[5, null, [], "x", GOOD]', [*["event"] * 4, ""], id="other-json"),
        pytest.param(b"[" * 50 + b"5" * 50 + b"]" * 50, ["event"], id="a-list-in-a-list"),
    ],
)  # fmt: skip
async def test_what_is_no_event_leaves_its_batch_alone(server, tenant, body, results):
    good = (
        b'{"specversion":"1.0","id":"g","source":"/s","type":"city.traffic.speed",'
        b'"data":{"road":"A1","speed_kmh":1}}'
    )
    status, told = await asyncio.to_thread(
        post, server, tenant, [("content-type", b"application/cloudevents-batch+json")],
        body.replace(b"GOOD", good),
    )  # fmt: skip
    assert status == 200, told
    assert [one.get("error", {}).get("field", "") for one in told["results"]] == results


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"[]", "events", id="an-empty-batch"),
        pytest.param(b" [ ] ", "events", id="an-empty-batch-with-spaces"),
        pytest.param(b"[" + b"1," * 1_000 + b"1]", "events", id="more-than-a-thousand"),
        pytest.param(b"[" + b"x," * 1_000 + b"1]", "events", id="more-than-a-thousand-of-no-json"),
        pytest.param(b"", "body", id="nothing"),
        pytest.param(b"{}", "body", id="no-array"),
        pytest.param(b"[5,]", "body", id="an-empty-place"),
        pytest.param(b"[5] 6", "body", id="more-behind-it"),
        pytest.param(b"[5", "body", id="an-array-that-is-cut"),
        pytest.param(b"[5]]", "body", id="an-array-that-ends-twice"),
    ],
)
async def test_a_batch_that_is_none_is_refused_by_what_the_reference_says(
    server, tenant, body, field
):
    status, told = await asyncio.to_thread(
        post, server, tenant, [("content-type", b"application/cloudevents-batch+json")], body
    )
    assert (status, told["error"]["code"], told["error"]["field"]) == (
        400, "INVALID_ARGUMENT", field,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["structured", "batch", "binary"])
@pytest.mark.parametrize(
    ("charset", "expected"),
    [
        (b"; charset=utf-8", 200), (b';charset="UTF-8"', 200), (b"; Charset=UTF-8 ", 200),
        (b"; charset=us-ascii", 200), (b'; q="a;charset=x"', 200), (b"; a=b; charset=utf-8", 200),
        (b"; charset=iso-8859-1", 415), (b"; charset=utf-16", 415), (b'; charset="latin1"', 415),
        (b"; a=b;charset=x", 415), (b"; charset=utf-7; charset=utf-8", 415),
    ],
)  # fmt: skip
async def test_the_charset_is_one_that_json_has(server, tenant, mode, charset, expected):
    kinds = {"structured": b"application/cloudevents+json", "binary": b"application/json",
             "batch": b"application/cloudevents-batch+json"}  # fmt: skip
    data = b'{"road":"A1","speed_kmh":1}'
    event = (
        b'{"specversion":"1.0","id":"c","source":"/s","type":"city.traffic.speed","data":%s}' % data
    )
    bodies = {"structured": event, "batch": b"[%s]" % event, "binary": data}
    fields = [(b"ce-specversion", b"1.0"), (b"ce-id", b"c"), (b"ce-source", b"/s"),
              (b"ce-type", b"city.traffic.speed")]  # fmt: skip
    status, told = await asyncio.to_thread(
        post, server, tenant,
        [("content-type", kinds[mode] + charset),
         *((name.decode(), value) for name, value in fields if mode == "binary")],
        bodies[mode],
    )  # fmt: skip
    assert status == expected, told
    if expected == 415:
        assert (told["error"]["code"], told["error"]["field"]) == (
            "INVALID_ARGUMENT", "content-type",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([("content-type", b"application/cloudevents+json")] * 2, "Content-Type"),
        ([("content-type", b"text/json"), ("Content-Type", b"application/json")], "Content-Type"),
        ([("content-length", b"2")], "Content-Length"),
        ([("content-length", b"two")], "Content-Length"),
        ([("a b", b"c")], ""),
    ],
)
async def test_what_cannot_be_read_as_http_is_answered_in_json(server, tenant, fields, why):
    status, told = await asyncio.to_thread(post, server, tenant, fields, b"{}")
    assert (status, told["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert told["error"]["message"].startswith("the request cannot be read: ")
    assert why.lower() in told["error"]["message"].lower()


async def test_what_says_to_be_ascii_is(server, tenant):
    body = '[{"id": "é"}]'.encode()
    kind = b"application/cloudevents-batch+json; charset=us-ascii"
    status, told = await asyncio.to_thread(post, server, tenant, [("content-type", kind)], body)
    assert (status, told["error"]["field"]) == (400, "body")


async def test_ids_that_cannot_be_decoded_are_never_one_event(server, tenant):
    """Two of them used to be read as the same replacement characters."""
    case = next(one for one in CASES if one.name == "an-event")
    fields = [one for one in header_fields(case, "x") if one[0] != "ce-id"]
    for raw in (b"n%FF", b"n%FE", b"n\xff", b"n\xfe"):
        told = await asyncio.to_thread(post, server, tenant, [*fields, ("ce-id", raw)], case.data)
        assert (told[0], told[1]["error"]["field"]) == (400, "id")
    assert dict(kept_events(server, tenant)) == {}
