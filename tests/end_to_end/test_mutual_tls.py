"""mTLS between real processes, each with a certificate of its own and no token anywhere: what has
the right one works, and what has a wrong one is refused, with the reason in the server's log."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest

import homeport
from homeport.api.datasharing.v1 import (
    platform_pb2,
    platform_pb2_grpc,
    registry_pb2_grpc,
)
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support.agent_processes import ended_agent, start_agent, unit_agent
from tests.support.certificates import Authority
from tests.support.command_line import Ran, run_process
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.platforms import PlatformProcess
from tests.support.server_process import ServerProcess
from tests.support.servers import Server
from tests.support.submissions import COFFEE, coffee, text, traffic

DOMAIN = "example.net"
LIMIT_S = 60.0
UNAUTHENTICATED, DENIED, AWAY = (
    grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE,
)  # fmt: skip
Shown = tuple[Path, Path] | None  # certificate and key; None: nothing


class Site:
    """A CA, and what its holders have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.new("site")
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.certificate)

    def shown(
        self, path: str, *, domain: str = DOMAIN, by: Authority | None = None, expired: bool = False
    ) -> tuple[Path, Path]:
        """path: of the SPIFFE ID; empty: the certificate has none."""
        name = f"{domain}-{path}".replace("/", "-") + ("-other" if by else "") + "-old" * expired
        uris = [f"spiffe://{domain}/{path}"] if path else []
        issuer = by or self.authority
        return issuer.write(self.folder, name, uris=uris, expired=expired)

    def caller(self, path: str) -> tuple[str, ...]:
        """The arguments of a program that calls."""
        certificate, key = self.shown(path)
        return f"--ca={self.ca}", f"--certificate={certificate}", f"--certificate-key={key}"

    def serving(self, name: str) -> tuple[str, ...]:
        """The arguments of a program that is called."""
        certificate, key = self.authority.write(self.folder, name)
        shown = f"--tls-certificate={certificate}", f"--tls-key={key}"
        return (*shown, f"--tls-client-ca={self.ca}")

    def channel(self, address: str, shown: Shown) -> grpc.aio.Channel:
        certificate, key = (None, None) if shown is None else (one.read_bytes() for one in shown)
        credentials = grpc.ssl_channel_credentials(self.authority.certificate, key, certificate)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(address, credentials, options=options)

    def handshake(self, address: str, shown: tuple[Path, Path]) -> bytes:
        """Which certificate the server shows now; DER."""
        host, _, port = address.rpartition(":")
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*shown)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(port)), LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Both servers, with nothing else of who may call."""

    site: Site
    transport: str
    provisioner: Server
    sharing: SharingServer

    def command(self, path: str, *arguments: str) -> Ran:
        """`homeport` with this certificate."""
        return run_process(
            *arguments, *self.site.caller(path), HOMEPORT_SERVER=self.provisioner.address,
            HOMEPORT_DATA_SERVER=self.sharing.address, HOMEPORT_CA=str(self.site.ca),
        )  # fmt: skip


@pytest.fixture(scope="module")
def stack_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stack]]:
    """`stack_on(transport)` is the one of the module, begun when it is asked for first."""
    with ExitStack() as begun:

        @cache
        def on(transport: str) -> Stack:
            return begun.enter_context(running(tmp_path_factory.mktemp(transport), transport))

        yield on


@pytest.fixture(scope="module", params=["native", pytest.param("grpcio", marks=pytest.mark.slow)])
def stack(request: pytest.FixtureRequest, stack_on: Callable[[str], Stack]) -> Stack:
    return stack_on(request.param)


@pytest.fixture(scope="module")
def native(stack_on: Callable[[str], Stack]) -> Stack:
    return stack_on("native")


@contextmanager
def running(folder: Path, transport: str) -> Iterator[Stack]:
    site = Site(folder)
    for_both = (
        f"--certificate-trust-domain={DOMAIN}", "--certificate-operators=ann=admin",
        f"--transport={transport}", "--drain-s=0",
    )  # fmt: skip
    certificate, key = site.shown("server")
    to_units = f"--unit-ca={site.ca}", f"--unit-certificate={certificate}", f"--unit-key={key}"
    (folder / "sharing").mkdir()
    with ExitStack() as begun:
        made = [
            begun.push(one)
            for one in (
                Server(folder, "provisioner", f"embedded:{folder / 'store.db'}", *for_both,
                       *site.serving("provisioner"), *to_units),
                SharingServer(folder / "sharing", *for_both, *site.serving("sharing")),
            )
        ]  # fmt: skip
        for one in made:
            one.__enter__()
        provisioner, sharing = made
        assert isinstance(provisioner, Server)
        assert isinstance(sharing, SharingServer)
        yield Stack(site=site, transport=transport, provisioner=provisioner, sharing=sharing)


async def test_everything_works_without_a_token(stack: Stack, tmp_path: Path) -> None:
    site, address = stack.site, stack.provisioner.address
    await prepare(stack)
    agent = (*site.caller("unit/dublin"), *site.serving("dublin"))
    async with unit_agent(tmp_path, address, arguments=agent) as unit:
        certificate, key = site.shown("client/default/alice")
        tls = homeport.Tls.from_files(site.ca, certificate=certificate, key=key)
        async with homeport.AsyncClient(address, tls=tls) as client:
            home = await client.provision("alice", timeout_s=LIMIT_S)
        async with homeport.AsyncUnit(unit, tls=tls) as met:
            assert (await met.admit(home.ticket, timeout_s=LIMIT_S)).admitted
        async with homeport.AsyncUnit(unit, tls=homeport.Tls.from_files(site.ca)) as met:
            with pytest.raises(homeport.HomeportError):
                await met.admit(home.ticket, timeout_s=3.0)
        listed = await asyncio.to_thread(
            stack.command, "operator/ann", "units", "list", "-o", "json"
        )
        assert listed.code == 0, listed.err
        assert [one["id"] for one in listed.document["units"]] == ["dublin"]
    port = int(stack.sharing.address.rpartition(":")[2])
    hub = PlatformProcess(tmp_path, port, *site.caller("platform/default/hub"))
    try:
        assert (await hub.ready())["applications"] == {"coffee": "1.0.0"}
    finally:
        hub.kill()


async def prepare(stack: Stack) -> None:
    """Clients are let in by their certificates, and there is something to host; as an operator."""
    operator = stack.site.shown("operator/ann")
    async with stack.site.channel(stack.provisioner.address, operator) as channel:
        tenant = tenancy_pb2.Tenant(tenant="default", enrolment=[tenancy_pb2.ENROLMENT_METHOD_X509])
        await tenancy_pb2_grpc.TenantServiceStub(channel).ApplyTenant(
            tenancy_pb2.ApplyTenantRequest(tenant=tenant), timeout=LIMIT_S
        )
    async with stack.site.channel(stack.sharing.address, operator) as channel:
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        for manifest, artifact in ((traffic(), b""), (coffee(), COFFEE)):
            answer = await registry.SubmitApplication(
                submission(text(manifest), artifact), timeout=LIMIT_S
            )
            assert answer.WhichOneof("result") == "accepted", answer


async def list_units(channel: grpc.aio.Channel) -> None:
    stub = fleet_pb2_grpc.FleetServiceStub(channel)
    await stub.ListUnits(fleet_pb2.ListUnitsRequest(), timeout=LIMIT_S)


async def provision_bob(channel: grpc.aio.Channel) -> None:
    stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
    request = provisioning_pb2.ProvisionRequest(tenant="default", client_id="bob")
    await stub.Provision(request, timeout=LIMIT_S)


async def heartbeat_for_dublin(channel: grpc.aio.Channel) -> None:
    async def heartbeats() -> AsyncIterator[fleet_pb2.HeartbeatRequest]:
        yield fleet_pb2.HeartbeatRequest(unit_id="dublin")

    stream = fleet_pb2_grpc.FleetServiceStub(channel).Heartbeat(heartbeats(), timeout=LIMIT_S)
    async for _ in stream:
        pass


async def connect_as_hub(channel: grpc.aio.Channel) -> None:
    async def messages() -> AsyncIterator[platform_pb2.ConnectRequest]:
        hello = platform_pb2.Hello(tenant="default", platform="hub", incarnation="1")
        yield platform_pb2.ConnectRequest(hello=hello)

    stream = platform_pb2_grpc.PlatformServiceStub(channel).Connect(messages(), timeout=LIMIT_S)
    async for _ in stream:
        pass


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A certificate that does not fit what its holder asks. logged: by the server; empty: the
    transport does not tell."""

    shown: Callable[[Site], Shown]
    asks: Callable[[grpc.aio.Channel], Any] = list_units
    code: grpc.StatusCode
    logged: str


