"""Agents as processes of their own, the fleet service they talk to, certificates for both."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from tests.support.fakes.fleet_service import FakeFleet

WAIT_S = 30.0


def fake_fleet() -> FakeFleet:
    return FakeFleet(
        TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
    )


async def start_agent(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployment_units.agent", *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended_agent(agent: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Exit code and what it said."""
    async with asyncio.timeout(WAIT_S):
        _, said = await agent.communicate()
    return agent.returncode, said.decode()


def content(path: Path) -> dict[str, str] | None:
    return json.loads(path.read_text()) if path.exists() else None


async def ready_endpoints(path: Path, agent: asyncio.subprocess.Process) -> dict[str, str]:
    """What the ready file says, once another process has made it."""
    async with asyncio.timeout(WAIT_S):
        while (document := content(path)) is None:
            assert agent.returncode is None, await ended_agent(agent)
            await asyncio.sleep(0.02)
    return document


def self_signed(address: str) -> tuple[bytes, bytes]:
    """A certificate for an address that is its own CA, and its key; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "homeport test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
