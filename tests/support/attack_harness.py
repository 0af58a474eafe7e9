"""Servers as they are attacked: tokens on, two tenants, and a probe of the one that does nothing
wrong."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import msgspec

from control_plane.fleet_messages import spec_to_proto
from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc, registry_pb2_grpc
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support import servers
from tests.support.attacks.credentials import bearer
from tests.support.attacks.probe import Probed, probe
from tests.support.attacks.target import (
    BANK,
    CITY,
    LIMITED_PER_S,
    SHOP,
    VICTIM,
    Attempts,
    Target,
)
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.submissions import event, text, traffic

Record = Callable[..., None]

RATE_PER_S = 50.0
HEALTH_RATE_PER_S = 2.0
CALL_S = 10.0
SETTLE_S = 0.5  # of an attack, before the probe counts
ENTRIES = {
    "admin": 'roles = ["admin"]',
    "bank-admin": f'roles = ["admin"]\ntenant = "{BANK}"',
    "viewer": 'roles = ["viewer"]',
    "dublin": 'roles = ["unit"]\nunits = ["dublin"]',
    "nothing": "roles = []",
    "gateway": f'roles = ["gateway"]\ntenant = "{CITY}"',
    "shop": f'roles = ["gateway", "producer"]\ntenant = "{SHOP}"',
    "producer": f'roles = ["producer"]\ntenant = "{CITY}"\napplication = "traffic"',
}
TOKENS = {name: f"token-of-{name}" for name in ENTRIES}
ATTACKERS = ("bank-admin", "viewer", "dublin", "nothing")


def quotas_of(quota: str) -> str:
    """What a server is told of the quota that it counts."""
    return f"--quotas={msgspec.json.encode({quota: {f'tenant:{SHOP}': LIMITED_PER_S}}).decode()}"


def write_tokens(folder: Path) -> Path:
    """The tokens file of a server."""
    path = folder / "tokens.toml"
    path.write_text(
        "\n".join(
            f'[[token]]\nname = "{name}"\n{entry}\n'
            f'sha256 = "{hashlib.sha256(TOKENS[name].encode()).hexdigest()}"\n'
            for name, entry in ENTRIES.items()
        )
    )
    path.chmod(0o600)
    return path


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """A server under attack. ask(n), ask_http(n): the probe's n-th call, as gRPC and as HTTP;
    both raise as `probe` says."""

    service: str
    target: Target
    ask: Callable[[int], Awaitable[object]]
    ask_http: Callable[[int], Awaitable[object]]

    def asks(self, name: str) -> Callable[[int], Awaitable[object]]:
        """What the probe asks beside this attack: over HTTP where that is attacked."""
        return self.ask_http if name.startswith("http: ") else self.ask

    async def quiet(self, name: str, seconds: float) -> Probed:
        """The probe alone, as it is beside this attack."""
        end = time.monotonic() + seconds
        ask = self.asks(name)
        return await probe(ask, rate_per_s=RATE_PER_S, while_=lambda: time.monotonic() < end)

    async def under(self, name: str, seconds: float) -> tuple[Probed, Probed, Attempts]:
        """The probe beside an attack, by its name, and who asks for the server's health."""
        target = msgspec.structs.replace(self.target, seconds=seconds + SETTLE_S)
        attacker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.attacks.attacker", self.service, name,
            msgspec.json.encode(target).decode(),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await asyncio.sleep(SETTLE_S)
            probed, health = await asyncio.gather(
                *(
                    probe(ask, rate_per_s=rate_per_s, while_=lambda: attacker.returncode is None)
                    for ask, rate_per_s in (
                        (self.asks(name), RATE_PER_S),
                        (self._ask_health, HEALTH_RATE_PER_S),
                    )
                )
            )
            async with asyncio.timeout(CALL_S):
                said, _ = await attacker.communicate()
        finally:
            if attacker.returncode is None:
                attacker.kill()
                await attacker.wait()
        assert attacker.returncode == 0, "the attack itself failed"
        return probed, health, msgspec.json.decode(said, type=Attempts)

    async def _ask_health(self, number: int) -> None:
        """Raises OSError where it is not ready."""
        async with asyncio.timeout(CALL_S):
            host, _, port = self.target.metrics.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
            if b" 200 " not in status:
                raise ConnectionError(f"health says {status!r}")