WRONG = {
    "of another CA": Wrong(
        shown=lambda site: site.shown("operator/ann", by=Authority.new("stranger")),
        code=AWAY, logged="the client's certificate: unable to get local issuer certificate",
    ),
    "of one who calls itself the CA": Wrong(
        shown=lambda site: site.shown("operator/ann", by=Authority.new("site")),
        code=AWAY, logged="the client's certificate: certificate signature failure",
    ),
    "none": Wrong(
        shown=lambda site: None, code=AWAY, logged="the client showed no certificate"
    ),
    "expired": Wrong(
        shown=lambda site: site.shown("operator/ann", expired=True),
        code=AWAY, logged="the client's certificate: certificate has expired",
    ),
    "of another trust domain": Wrong(
        shown=lambda site: site.shown("operator/ann", domain="evil.example"),
        code=UNAUTHENTICATED, logged="certificate-of-another-domain: spiffe://evil.example/",
    ),
    "without an identity": Wrong(
        shown=lambda site: site.shown(""),
        code=UNAUTHENTICATED, logged="certificate-without-identity",
    ),
    "of an operator nobody knows": Wrong(
        shown=lambda site: site.shown("operator/carl"),
        code=UNAUTHENTICATED, logged="certificate-of-unknown-operator",
    ),
    "of no kind that there is": Wrong(
        shown=lambda site: site.shown("server"),
        code=UNAUTHENTICATED, logged="certificate-of-unknown-kind",
    ),
    "of another role": Wrong(
        shown=lambda site: site.shown("unit/dublin"), asks=provision_bob,
        code=DENIED, logged="unit/dublin may not call this; it is for: ",
    ),
    "of another unit": Wrong(
        shown=lambda site: site.shown("unit/virginia"), asks=heartbeat_for_dublin,
        code=DENIED, logged='unit/virginia has nothing to do with unit_id',
    ),
    "of another client": Wrong(
        shown=lambda site: site.shown("client/default/eve"), asks=provision_bob,
        code=DENIED, logged="",
    ),
    "of another tenant's client": Wrong(
        shown=lambda site: site.shown("client/city/bob"), asks=provision_bob,
        code=DENIED, logged='client/city/bob has nothing to do with tenant',
    ),
    "of another platform": Wrong(
        shown=lambda site: site.shown("platform/default/car"), asks=connect_as_hub,
        code=DENIED, logged='platform/default/car has nothing to do with platform',
    ),
    "of another tenant's platform": Wrong(
        shown=lambda site: site.shown("platform/city/hub"), asks=connect_as_hub,
        code=DENIED, logged='platform/city/hub has nothing to do with tenant',
    ),
}  # fmt: skip


