"""A data-sharing server as operators meet it: health, metrics, tokens, TLS, kills and drains."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import ssl
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2, registry_pb2_grpc
from tests.end_to_end.sharing.calls import DATA, HEADERS, post, publish, read
from tests.support.certificates import self_signed
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.submissions import event, text, traffic


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
    certificate, key = self_signed()
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
                        registry_pb2.GetApplicationRequest(tenant=tenant, application="traffic"),
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
