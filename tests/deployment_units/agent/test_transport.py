"""How an agent dials its servers: plain, with TLS, and what names a bad PEM file."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from control_plane.errors import InvalidInput
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.transport import connector
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc
from tests.support.agent_processes import WAIT_S, fake_fleet
from tests.support.certificates import self_signed


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """A folder with cert.pem and key.pem for 127.0.0.1."""
    certificate, key = self_signed("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    return tmp_path


def settings(**more: Path) -> AgentSettings:
    return AgentSettings(unit="u", **more)


async def apply(connect, address: str) -> None:
    async with connect(address) as channel:
        stub = pb_grpc.FleetServiceStub(channel)
        await stub.ApplyUnit(pb.ApplyUnitRequest(spec=pb.UnitSpec(unit_id="u")), timeout=WAIT_S)


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    certificate = (folder / "cert.pem").read_bytes()
    return grpc.ssl_server_credentials(
        [((folder / "key.pem").read_bytes(), certificate)],
        root_certificates=certificate,
        require_client_auth=True,
    )


async def test_without_a_ca_it_speaks_plainly():
    fleet = fake_fleet()
    async with fleet.serving() as address:
        await apply(connector(settings()), address)
    assert [spec.unit_id for spec in fleet.applied] == ["u"]


async def test_with_a_ca_and_a_certificate_it_is_known_to_a_server_that_asks(certified):
    fleet, pem = fake_fleet(), certified / "cert.pem"
    connect = connector(settings(ca=pem, certificate=pem, certificate_key=certified / "key.pem"))
    async with fleet.serving(credentials=server_credentials(certified)) as address:
        await apply(connect, address)
    assert len(fleet.applied) == 1


async def test_without_its_certificate_it_is_turned_away(certified):
    fleet = fake_fleet()
    async with fleet.serving(credentials=server_credentials(certified)) as address:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await apply(connector(settings(ca=certified / "cert.pem")), address)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert fleet.applied == []


@pytest.mark.parametrize("setting", ["ca", "certificate", "certificate_key"])
def test_a_file_that_cannot_be_read_is_named_with_its_setting(certified, setting):
    files = {
        "ca": certified / "cert.pem",
        "certificate": certified / "cert.pem",
        "certificate_key": certified / "key.pem",
        setting: certified / "nowhere.pem",
    }
    with pytest.raises(InvalidInput, match=r"nowhere\.pem") as refused:
        connector(settings(**files))
    assert refused.value.field == setting