async def test_wrong_certificates_are_refused_each_in_its_own_way(stack: Stack) -> None:
    found, texts, lines = {}, set(), {}
    for case, wrong in WRONG.items():
        server: ServerProcess = stack.sharing if wrong.asks is connect_as_hub else stack.provisioner
        async with stack.site.channel(server.address, wrong.shown(stack.site)) as channel:
            try:
                await wrong.asks(channel)
                found[case] = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                found[case] = error.code()
                if error.code() is UNAUTHENTICATED:
                    texts.add(error.details())
        if wrong.code is not AWAY or stack.transport == "native":  # grpcio ends TLS by itself
            lines[case] = server, wrong.logged
    assert found == {case: wrong.code for case, wrong in WRONG.items()}
    assert len(texts) == 1, "whoever is nobody hears one text"
    deadline = time.monotonic() + LIMIT_S
    while unlogged := [case for case, (on, line) in lines.items() if line not in written(on)]:
        assert time.monotonic() < deadline, unlogged
        await asyncio.sleep(0.1)


def written(server: ServerProcess) -> str:
    return server.log_file.read_text()


async def test_programs_with_anothers_certificate_end_with_a_word(
    native: Stack, tmp_path: Path
) -> None:
    site, port = native.site, int(native.sharing.address.rpartition(":")[2])
    virginia = site.caller("unit/virginia")
    agent = await start_agent("--unit=dublin", f"--server={native.provisioner.address}", *virginia)
    hub = PlatformProcess(tmp_path, port, *site.caller("platform/default/car"))
    command = asyncio.create_task(
        asyncio.to_thread(native.command, "client/default/alice", "units", "list")
    )
    code, said = await ended_agent(agent)
    assert (code, "unit/virginia has nothing to do with unit" in said) == (1, True), said
    code, said = await hub.ends(), hub.log.read_text()
    assert (code, "default/car has nothing to do with platform" in said) == (1, True), said
    denied = await command
    assert (denied.code, "may not call this" in denied.err) == (1, True), denied.err


async def test_a_certificate_that_is_replaced(stack: Stack) -> None:
    """By a broken one: the one before stays, and it is said. By a good one: it is taken."""
    site, server = stack.site, stack.provisioner
    operator, files = site.shown("operator/ann"), site.folder / "provisioner.pem"
    before = site.handshake(server.address, operator)
    good = files.read_bytes()
    files.write_bytes(good[: len(good) // 2])
    kept = "the certificate read before goes on being shown"
    deadline = time.monotonic() + LIMIT_S
    while kept not in server.log_file.read_text():
        assert site.handshake(server.address, operator) == before
        assert time.monotonic() < deadline, server.log()
        await asyncio.sleep(0.1)
    async with site.channel(server.address, operator) as channel:
        await list_units(channel)
    site.authority.write(site.folder, "provisioner")
    deadline = time.monotonic() + LIMIT_S
    while site.handshake(server.address, operator) == before:
        assert time.monotonic() < deadline, server.log()
        await asyncio.sleep(0.1)
    async with site.channel(server.address, operator) as channel:
        await list_units(channel)
