"""Certificates as credentials, on real servers: who they name, and what they carry."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import aiohttp
import grpc
import pytest

from control_plane.auth.tokens import digest_of
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from tests.support import servers
from tests.support.certificates import Authority
from tests.support.data_sharing_server import SharingServer

LIMIT_S = 60.0
OK, CLOSED, DENIED = (
    grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED,
)  # fmt: skip


class Site:
    """A CA, a tokens file, and the arguments of a server that uses both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.new()
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.certificate)
        certificate, key = self.authority.write(folder, "server")
        tokens = folder / "tokens.toml"
        tokens.write_text("".join(
            f'[[token]]\nname="{name}"\nsha256="{digest_of(name)}"\n{more}\n'
            for name, more in (
                ("ann", 'roles=["operator"]'),
                ("agent", 'roles=["unit"]\nunits=["dublin"]'),
            )
        ))  # fmt: skip
        self.arguments = (
            f"--tls-certificate={certificate}", f"--tls-key={key}", f"--tls-client-ca={self.ca}",
            f"--tokens={tokens}", "--certificate-trust-domain=example.net",
            "--certificate-operators=ben=viewer", "--drain-s=0",
        )  # fmt: skip

    def credentials(self, path: str, domain: str = "example.net") -> grpc.ChannelCredentials:
        certificate, key = self.authority.issue(uris=[f"spiffe://{domain}/{path}"])
        return grpc.ssl_channel_credentials(self.authority.certificate, key, certificate)

    async def list_units(
        self, address: str, path: str, token: str = "", domain: str = "example.net"
    ) -> grpc.StatusCode:
        shown = (("authorization", f"Bearer {token}"),) if token else ()
        async with grpc.aio.secure_channel(address, self.credentials(path, domain)) as channel:
            stub = fleet_pb2_grpc.FleetServiceStub(channel)
            try:
                await stub.ListUnits(fleet_pb2.ListUnitsRequest(), metadata=shown, timeout=LIMIT_S)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return OK


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_who_may_list_units(tmp_path, transport):
    site = Site(tmp_path)
    store = f"embedded:{tmp_path / 'store.db'}"
    arguments = (*site.arguments, f"--transport={transport}")
    with servers.Server(tmp_path, "server", store, *arguments) as server:
        found = {
            case: await site.list_units(server.address, *case)
            for case in (
                ("operator/ben",), ("operator/carl",), ("unit/dublin",), ("unknown/ben",),
                ("operator/ben", "", "evil.example"), ("operator/ben", "ann"),
                ("operator/carl", "ann"), ("operator/ben", "guess"), ("unit/dublin", "ann"),
                ("unit/dublin", "agent"), ("unit/virginia", "agent"),
            )
        }  # fmt: skip
    assert found == {
        ("operator/ben",): OK,
        ("operator/carl",): CLOSED,
        ("unit/dublin",): DENIED,
        ("unknown/ben",): CLOSED,
        ("operator/ben", "", "evil.example"): CLOSED,
        ("operator/ben", "ann"): OK,
        ("operator/carl", "ann"): OK,
        ("operator/ben", "guess"): CLOSED,
        ("unit/dublin", "ann"): CLOSED,
        ("unit/dublin", "agent"): DENIED,
        ("unit/virginia", "agent"): CLOSED,
    }


async def test_events_over_http(tmp_path):
    site = Site(tmp_path)
    arguments = [one.replace("=ben=viewer", "=ben=admin") for one in site.arguments]
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "x.y"}
    answers = {}
    with SharingServer(tmp_path, *arguments) as server:
        for path in ("operator/ben", "operator/carl", "unit/dublin"):
            certificate, key = site.authority.write(
                tmp_path, path.replace("/", "-"), uris=[f"spiffe://example.net/{path}"]
            )
            tls = ssl.create_default_context(cafile=site.ca)
            tls.load_cert_chain(certificate, key)
            async with aiohttp.ClientSession() as session:
                answer = await session.post(
                    f"https://{server.http}/v1/tenants/city/events",
                    data=json.dumps(event),
                    headers={"content-type": "application/cloudevents+json"},
                    ssl=tls,
                    timeout=aiohttp.ClientTimeout(total=LIMIT_S),
                )
                answers[path] = answer.status
    assert answers.pop("operator/ben") not in (401, 403), "let in, and the event looked at"
    assert answers == {"operator/carl": 401, "unit/dublin": 403}
