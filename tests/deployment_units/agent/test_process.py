"""The agent as a program: ready file, signals, exit codes, TLS on both of its sides."""

import asyncio
import signal
import stat
import time
from pathlib import Path

import grpc
import pytest

from control_plane.fleet.file import SAMPLE
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.agent_processes import (
    WAIT_S,
    ended_agent,
    fake_fleet,
    ready_endpoints,
    start_agent,
)
from tests.support.certificates import self_signed


async def admit(channel: grpc.aio.Channel, ticket: str) -> unit_pb2.AdmitResponse:
    stub = unit_pb2_grpc.UnitServiceStub(channel)
    return await stub.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)


async def test_it_says_when_every_unit_is_registered_and_stops_on_sigterm(tmp_path: Path) -> None:
    fleet, ready_file = fake_fleet(), tmp_path / "run" / "ready.json"
    async with fleet.serving() as address:
        agent = await start_agent(
            f"--units={SAMPLE}", f"--server={address}", f"--ready-file={ready_file}"
        )
        endpoints = await ready_endpoints(ready_file, agent)
        assert set(endpoints) == {spec.unit_id for spec in fleet.applied}
        assert {beat.unit_id for beat in fleet.beats} == set(endpoints)
        assert [path.name for path in ready_file.parent.iterdir()] == ["ready.json"]
        agent.send_signal(signal.SIGTERM)
        code, said = await ended_agent(agent)
        assert code == 0, said
        assert fleet.goodbyes == len(endpoints)
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param((), 2, "--units", id="nothing to be an agent of"),
        pytest.param(("--unit=u", "--config=/nowhere.toml"), 2, "/nowhere.toml", id="no settings"),
        pytest.param(("--units=/nowhere.yaml",), 2, "/nowhere.yaml", id="no fleet file"),
        pytest.param(
            ("--unit=u", "--listen=192.0.2.1:1", "--insecure"),
            2,
            "cannot listen",
            id="not its address",
        ),
        pytest.param(("--unit=u", "--ca=/nowhere.pem"), 2, "/nowhere.pem", id="no such ca"),
    ],
)
async def test_what_cannot_work_ends_at_once_with_one_sentence(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, told = await ended_agent(await start_agent(*arguments))
    assert found == code
    assert said in told
    assert "Traceback" not in told


async def test_a_refused_unit_ends_with_what_the_server_said() -> None:
    fleet = fake_fleet()
    fleet.refusal = grpc.StatusCode.PERMISSION_DENIED
    async with fleet.serving() as address:
        code, said = await ended_agent(await start_agent("--unit=u", f"--server={address}"))
    assert code == 1
    assert f"refused unit u at {address}: not you" in said
    assert "Traceback" not in said


async def test_tls_towards_the_servers_and_towards_clients(tmp_path: Path) -> None:
    fleet, ready_file = fake_fleet(), tmp_path / "ready.json"
    certificate, key = self_signed("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "key.pem").chmod(stat.S_IRUSR)
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=certificate, require_client_auth=True
    )
    async with fleet.serving(credentials=credentials) as address:
        agent = await start_agent(
            "--unit=us-east", f"--server={address}", f"--ready-file={ready_file}",
            f"--ca={tmp_path / 'cert.pem'}",
            f"--certificate={tmp_path / 'cert.pem'}", f"--certificate-key={tmp_path / 'key.pem'}",
            HOMEPORT_AGENT_TLS_CERTIFICATE=str(tmp_path / "cert.pem"),
            HOMEPORT_AGENT_TLS_KEY=str(tmp_path / "key.pem"),
        )  # fmt: skip
        endpoint = (await ready_endpoints(ready_file, agent))["us-east"]
        ticket = fleet.issuer.issue("us-east", "default", "alice", 1, time.time(), 60.0)
        trusting = grpc.ssl_channel_credentials(root_certificates=certificate)
        async with grpc.aio.secure_channel(endpoint, trusting) as channel:
            assert (await admit(channel, ticket)).admitted
        async with grpc.aio.insecure_channel(endpoint) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await admit(channel, ticket)
        agent.terminate()
        code, said = await ended_agent(agent)
        assert code == 0, said


@pytest.mark.parametrize(
    ("secured", "said"),
    [(True, "speaks TLS, and this program does not"), (False, "the server does not: leave --ca")],
    ids=["the-server-alone", "the-agent-alone"],
)
async def test_where_one_side_alone_speaks_tls_that_is_said(
    tmp_path: Path, secured: bool, said: str
) -> None:
    certificate, key = self_signed("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(certificate)
    credentials = grpc.ssl_server_credentials([(key, certificate)]) if secured else None
    arguments = [] if secured else [f"--ca={tmp_path / 'cert.pem'}"]
    async with fake_fleet().serving(credentials=credentials) as address:
        agent = await start_agent("--unit=u", f"--server={address}", *arguments)
        try:
            assert agent.stderr is not None
            async with asyncio.timeout(WAIT_S):
                while said not in (line := (await agent.stderr.readline()).decode()):
                    assert line, "it ended without a word of it"
        finally:
            agent.kill()
            await agent.communicate()