@asynccontextmanager
async def http_probe(address: str, token: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """post(path, body, kind): raises OSError where that is not answered with 200."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(
        f"http://{address}", headers=headers, timeout=aiohttp.ClientTimeout(CALL_S)
    ) as session:

        async def post(path: str, body: object, kind: str = "application/json") -> None:
            sent = msgspec.json.encode(body)
            try:
                async with session.post(path, data=sent, headers={"Content-Type": kind}) as answer:
                    said = await answer.text()
            except aiohttp.ClientError as error:
                raise ConnectionError(str(error)) from error
            if answer.status != 200:
                raise ConnectionError(f"{answer.status}: {said}")

        yield post


@asynccontextmanager
async def attacked_provisioner(folder: Path, store: str, transport: str) -> AsyncIterator[Attacked]:
    """A provisioner whose tenants are the city and the bank."""
    arguments = (
        f"--transport={transport}", f"--tokens={write_tokens(folder)}", "--drain-s=0",
        "--http-listen=127.0.0.1:0", quotas_of("provisions"),
    )  # fmt: skip
    with servers.Server(folder, "server", store, *arguments) as server:
        async with (
            grpc.aio.insecure_channel(server.address) as channel,
            http_probe(str(server.told["http"]), TOKENS["gateway"]) as post,
        ):
            stub = pb_grpc.ProvisioningServiceStub(channel)
            gateway: dict[str, Any] = {
                "metadata": bearer(TOKENS["gateway"]), "timeout": CALL_S,
            }  # fmt: skip
            await _prepare(channel)
            victim = pb.ProvisionRequest(tenant=CITY, client_id=VICTIM)
            ticket = (await _placed(stub, victim, gateway)).ticket
            await stub.ReleaseAssignment(
                pb.ReleaseAssignmentRequest(tenant=CITY, client_id=VICTIM), **gateway
            )
            await stub.Provision(victim, **gateway)

            def name_of(number: int) -> str:
                """A new client, and one that is known, in turn."""
                return VICTIM if number % 2 else f"probe-{number}-{time.monotonic_ns()}"

            async def ask(number: int) -> object:
                return await stub.Provision(
                    pb.ProvisionRequest(tenant=CITY, client_id=name_of(number)), **gateway
                )

            async def ask_http(number: int) -> object:
                return await post(f"/v1/tenants/{CITY}/clients/{name_of(number)}:provision", {})

            yield Attacked(
                service="provisioner",
                target=Target(
                    address=server.address,
                    http=str(server.told["http"]),
                    metrics=server.metrics,
                    seconds=0.0,
                    tokens={name: TOKENS[name] for name in ATTACKERS},
                    ticket=ticket,
                    limited=TOKENS["shop"],
                ),
                ask=ask,
                ask_http=ask_http,
            )


async def _prepare(channel: grpc.aio.Channel) -> None:
    admin: dict[str, Any] = {"metadata": bearer(TOKENS["admin"]), "timeout": CALL_S}
    fleet = fleet_pb2_grpc.FleetServiceStub(channel)
    for spec in servers.units(dublin=1_000_000, virginia=1_000_000):
        await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(spec)), **admin)
    tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
    for name in (CITY, BANK, SHOP):
        request = tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant=name))
        await tenants.ApplyTenant(request, **admin)


async def _placed(
    stub: pb_grpc.ProvisioningServiceStub, request: pb.ProvisionRequest, options: dict[str, Any]
) -> pb.ProvisionResponse:
    """Once the server has heard of its fleet."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer: pb.ProvisionResponse = await stub.Provision(request, **options)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (
                    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE,
                ):  # fmt: skip
                    raise
                await asyncio.sleep(0.05)
            else:
                return answer


@asynccontextmanager
async def attacked_data_sharing(folder: Path, transport: str) -> AsyncIterator[Attacked]:
    """A data-sharing server on which the city publishes its traffic."""
    arguments = (
        f"--transport={transport}", f"--tokens={write_tokens(folder)}", "--drain-s=0",
        quotas_of("events"),
    )  # fmt: skip
    with SharingServer(folder, *arguments) as server:
        async with (
            grpc.aio.insecure_channel(server.address) as channel,
            http_probe(server.http, TOKENS["producer"]) as post,
        ):
            await registry_pb2_grpc.ApplicationRegistryStub(channel).SubmitApplication(
                submission(text(traffic()), tenant=CITY),
                metadata=bearer(TOKENS["admin"]),
                timeout=30,
            )
            feeds = feed_pb2_grpc.FeedServiceStub(channel)
            producer = bearer(TOKENS["producer"])

            async def ask(number: int) -> object:
                """An event, kept durably."""
                one = event(f"probe-{number}-{time.monotonic_ns()}")
                return await feeds.PublishEvent(
                    feed_pb2.PublishEventRequest(tenant=CITY, event=one),
                    metadata=producer,
                    timeout=CALL_S,
                )

            async def ask_http(number: int) -> object:
                one = event("")
                return await post(
                    f"/v1/tenants/{CITY}/events",
                    {
                        "specversion": one.spec_version,
                        "id": f"probe-{number}-{time.monotonic_ns()}",
                        "source": one.source,
                        "type": one.type,
                        "data": msgspec.json.decode(one.text_data),
                    },
                    "application/cloudevents+json",
                )

            yield Attacked(
                service="data-sharing",
                target=Target(
                    address=server.address,
                    http=server.http,
                    metrics=server.metrics,
                    seconds=0.0,
                    tokens={name: TOKENS[name] for name in ATTACKERS},
                    limited=TOKENS["shop"],
                ),
                ask=ask,
                ask_http=ask_http,
            )
