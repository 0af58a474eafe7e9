"""Certificates replaced while a server serves: the new one is shown from the next connection on, a
broken one never, and log and metrics say so; for each kind of server, at each of its TLS ports."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509

from tests.support.agent_processes import fake_fleet
from tests.support.certificates import LOOPBACK, Authority
from tests.support.data_sharing_server import SharingServer
from tests.support.server_process import ServerProcess
from tests.support.servers import Server

WITHIN_S = 60.0
SITE = Authority.new("site")
EXPIRY = 'homeport_tls_certificate_expiry_timestamp_seconds{certificate="server"}'


class Files(NamedTuple):
    certificate: Path
    key: Path

    @property
    def arguments(self) -> tuple[str, str]:
        return f"--tls-certificate={self.certificate}", f"--tls-key={self.key}"

    def replace(self, days: int) -> bytes:
        """Writes a new pair, good for so many days; the certificate, in DER."""
        certificate, key = SITE.issue(addresses=[LOOPBACK], days=days)
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)
        self.key.chmod(0o600)
        return ssl.PEM_cert_to_DER_cert(certificate.decode())


class Running(NamedTuple):
    """address: of the port that speaks TLS; metrics: empty where there are none."""

    address: str
    metrics: str
    log: Callable[[], str]


@asynccontextmanager
async def entered(process: ServerProcess) -> AsyncIterator[ServerProcess]:
    """Waited for on a thread, so that what it calls can be served here."""
    try:
        yield await asyncio.to_thread(process.__enter__)
    finally:
        await asyncio.to_thread(process.__exit__)


@asynccontextmanager
async def provisioner(folder: Path, files: Files, port: str) -> AsyncIterator[Running]:
    store, http = f"embedded:{folder / 'store.db'}", f"--http-listen={LOOPBACK}:0"
    async with entered(Server(folder, "server", store, http, *files.arguments)) as server:
        yield Running(str(server.told[port]), str(server.told["metrics"]), server.log)


@asynccontextmanager
async def sharing(folder: Path, files: Files, port: str) -> AsyncIterator[Running]:
    async with entered(SharingServer(folder, *files.arguments)) as server:
        yield Running(str(server.told[port]), str(server.told["metrics"]), server.log)


@asynccontextmanager
async def agent(folder: Path, files: Files, port: str) -> AsyncIterator[Running]:
    async with fake_fleet().serving() as fleet:
        command = ("-m", "deployment_units.agent", "--unit=u", f"--server={fleet}")
        async with entered(ServerProcess(folder, "agent", (*command, *files.arguments))) as process:
            units = process.told["units"]
            assert isinstance(units, dict)
            yield Running(units["u"], "", process.log)


async def shown(address: str) -> bytes:
    """The certificate that whoever connects now is shown, in DER."""
    host, _, port = address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=WITHIN_S)
    return ssl.PEM_cert_to_DER_cert(pem)


async def expiry(metrics: str) -> float:
    """Unix time, as the metrics have it."""

    def read() -> str:
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=WITHIN_S) as answer:
            text: str = answer.read().decode()
            return text

    lines = (await asyncio.to_thread(read)).splitlines()
    (line,) = [line for line in lines if line.startswith(EXPIRY)]
    return float(line.rpartition(" ")[2])


async def comes_to_show(address: str, certificate: bytes) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await shown(address) != certificate:  # noqa: ASYNC110 - the other side is a process
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("start", "port"),
    [
        pytest.param(sharing, "grpc", id="data-sharing"),
        pytest.param(sharing, "http", id="data-sharing-over-http", marks=pytest.mark.slow),
        pytest.param(agent, "", id="agent", marks=pytest.mark.slow),
        pytest.param(provisioner, "grpc", id="provisioner", marks=pytest.mark.slow),
        pytest.param(provisioner, "http", id="provisioner-over-http", marks=pytest.mark.slow),
    ],
)
async def test_a_new_certificate_is_shown_and_a_broken_one_never(
    tmp_path: Path, start: Callable[..., AsyncIterator[Running]], port: str
) -> None:
    files = Files(tmp_path / "tls.pem", tmp_path / "tls.key")
    first = files.replace(days=1)
    async with start(tmp_path, files, port) as running:  # type: ignore[attr-defined]
        assert await shown(running.address) == first
        second = files.replace(days=5)
        await comes_to_show(running.address, second)
        assert "the certificate was read again" in running.log()
        if running.metrics:
            expires = x509.load_der_x509_certificate(second).not_valid_after_utc.timestamp()
            assert await expiry(running.metrics) == expires

        files.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nnone\n")
        async with asyncio.timeout(WITHIN_S):
            while "goes on being shown" not in running.log():
                assert await shown(running.address) == second
                await asyncio.sleep(0.2)
        assert "--tls-certificate" in running.log()
        if running.metrics:
            assert await expiry(running.metrics) == expires

        await comes_to_show(running.address, files.replace(days=9))
