"""The servers that serve the contract, as processes: a provisioner on the embedded store, a
data-sharing server, and the agent of a unit. Which serves what they say themselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support import servers
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.fuzz.words import PLAN, RULES
from tests.support.submissions import COFFEE, coffee, event, text, traffic

BY_TICKET = frozenset({
    "homeport.api.communication.v1.ConversationService",
    "homeport.api.communication.v1.DeliveryService",
    "homeport.api.communication.v1.IdentityService",
    "homeport.api.communication.v1.ProfileService",
    "homeport.api.communication.v1.TelephonyService",
})  # fmt: skip
CALM = "calm"  # a tenant that no made-up request names
WITHIN_S = 60.0
TRANSPORTS = ("native", "grpcio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """addresses: by the full name of a service. logs: of the processes."""

    addresses: dict[str, str]
    logs: tuple[Path, ...]
    processes: tuple[subprocess.Popen[bytes], ...]
    http: str  # for events
    http_clients: str
    provisioner: str
    sharing: str
    agent: str

    def good_calls(self) -> None:
        """What has to be answered whatever came before. Raises what a call raises."""
        with grpc.insecure_channel(self.provisioner) as channel:
            fleet = fleet_pb2_grpc.FleetServiceStub(channel)
            fleet.ListUnits(fleet_pb2.ListUnitsRequest(), timeout=WITHIN_S)
        with grpc.insecure_channel(self.sharing) as channel:
            feeds = feed_pb2_grpc.FeedServiceStub(channel)
            request = feed_pb2.PublishEventRequest(tenant=CALM, event=event(str(time.time_ns())))
            feeds.PublishEvent(request, timeout=WITHIN_S)
        with grpc.insecure_channel(self.agent) as channel:
            unit = unit_pb2_grpc.UnitServiceStub(channel)
            assert not unit.Admit(unit_pb2.AdmitRequest(ticket="x"), timeout=WITHIN_S).admitted

    def shown(self, service: str) -> tuple[tuple[str, str], ...]:
        """What a call to the service has to show to be looked at: a ticket for the unit."""
        if service not in BY_TICKET:
            return ()
        request = provisioning_pb2.ProvisionRequest(tenant="default", client_id="in mumbai")
        request.position.latitude, request.position.longitude = 19.0, 72.8
        with grpc.insecure_channel(self.provisioner) as channel:
            stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            home = stub.Provision(request, timeout=WITHIN_S)
        assert home.assignment.unit_id == "mumbai"
        return (("authorization", f"Bearer {home.ticket}"),)

    def tracebacks(self) -> list[str]:
        """Lines of the logs that tell of a defect."""
        return [
            line
            for log in self.logs
            for line in log.read_text(errors="replace").splitlines()
            if "traceback" in line.casefold()
        ]


@contextmanager
def serving(folder: Path, transport: str) -> Iterator[Services]:
    """All three, and what good calls need."""
    with ExitStack() as stack:
        store = f"embedded:{folder / 'store.db'}"
        (provisioner,) = servers.start(
            stack, folder, store, 1, f"--transport={transport}", "--http-listen=127.0.0.1:0"
        )
        asyncio.run(servers.apply(provisioner.address, servers.units(
            dublin=1_000, virginia=1_000, singapore=2,
        )))  # fmt: skip
        sharing = stack.enter_context(SharingServer(folder, f"--transport={transport}"))
        _give_something_to_ask_for(sharing.address)
        agent_log = folder / "agent.log"
        agent, address = stack.enter_context(_agent(folder, provisioner.address, agent_log))
        found = {
            service: at
            for at in (provisioner.address, sharing.address, address)
            for service in _services_of(at)
            if service.startswith("homeport.")
        }
        yield Services(
            addresses=found,
            logs=(folder / "server-0.log", folder / "server.log", agent_log),
            processes=(provisioner.process, sharing.process, agent),
            http=sharing.http,
            http_clients=str(provisioner.told["http"]),
            provisioner=provisioner.address,
            sharing=sharing.address,
            agent=address,
        )


def _give_something_to_ask_for(address: str) -> None:
    """Applications, rules, plans and events that lead to decisions, under the names that made-up
    requests use: what is not there is refused before anything is looked at."""
    with grpc.insecure_channel(address) as channel:
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        rules, plans = (
            rule_pb2_grpc.RuleServiceStub(channel),
            plan_pb2_grpc.PlanServiceStub(channel),
        )
        feeds = feed_pb2_grpc.FeedServiceStub(channel)
        for tenant in (CALM, "default", "shop"):
            for manifest, artifact in ((traffic(), b""), (coffee(), COFFEE)):
                parts = submission(text(manifest), artifact, tenant=tenant)
                answer = registry.SubmitApplication(parts, timeout=WITHIN_S)
                assert answer.WhichOneof("result") == "accepted", answer
            rules.ApplyRules(
                rule_pb2.ApplyRulesRequest(tenant=tenant, document=RULES), timeout=WITHIN_S
            )
            for name in ("work", "once"):
                spec = json.dumps({**PLAN, "plan": name})
                plans.CreatePlan(
                    plan_pb2.CreatePlanRequest(tenant=tenant, spec=spec), timeout=WITHIN_S
                )
            slow = [event(str(n), {"road": "A1", "speed_kmh": n}) for n in range(10)]
            feeds.PublishBatch(
                feed_pb2.PublishBatchRequest(tenant=tenant, events=slow), timeout=WITHIN_S
            )


@contextmanager
def _agent(folder: Path, server: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Of a unit that no made-up request names."""
    ready = folder / "agent.json"
    units = folder / "units.yaml"
    units.write_text(
        "units:\n  - {id: mumbai, endpoint: 'mumbai.example.net:443', country: IN, "
        "position: {latitude: 19.0, longitude: 72.8}, capacity: 10}\n"
    )
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployment_units.agent", f"--units={units}",
             f"--server={server}", f"--ready-file={ready}", "--accounts",
             f"--state-dir={folder / 'accounts'}", "--smtp-listen=127.0.0.1:0",
             "--mail-domain=talk.example"],
            stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        end = time.monotonic() + WITHIN_S
        while not ready.exists():
            gone = process.poll() is not None or time.monotonic() > end
            assert not gone, log.read_text()
            time.sleep(0.05)
        yield process, json.loads(ready.read_text())["units"]["mumbai"]
    finally:
        process.terminate()
        process.wait(30)


def _services_of(address: str) -> list[str]:
    """By the server's own word."""
    with grpc.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(ask, timeout=WITHIN_S)
    return [one.name for one in answer.list_services_response.service]
