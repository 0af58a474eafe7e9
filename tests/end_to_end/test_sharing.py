"""Data sharing over the wire, on both transports: applications submitted, events published,
kept, refused, repeated and read, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import signal
import ssl
import urllib.request
import uuid
from contextlib import closing

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2, registry_pb2_grpc
from homeport.api.status.v1 import status_pb2
from tests.console.test_tls import self_signed
from tests.data_sharing.submissions import COFFEE, SPEED, coffee, event, text, traffic
from tests.end_to_end.sharing_server import SharingServer, submission

BATCH = "/homeport.api.datasharing.v1.FeedService/PublishBatch"
STREAM = "/homeport.api.datasharing.v1.FeedService/PublishEvents"


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with SharingServer(folder, f"--transport={request.param}") as one:
        yield one


@pytest.fixture
async def channel(server):
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def feeds(channel):
    return feed_pb2_grpc.FeedServiceStub(channel)


@pytest.fixture
def registry(channel):
    return registry_pb2_grpc.ApplicationRegistryStub(channel)


@pytest.fixture
async def tenant(registry):
    """A tenant of the test's own, with the producer."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    answer = await registry.SubmitApplication(submission(text(traffic()), tenant=name), timeout=30)
    assert answer.WhichOneof("verdict") == "accepted", answer
    return name


async def publish(feeds, tenant, *events):
    request = pb.PublishBatchRequest(tenant=tenant, events=events)
    return (await feeds.PublishBatch(request, timeout=30)).results


async def read(stub, tenant, **fields):
    found = []
    async for answer in stub.Tail(
        pb.TailRequest(tenant=tenant, **{"after_position": 0, **fields}), timeout=30
    ):
        found += answer.events
    return found


