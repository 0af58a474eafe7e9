"""What agents tell Prometheus, and of their health, over real connections."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from console.local.etcd_process import free_ports
from control_plane.errors import InvalidInput
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.telemetry.endpoint import Readiness
from deployment_units.agent.metrics import AgentMetrics
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.transport import connector
from deployment_units.agent.wiring import ServingUnits, build_agent, run_agents
from deployment_units.services.gateway.waiting import WaitingNow
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.certificates import Authority
from tests.support.fakes.fleet_service import FakeFleet

WAIT_S = 20.0


def fake_fleet() -> FakeFleet:
    ring = KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),))
    return FakeFleet(TicketIssuer(ring))


@asynccontextmanager
async def running(settings: AgentSettings) -> AsyncIterator[ServingUnits]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_agents(settings, stop=stop, on_ready=ready.set_result))
    try:
        yield await asyncio.wait_for(ready, WAIT_S)
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def get(address: str, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=WAIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    return await asyncio.to_thread(ask)


async def told(address: str) -> dict[str, float]:
    """Samples by name with labels, as they stand on the page."""
    _, page = await get(address, "/metrics")
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def settings(address: str, **more: object) -> AgentSettings:
    return AgentSettings(unit="u", server=address, metrics_listen="127.0.0.1:0", **more)


async def test_admissions_are_counted_by_what_became_of_them() -> None:
    fleet = fake_fleet()
    async with fleet.serving() as server, running(settings(server, tenants="acme")) as units:
        now = time.time()
        tickets = {
            "admitted": fleet.issuer.issue("u", "acme", "alice", 1, now, 60),
            "wrong_unit": fleet.issuer.issue("v", "acme", "alice", 1, now, 60),
            "foreign_tenant": fleet.issuer.issue("u", "shop", "alice", 1, now, 60),
            "expired": fleet.issuer.issue("u", "acme", "bob", 1, now - 600, 60),
            "malformed": "no ticket",
        }
        async with grpc.aio.insecure_channel(units.endpoints["u"]) as channel:
            stub = unit_pb2_grpc.UnitServiceStub(channel)
            for ticket in (*tickets.values(), tickets["admitted"]):
                await stub.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Admit(unit_pb2.AdmitRequest(), timeout=WAIT_S)
        page = await told(units.metrics)
        counted = {
            reason: page[f'homeport_agent_admissions_total{{reason="{reason}",unit="u"}}']
            for reason in tickets
        }
        assert counted == {
            "admitted": 2, "wrong_unit": 1, "foreign_tenant": 1, "expired": 1, "malformed": 2,
        }  # fmt: skip
        assert page['homeport_agent_admitted_clients{unit="u"}'] == 1
        assert not [name for name in page if "alice" in name or "bob" in name]


async def test_a_unit_is_registered_and_ready_while_it_is_heard_and_then_degraded() -> None:
    fleet = fake_fleet()
    began = time.time()
    async with AsyncExitStack() as stack:
        async with fleet.serving() as server:
            units = await stack.enter_async_context(running(settings(server, ttl_s=2)))
            page = await told(units.metrics)
            assert page['homeport_agent_registered{unit="u"}'] == 1
            heard = page['homeport_agent_heartbeat_acknowledged_timestamp_seconds{unit="u"}']
            assert began - 1 <= heard <= time.time() + 1
            assert await get(units.metrics, "/readyz") == (200, "ready\n")
        async with asyncio.timeout(WAIT_S):
            while (await told(units.metrics))['homeport_agent_registered{unit="u"}']:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await get(units.metrics, "/readyz") == (200, "degraded\n")
        assert await get(units.metrics, "/healthz") == (200, "alive\n")


async def test_a_unit_that_was_never_registered_is_alive_and_not_ready() -> None:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    stop = asyncio.Event()
    fleet = fake_fleet()
    fleet.silent = True
    async with fleet.serving() as server:
        given = settings(server).model_copy(update={"metrics_listen": address})
        task = asyncio.create_task(run_agents(given, stop=stop, on_ready=lambda units: None))
        async with asyncio.timeout(WAIT_S):
            while not fleet.beats:  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.01)
        assert await get(address, "/healthz") == (200, "alive\n")
        assert await get(address, "/readyz") == (503, "not ready\n")
        page = await told(address)
        assert page['homeport_agent_registered{unit="u"}'] == 0
        assert page['homeport_agent_heartbeat_acknowledged_timestamp_seconds{unit="u"}'] == 0
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def test_without_an_address_there_is_no_port() -> None:
    fleet = fake_fleet()
    async with fleet.serving() as server, running(AgentSettings(unit="u", server=server)) as units:
        assert units.metrics == ""


async def test_a_port_that_is_taken_is_told_and_nothing_runs_on() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        given = AgentSettings(unit="u", metrics_listen=f"127.0.0.1:{port}")
        with pytest.raises(InvalidInput, match="metrics-listen"):
            await run_agents(given, stop=asyncio.Event(), on_ready=lambda units: None)


async def test_a_removed_unit_is_not_told_of_as_if_it_were_away() -> None:
    agent = build_agent(AgentSettings(unit="u", server="127.0.0.1:1"), None)
    metrics = AgentMetrics([agent])
    registry = CollectorRegistry()
    registry.register(metrics)
    assert metrics.readiness() is Readiness.NOT_READY
    agent.registration.settled.set()
    assert metrics.readiness() is Readiness.DEGRADED
    assert registry.get_sample_value("homeport_agent_registered", {"unit": "u"}) == 0
    agent.registration.removed = True
    assert metrics.readiness() is Readiness.READY
    assert registry.get_sample_value("homeport_agent_registered", {"unit": "u"}) is None


async def test_certificates_tell_when_they_expire_also_after_they_were_replaced(
    tmp_path: Path,
) -> None:
    authority = Authority.new()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate)
    shown, key = authority.write(tmp_path, "unit", days=1)
    mine, my_key = authority.write(tmp_path, "agent", days=2)
    fleet = fake_fleet()
    async with fleet.serving() as server:
        given = settings(server, tls_certificate=shown, tls_key=key, tls_client_ca=ca)
        async with running(given) as units:
            name = 'homeport_tls_certificate_expiry_timestamp_seconds{certificate="%s"}'
            page = await told(units.metrics)
            assert page[name % "server"] == pytest.approx(time.time() + 86_400, abs=7_200)
            assert name % "client_ca" in page
            assert name % "client" not in page
    connect = connector(AgentSettings(unit="u", ca=ca, certificate=mine, certificate_key=my_key))
    before = connect.certificate()
    assert before == mine.read_bytes()
    newer, its_key = authority.write(tmp_path, "newer", days=90)
    newer.replace(mine)
    assert connect.certificate() == before  # it does not fit its key yet
    its_key.replace(my_key)
    assert connect.certificate() == mine.read_bytes() != before


async def test_browsers_are_told_of_where_they_are_served(tmp_path: Path) -> None:
    given = AgentSettings(
        unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path,
        http_listen="127.0.0.1:0",
    )  # fmt: skip
    agent = build_agent(given, None)
    try:
        assert agent.web is not None
        agent.web.door.answered |= {200: 3, 401: 1}
        agent.web.streams.open, agent.web.streams.dropped = 2, 1
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))
        for name, labels, value in [
            ("requests_total", {"status": "200"}, 3),
            ("requests_total", {"status": "401"}, 1),
            ("streams", {}, 2),
            ("dropped_streams_total", {}, 1),
        ]:
            found = registry.get_sample_value(f"homeport_agent_web_{name}", {"unit": "u", **labels})
            assert found == value
    finally:
        await agent.keeping.close()


async def test_mail_is_told_of_where_it_is_taken(tmp_path: Path) -> None:
    given = AgentSettings(
        unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path,
        smtp_listen="127.0.0.1:0", mail_domain="talk.example",
    )  # fmt: skip
    agent = build_agent(given, None)
    try:
        assert agent.smtp is not None
        agent.smtp.replies |= {("mail", 250): 3, ("recipient", 550): 2}
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))
        found = {
            (of, code): registry.get_sample_value(
                "homeport_agent_smtp_replies_total", {"unit": "u", "of": of, "code": code}
            )
            for of, code in (("mail", "250"), ("recipient", "550"))
        }
        assert found == {("mail", "250"): 3, ("recipient", "550"): 2}
        assert registry.get_sample_value("homeport_agent_smtp_connections", {"unit": "u"}) == 0
    finally:
        await agent.keeping.close()


async def test_warnings_of_what_a_message_would_show_are_told_of(tmp_path: Path) -> None:
    given = AgentSettings(unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path)
    agent = build_agent(given, None)
    try:
        assert agent.identities is not None
        agent.identities.answered.update(["suggestion", "suggestion", "reply"])
        agent.identities.warned.update(["blind copy"])
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))
        answers, warnings = "homeport_agent_identity_answers", "homeport_agent_identity_warnings"
        of = {"unit": "u", "of": "suggestion"}
        assert registry.get_sample_value(f"{answers}_total", of) == 2
        about = {"unit": "u", "rule": "blind copy"}
        assert registry.get_sample_value(f"{warnings}_total", about) == 1
    finally:
        await agent.keeping.close()


async def test_observed_browsers_are_told_of(tmp_path: Path) -> None:
    given = AgentSettings(unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path)
    agent = build_agent(given, None)
    try:
        assert agent.devices is not None
        agent.devices.observed.update(["linked", "linked", "none_agrees"])
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))
        found = {
            decision: registry.get_sample_value(
                "homeport_agent_observed_browsers_total", {"unit": "u", "decision": decision}
            )
            for decision in ("linked", "none_agrees")
        }
        assert found == {"linked": 2, "none_agrees": 1}
    finally:
        await agent.keeping.close()


async def test_deliveries_are_told_of(tmp_path: Path) -> None:
    given = AgentSettings(unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path)
    agent = build_agent(given, None)
    try:
        assert agent.outbox is not None
        agent.outbox.attempts |= {("mail", "handed_over"): 3}
        agent.outbox.ended |= {"delivered": 2}
        assert agent.inviting is not None
        agent.inviting.counts["put off"] += 1
        assert agent.calls is not None
        agent.calls.calls.routed["call", "not-found"] += 2
        agent.calls.reports.dropped = 3
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))

        def told_of(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"homeport_agent_{name}", {"unit": "u", **labels})

        assert told_of("delivery_attempts_total", channel="mail", outcome="handed_over") == 3
        assert told_of("deliveries_ended_total", state="delivered") == 2
        assert told_of("invitation_steps_total", outcome="put_off") == 1
        assert told_of("routed_calls_total", kind="call", outcome="not_found") == 2
        assert told_of("dropped_call_reports_total") == 3
        assert told_of("outbox_waiting_deliveries") == 0
        assert told_of("outbox_oldest_timestamp_seconds") is None
        agent.outbox.waiting = WaitingNow(7, 1_500)
        assert told_of("outbox_waiting_deliveries") == 7
        assert told_of("outbox_oldest_timestamp_seconds") == 1.5
    finally:
        await agent.keeping.close()


async def test_what_is_done_for_applications_is_told(tmp_path: Path) -> None:
    given = AgentSettings(unit="u", server="127.0.0.1:1", accounts=True, state_dir=tmp_path)
    agent = build_agent(given, None)
    try:
        assert agent.applications is not None
        agent.applications.counts.update(published=3, refused=1, replies=2, failures=4)
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))
        for name, labels, value in [
            ("applications", {}, 0),
            ("application_events_total", {"outcome": "published"}, 3),
            ("application_events_total", {"outcome": "refused"}, 1),
            ("application_replies_total", {}, 2),
            ("application_failures_total", {}, 4),
        ]:
            found = registry.get_sample_value(f"homeport_agent_{name}", {"unit": "u", **labels})
            assert found == value
    finally:
        await agent.keeping.close()