def violation(error: grpc.aio.AioRpcError) -> str:
    """The field that an INVALID_ARGUMENT names."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                if detail.type_url.endswith("BadRequest"):
                    return status_pb2.BadRequest.FromString(detail.value).field_violations[0].field
    return ""


# -- applications ------------------------------------------------------------------------


async def test_an_application_is_tried_accepted_listed_and_fetched(registry, tenant):
    answer = await registry.SubmitApplication(
        submission(text(coffee()), COFFEE, tenant=tenant), timeout=60
    )
    assert answer.accepted.version == "1.0.0", answer
    assert not answer.existing
    again = await registry.SubmitApplication(submission(text(coffee()), tenant=tenant), timeout=60)
    assert again.existing
    listed = await registry.ListApplications(
        registry_pb2.ListApplicationsRequest(tenant=tenant), timeout=10
    )
    assert [one.name for one in listed.applications] == ["coffee", "traffic"]
    content = b""
    request = registry_pb2.FetchArtifactRequest(tenant=tenant, name="coffee")
    async for piece in registry.FetchArtifact(request, timeout=30):
        content += piece.content
    assert content == COFFEE
    shown = await registry.GetApplication(
        registry_pb2.GetApplicationRequest(tenant=tenant, name="coffee"), timeout=10
    )
    assert json.loads(shown.manifest) == coffee()


async def test_a_refused_submission_tells_all_its_faults(registry, tenant):
    bad = coffee(
        application="Coffee!", version="one", action_input={"type": "objekt"}, extra=1,
        consumes=[{"feed": SPEED}],
    )  # fmt: skip
    answer = await registry.SubmitApplication(
        submission(text(bad), COFFEE, tenant=tenant), timeout=60
    )
    paths = {one.path for one in answer.refused.faults}
    assert paths >= {"", "/application", "/version", "/consumes/0"}


async def test_a_dry_run_changes_nothing(registry, tenant):
    messages = submission(text(coffee()), COFFEE, tenant=tenant, dry_run=True)
    answer = await registry.SubmitApplication(messages, timeout=60)
    assert answer.WhichOneof("verdict") == "accepted"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.GetApplication(
            registry_pb2.GetApplicationRequest(tenant=tenant, name="coffee"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_change_that_breaks_a_consumer_is_refused_and_rolled_back_to_nowhere(
    registry, tenant
):
    await registry.SubmitApplication(submission(text(coffee()), COFFEE, tenant=tenant), timeout=60)
    narrower = traffic(version="1.1.0")
    narrower["produces"][0]["schema"]["properties"]["speed_kmh"]["maximum"] = 300
    wider = traffic(version="2.0.0")
    wider["produces"][0]["schema"]["properties"]["speed_kmh"]["maximum"] = 900
    taken = await registry.SubmitApplication(submission(text(narrower), tenant=tenant), timeout=60)
    assert taken.accepted.version == "1.1.0", taken
    answer = await registry.SubmitApplication(submission(text(wider), tenant=tenant), timeout=60)
    (fault,) = answer.refused.faults
    assert (fault.consumer, fault.field, fault.path) == (
        "coffee", "/speed_kmh", "/produces/0/schema",
    )  # fmt: skip
    # Going back to 1.0.0 would widen the range again.
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.RollbackApplication(
            registry_pb2.RollbackApplicationRequest(tenant=tenant, name="traffic"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "coffee" in refused.value.details()


async def test_a_submission_without_head_is_refused(registry):
    piece = registry_pb2.SubmitApplicationRequest(artifact=b"x")
    for messages in ([], [piece]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await registry.SubmitApplication(iter(messages), timeout=10)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# -- publishing --------------------------------------------------------------------------


async def test_an_event_is_kept_and_a_repeat_is_told(feeds, tenant):
    request = pb.PublishEventRequest(tenant=tenant, event=event("a"))
    first = await feeds.PublishEvent(request, timeout=10)
    again = await feeds.PublishEvent(request, timeout=10)
    assert (first.position, first.duplicate) == (1, False)
    assert (again.position, again.duplicate) == (1, True)
    (kept,) = await read(feeds, tenant)
    assert kept.key == "A1"
    assert (kept.event.id, kept.event.text_data) == ("a", event("a").text_data)


async def test_a_batch_is_answered_event_by_event(feeds, tenant):
    late = event("late")
    late.attributes["time"].ce_timestamp.CopyFrom(Timestamp(seconds=1))
    results = await publish(
        feeds, tenant, event("a"), event("b", {"road": "A1", "speed_kmh": "fast"}), event("a"),
        event("c", type="nobody.produces.this"), late, event("d", "{nonsense"), event("e"),
    )  # fmt: skip
    told = [(one.position, one.duplicate, one.error.code, one.error.field) for one in results]
    assert told == [
        (1, False, "", ""),
        (0, False, "INVALID_ARGUMENT", "data/speed_kmh"),
        (1, True, "", ""),
        (0, False, "NOT_FOUND", "type"),
        (0, False, "INVALID_ARGUMENT", "time"),
        (0, False, "INVALID_ARGUMENT", "data"),
        (2, False, "", ""),
    ]
    assert [one.event.id for one in await read(feeds, tenant)] == ["a", "e"]


async def test_a_text_that_is_not_utf8_spoils_its_event_alone(channel, feeds, tenant):
    message = pb.PublishBatchRequest(
        tenant=tenant, events=[event("a"), event("MARK"), event("b")]
    ).SerializeToString()
    call = channel.unary_unary(BATCH)
    answer = pb.PublishBatchResponse.FromString(
        await call(message.replace(b"MARK", b"\xff\xfe\xfd\xfc"), timeout=10)
    )
    assert [one.position for one in answer.results] == [1, 0, 2]
    assert "UTF-8" in answer.results[1].error.message


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        pytest.param(b"\xff\xff\xff", "request", id="bytes-that-are-no-message"),
        pytest.param(b"", "events", id="an-empty-batch"),
        pytest.param(b"\x12\x00" * 1001, "events", id="more-than-a-thousand"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole_is_refused(channel, payload, field):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary(BATCH)(payload, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violation(refused.value) == field


async def test_a_single_refusal_is_a_status_that_names_the_field(feeds, tenant):
    for wrong, code, field in (
        (event("a", {"road": "A1", "speed_kmh": -1}), "INVALID_ARGUMENT", "data/speed_kmh"),
        (event("a", {"speed_kmh": 5}), "INVALID_ARGUMENT", "data"),
        (event("", None), "INVALID_ARGUMENT", "id"),
        (event("a", spec_version="0.3"), "INVALID_ARGUMENT", "specversion"),
        (event("a", type="x"), "NOT_FOUND", ""),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await feeds.PublishEvent(pb.PublishEventRequest(tenant=tenant, event=wrong), timeout=10)
        assert refused.value.code().name == code
        assert violation(refused.value) == field


async def test_a_stream_answers_each_batch_in_order_also_one_at_a_time(feeds, tenant):
    call = feeds.PublishEvents(timeout=60)
    for n in range(3):
        batch = [event(f"{n}-{m}") for m in range(10)]
        await call.write(pb.PublishBatchRequest(tenant=tenant, events=batch))
        answer = await call.read()
        assert [one.position for one in answer.results] == list(range(10 * n + 1, 10 * n + 11))
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF

    async def requests():
        for n in range(20):
            yield pb.PublishBatchRequest(
                tenant=tenant, events=[event(f"many-{n}-{m}") for m in range(100)]
            )

    positions = [
        one.position
        async for answer in feeds.PublishEvents(requests(), timeout=60)
        for one in answer.results
    ]
    assert positions == list(range(31, 2031))


async def test_a_stream_ends_with_the_error_of_its_batch(channel, feeds, tenant):
    good = pb.PublishBatchRequest(tenant=tenant, events=[event("a")]).SerializeToString()

    async def requests():
        yield good
        yield b"\xff\xff"

    call = channel.stream_stream(STREAM)(requests(), timeout=10)
    answer = pb.PublishBatchResponse.FromString(await call.read())
    assert [one.position for one in answer.results] == [1]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# -- reading -----------------------------------------------------------------------------


async def test_a_reader_gets_what_comes_and_where_to_go_on(feeds, tenant):
    call = feeds.Tail(pb.TailRequest(tenant=tenant, after_position=0, follow=True), timeout=60)
    await publish(feeds, tenant, event("a"), event("b"))
    seen: list[str] = []
    position = 0
    while len(seen) < 2:
        answer = await call.read()
        seen += [one.event.id for one in answer.events]
        position = answer.position
    await publish(feeds, tenant, event("c"))
    assert [one.event.id for one in (await call.read()).events] == ["c"]
    call.cancel()
    rest = await read(feeds, tenant, after_position=position)
    assert [one.event.id for one in rest] == ["c"]


async def test_a_reader_may_begin_at_a_time_and_ask_for_one_key(feeds, tenant):
    await publish(feeds, tenant, *(event(f"a{n}") for n in range(3)))
    (*_, last) = await read(feeds, tenant)
    later = Timestamp()
    later.FromMilliseconds(last.accept_time.ToMilliseconds() + 1)
    await publish(feeds, tenant, event("a3"))
    roads = [event(f"r{n}", {"road": f"B{n % 2}", "speed_kmh": 1}) for n in range(4)]
    await publish(feeds, tenant, *roads)
    found = await read(feeds, tenant, key="B1")
    assert [one.event.id for one in found] == ["r1", "r3"]
    since = pb.TailRequest(tenant=tenant, accepted_from=last.accept_time)
    all_since = [one async for answer in feeds.Tail(since, timeout=30) for one in answer.events]
    assert all_since[-1].position == 8
    future = pb.TailRequest(tenant=tenant)
    future.accepted_from.FromMilliseconds(later.ToMilliseconds() + 10**9)
    assert [one async for answer in feeds.Tail(future, timeout=30) for one in answer.events] == []


async def test_an_application_reads_what_it_consumes_and_is_shared(feeds, registry, tenant):
    await publish(feeds, tenant, event("a"))
    reader = {"application": "reader", "version": "1.0.0"}
    await registry.SubmitApplication(submission(text(reader), tenant=tenant), timeout=30)
    assert await read(feeds, tenant, application="reader") == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await read(feeds, tenant, application="reader", feeds=[SPEED])
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "does not say it consumes" in refused.value.details()
    reader |= {"version": "1.1.0", "consumes": [{"feed": SPEED, "purpose": "curiosity"}]}
    await registry.SubmitApplication(submission(text(reader), tenant=tenant), timeout=30)
    assert [one.event.id for one in await read(feeds, tenant, application="reader")] == ["a"]
    listed = await feeds.ListFeeds(
        pb.ListFeedsRequest(tenant=tenant, application="reader"), timeout=10
    )
    assert [(one.type, one.producer, list(one.readers)) for one in listed.feeds] == [
        (SPEED, "traffic", [])
    ]
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await read(feeds, tenant, application="nobody")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_tenants_do_not_see_each_other(feeds, registry, tenant):
    await publish(feeds, tenant, event("a"))
    other = f"{tenant}-x"
    assert await read(feeds, other) == []
    (refused,) = await publish(feeds, other, event("b"))
    assert refused.error.code == "NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await registry.GetApplication(
            registry_pb2.GetApplicationRequest(tenant=other, name="traffic"), timeout=10
        )
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


# -- HTTP --------------------------------------------------------------------------------

HEADERS = {
    "ce-specversion": "1.0", "ce-id": "a", "ce-source": "/city/traffic", "ce-type": SPEED,
    "content-type": "application/json",
}  # fmt: skip
DATA = {"road": "A1", "speed_kmh": 43.5}


def structured(name: str, **changes) -> dict:
    document = {
        "specversion": "1.0", "id": name, "source": "/city/traffic", "type": SPEED, "data": DATA,
    }  # fmt: skip
    return {key: value for key, value in (document | changes).items() if value is not ...}


def post(
    server, tenant: str, body, headers: dict[str, str], tls: ssl.SSLContext | None = None
) -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    host, _, port = server.http.rpartition(":")
    opened = (
        http.client.HTTPSConnection(host, int(port), timeout=30, context=tls)
        if tls
        else http.client.HTTPConnection(host, int(port), timeout=30)
    )
    with closing(opened) as connection:
        connection.request("POST", f"/v1/tenants/{tenant}/events", content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")


def structured_type(kind: str = "cloudevents") -> dict[str, str]:
    return {"content-type": f"application/{kind}+json; charset=utf-8"}


async def test_http_takes_all_three_modes(server, feeds, tenant):
    def send(body, headers):
        return asyncio.to_thread(post, server, tenant, body, headers)

    timed = HEADERS | {"ce-subject": "caf%C3%A9", "ce-comparesto": "b"}
    assert await send(DATA, timed) == (200, {"position": 1, "duplicate": False})
    assert await send(structured("b"), structured_type()) == (
        200, {"position": 2, "duplicate": False},
    )  # fmt: skip
    status, told = await send(
        [structured("b"), structured("c"), structured("d", data={"road": "A1"}), 5],
        structured_type("cloudevents-batch"),
    )
    assert status == 200
    assert told["results"][:2] == [
        {"position": 2, "duplicate": True}, {"position": 3, "duplicate": False},
    ]  # fmt: skip
    assert [one["error"]["field"] for one in told["results"][2:]] == ["data", "event"]
    kept = await read(feeds, tenant)
    assert [one.event.id for one in kept] == ["a", "b", "c"]
    first = kept[0].event
    assert first.attributes["subject"].ce_string == "café"
    assert first.attributes["comparesto"].ce_string == "b"
    assert json.loads(first.text_data) == DATA


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        pytest.param(DATA, {**HEADERS, "ce-id": ""}, 400, "id", id="no-id"),
        pytest.param(
            DATA, {**HEADERS, "ce-specversion": "0.3"}, 400, "specversion", id="an-old-version"
        ),
        pytest.param(
            DATA, {**HEADERS, "content-type": "text/plain"}, 400, "datacontenttype",
            id="data-that-is-text",
        ),
        pytest.param(b"\xff\xfe", HEADERS, 400, "data", id="data-that-is-not-utf8"),
        pytest.param(b'{"road": NaN}', HEADERS, 400, "data", id="a-number-json-has-not"),
        pytest.param(b"", HEADERS, 400, "data", id="no-data"),
        pytest.param(DATA, {**HEADERS, "ce-time": "yesterday"}, 400, "time", id="no-time"),
        pytest.param(
            DATA, {**HEADERS, "ce-time": "2001-01-01T00:00:00Z"}, 400, "time", id="a-late-one"
        ),
        pytest.param(
            DATA, {**HEADERS, "ce-type": "x"}, 404, "type", id="a-type-nobody-produces"
        ),
        pytest.param(DATA, {"content-type": "text/html"}, 415, "content-type", id="no-event"),
        pytest.param(
            structured("a"), structured_type("cloudevents+xml;x"), 415, "content-type", id="xml"
        ),
        pytest.param(b"{", structured_type(), 400, "body", id="no-json"),
        pytest.param([], structured_type(), 400, "event", id="a-list-for-an-event"),
        pytest.param(structured("a", id=...), structured_type(), 400, "id", id="structured-no-id"),
        pytest.param(structured("a", id=7), structured_type(), 400, "id", id="an-id-in-figures"),
        pytest.param(
            structured("a", data=..., data_base64="aGk="), structured_type(), 400, "data_base64",
            id="data-in-base64",
        ),
        pytest.param(
            structured("a", Upper="x"), structured_type(), 400, "Upper", id="a-bad-extension"
        ),
        pytest.param(
            structured("a", data=[1]), structured_type(), 400, "data", id="data-that-is-a-list"
        ),
        pytest.param({}, structured_type("cloudevents-batch"), 400, "body", id="no-list"),
        pytest.param([], structured_type("cloudevents-batch"), 400, "events", id="no-events"),
        pytest.param(
            b"x" * (1 << 21), HEADERS, 413, "body", id="larger-than-anything-that-is-taken"
        ),
        pytest.param(
            {"road": "A1", "speed_kmh": 1, "note": "x" * 70_000}, HEADERS, 400, "data",
            id="an-event-that-is-too-large",
        ),
    ],
)  # fmt: skip
async def test_http_refuses_what_is_no_event_of_the_feed(
    server, tenant, feeds, body, headers, status, field
):
    told = await asyncio.to_thread(post, server, tenant, body, headers)
    assert (told[0], told[1]["error"]["field"]) == (status, field), told
    assert await read(feeds, tenant) == []


# -- running -----------------------------------------------------------------------------


async def test_health_reflection_and_metrics_are_there(server, channel, feeds, tenant):
    health = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(
        health_pb2.HealthCheckRequest(service="homeport.api.datasharing.v1.FeedService"),
        timeout=10,
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([asked]), timeout=10
    )
    names = {one.name for one in (await call.read()).list_services_response.service}
    assert "homeport.api.datasharing.v1.ApplicationRegistry" in names

    def scrape(path: str) -> str:
        with urllib.request.urlopen(f"http://{server.metrics}{path}", timeout=10) as page:
            return page.read().decode()

    def figure(page: str, name: str) -> float:
        (line,) = (line for line in page.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    before = await asyncio.to_thread(scrape, "/metrics")
    decided_before = figure(before, "homeport_decisions_events_total")
    await publish(feeds, tenant, event("a"), event("b", {}))
    page = await asyncio.to_thread(scrape, "/metrics")
    assert 'homeport_feeds_events_total{outcome="refused_invalid_argument"}' in page
    assert figure(page, "homeport_decisions_events_total") == decided_before + 1
    assert figure(page, "homeport_database_connected") == 1
    assert await asyncio.to_thread(scrape, "/readyz") == "ready\n"


TOKENS = """
[[token]]
name = "operator"
rights = ["operate", "submit", "publish"]
sha256 = "{operator}"
[[token]]
name = "traffic"
rights = ["publish", "read-feeds"]
tenant = "city"
application = "traffic"
sha256 = "{traffic}"
"""


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


async def test_tokens_and_tls_hold_on_grpc_and_http(tmp_path):
    key, certificate = self_signed()
    for name, content in (("key", key), ("cert", certificate)):
        (tmp_path / f"{name}.pem").write_bytes(content)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("operator", "traffic")}
    (tmp_path / "tokens.toml").write_text(TOKENS.format(**digests))
    arguments = [
        f"--tokens={tmp_path / 'tokens.toml'}", f"--tls-key={tmp_path / 'key.pem'}",
        f"--tls-certificate={tmp_path / 'cert.pem'}",
    ]  # fmt: skip
    trusted = grpc.ssl_channel_credentials(certificate)
    with SharingServer(tmp_path, *arguments) as server:
        async with grpc.aio.secure_channel(server.address, trusted) as channel:
            registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
            await registry.SubmitApplication(
                submission(text(traffic()), tenant="city"), timeout=30, metadata=bearer("operator")
            )
            feeds = feed_pb2_grpc.FeedServiceStub(channel)
            request = pb.PublishEventRequest(event=event("a"))
            kept = await feeds.PublishEvent(request, timeout=10, metadata=bearer("traffic"))
            assert kept.position == 1
            for tenant, token, code in (
                ("bank", "traffic", "PERMISSION_DENIED"),
                ("city", "nobody", "UNAUTHENTICATED"),
                ("city", "", "UNAUTHENTICATED"),
            ):
                metadata = bearer(token) if token else []
                for call in (
                    feeds.PublishEvent(
                        pb.PublishEventRequest(tenant=tenant, event=event("b")),
                        timeout=10,
                        metadata=metadata,
                    ),
                    feeds.Tail(pb.TailRequest(tenant=tenant), timeout=10, metadata=metadata).read(),
                    registry.GetApplication(
                        registry_pb2.GetApplicationRequest(tenant=tenant, name="traffic"),
                        timeout=10,
                        metadata=metadata,
                    ),
                ):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await call
                    assert refused.value.code().name == code
        context = ssl.create_default_context(cadata=certificate.decode())
        for headers, status in (
            ({"authorization": "Bearer traffic"}, 200),
            ({}, 401),
            ({"authorization": "Bearer operator"}, 200),
        ):
            told = await asyncio.to_thread(post, server, "city", DATA, HEADERS | headers, context)
            assert told[0] == status, told
        told = await asyncio.to_thread(
            post, server, "bank", DATA, HEADERS | {"authorization": "Bearer traffic"}, context
        )
        assert told[0] == 403


async def test_events_outlive_a_kill_and_a_drain_ends_readers(tmp_path):
    with SharingServer(tmp_path) as first:
        async with grpc.aio.insecure_channel(first.address) as channel:
            await registry_pb2_grpc.ApplicationRegistryStub(channel).SubmitApplication(
                submission(text(traffic()), tenant="shop"), timeout=30
            )
            feeds = feed_pb2_grpc.FeedServiceStub(channel)
            results = await publish(feeds, "shop", event("a"), event("b"))
            assert [one.position for one in results] == [1, 2]
            first.kill()
    with SharingServer(tmp_path) as second:
        async with grpc.aio.insecure_channel(second.address) as channel:
            feeds = feed_pb2_grpc.FeedServiceStub(channel)
            again = await publish(feeds, "shop", event("b"), event("c"))
            assert [(one.position, one.duplicate) for one in again] == [(2, True), (3, False)]
            assert [one.event.id for one in await read(feeds, "shop")] == ["a", "b", "c"]
            call = feeds.Tail(pb.TailRequest(tenant="shop", follow=True), timeout=60)
            await publish(feeds, "shop", event("d"))
            assert (await call.read()).position == 4
            second.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await call.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(second.process.wait, 30) == 0
