"""Credentials that come and go while real servers serve: tokens in the file, keys of an issuer.

A token that is taken out of the file is refused, also on the streams that it began; other callers
notice nothing.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from control_plane.auth.tokens import digest_of
from control_plane.fleet_messages import spec_to_proto
from homeport.api.datasharing.v1 import feed_pb2, platform_pb2
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from homeport.api.provisioning.v1 import provisioning_pb2_grpc
from tests.support import servers
from tests.support.data_sharing_server import SharingServer
from tests.support.jwt_issuer import AUDIENCE, ISSUER, document, jwk
from tests.support.jwt_issuer import token as jwt_of

FLEET = "/homeport.api.fleet.v1.FleetService"
DATA = "/homeport.api.datasharing.v1"
LIMIT_S = 90.0
BOUND = {
    "unit": 'units = ["dublin"]',
    "platform": 'tenant = "city"\nplatform = "p-1"',
    "consumer": 'tenant = "city"\napplication = "lamp"',
}


def write_tokens(path: Path, *roles: str) -> None:
    """A file with a token for each role, by its name."""
    path.write_text("".join(
        f'[[token]]\nname="{role}"\nsha256="{digest_of(role)}"\nroles=["{role}"]\n'
        f"{BOUND.get(role, '')}\n"
        for role in roles
    ))  # fmt: skip


def stream(channel: grpc.aio.Channel, path: str, request: Any, token: str) -> Any:
    """A stream that stands, whichever kind it is."""
    both = path.endswith(("Heartbeat", "Connect"))
    open_call = channel.stream_stream(path) if both else channel.unary_stream(path)

    async def sent() -> Any:
        yield request.SerializeToString()
        await asyncio.Event().wait()

    asked = sent() if both else request.SerializeToString()
    return open_call(asked, metadata=(("authorization", f"Bearer {token}"),), timeout=LIMIT_S)


async def how_it_ends(call: Any) -> grpc.StatusCode:
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        pass
    code: grpc.StatusCode = await call.code()
    return code


PROVISIONER_STREAMS = {
    "viewer": (f"{FLEET}/WatchFleet", fleet_pb2.WatchFleetRequest()),
    "unit": (
        f"{FLEET}/Heartbeat",
        fleet_pb2.HeartbeatRequest(
            unit_id="dublin", ttl={"seconds": 60}, status={"incarnation": "1"}
        ),
    ),
    "gateway": (
        "/homeport.api.provisioning.v1.ProvisioningService/WatchAssignment",
        provisioning.WatchAssignmentRequest(client_id="c"),
    ),
}
SHARING_STREAMS = {
    "viewer": (f"{DATA}.FeedService/Tail", feed_pb2.TailRequest(follow=True)),
    "platform": (
        f"{DATA}.PlatformService/Connect",
        platform_pb2.ConnectRequest(
            hello=platform_pb2.Hello(
                platform="p-1", incarnation="1", capacity=1, ttl={"seconds": 60},
                wanted=[{"application": "lamp"}],
            )
        ),
    ),
}  # fmt: skip


async def check_streams(address: str, path: Path, streams: dict[str, tuple[str, Any]]) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        streams_by_role = {
            role: stream(channel, method, request, role)
            for role, (method, request) in streams.items()
        }
        other = stream(channel, *streams["viewer"], "operator")
        ends = {
            role: asyncio.create_task(how_it_ends(call)) for role, call in streams_by_role.items()
        }
        staying = asyncio.create_task(how_it_ends(other))
        await asyncio.wait([*ends.values(), staying], timeout=3.0)
        assert not {role: end.result() for role, end in ends.items() if end.done()}
        write_tokens(path, "operator")
        found = dict(zip(ends, await asyncio.gather(*ends.values()), strict=True))
        assert found == dict.fromkeys(ends, grpc.StatusCode.UNAUTHENTICATED)
        assert not staying.done()
        staying.cancel()


async def give_a_home(address: str) -> None:
    """To client c, in one of two units."""
    async with grpc.aio.insecure_channel(address) as channel:
        for spec in servers.units(virginia=10, dublin=10):
            await fleet_pb2_grpc.FleetServiceStub(channel).ApplyUnit(
                fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(spec)),
                metadata=(("authorization", "Bearer operator"),),
                timeout=LIMIT_S,
            )
        await provisioning_pb2_grpc.ProvisioningServiceStub(channel).Provision(
            provisioning.ProvisionRequest(client_id="c"),
            metadata=(("authorization", "Bearer gateway"),),
            timeout=LIMIT_S,
            wait_for_ready=True,
        )


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_streams_of_a_provisioner(tmp_path, transport):
    path = tmp_path / "tokens.toml"
    write_tokens(path, *PROVISIONER_STREAMS, "operator")
    store = f"embedded:{tmp_path / 'store.db'}"
    arguments = (f"--transport={transport}", f"--tokens={path}", "--drain-s=0")
    with servers.Server(tmp_path, "server", store, *arguments) as server:
        await give_a_home(server.address)
        await check_streams(server.address, path, PROVISIONER_STREAMS)


@pytest.mark.parametrize("transport", [pytest.param("native", marks=pytest.mark.slow), "grpcio"])
async def test_streams_of_data_sharing(tmp_path, transport):
    path = tmp_path / "tokens.toml"
    write_tokens(path, *SHARING_STREAMS, "operator")
    with SharingServer(
        tmp_path, f"--tokens={path}", f"--transport={transport}", "--drain-s=0"
    ) as server:
        await check_streams(server.address, path, SHARING_STREAMS)


async def until(
    channel: grpc.aio.Channel, token: str, expected: grpc.StatusCode
) -> grpc.aio.AioRpcError | None:
    """Lists units until the call ends so."""
    stub = fleet_pb2_grpc.FleetServiceStub(channel)
    end = time.monotonic() + LIMIT_S
    while True:
        error = None
        try:
            await stub.ListUnits(
                fleet_pb2.ListUnitsRequest(),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=LIMIT_S,
            )
        except grpc.aio.AioRpcError as failed:
            error = failed
        if (error.code() if error else grpc.StatusCode.OK) is expected:
            return error
        assert time.monotonic() < end, f"{token[:8]} never got {expected}"
        await asyncio.sleep(0.05)


async def test_operators_by_token_and_by_their_provider(tmp_path):
    path, jwks = tmp_path / "tokens.toml", tmp_path / "jwks.json"
    write_tokens(path, "viewer")
    jwks.write_bytes(document(jwk("P-256")))
    now = time.time()
    times = {"iat": now, "exp": now + 3_600}
    ann = jwt_of(roles=["ops"], **times)
    store = f"embedded:{tmp_path / 'store.db'}"
    arguments = (
        f"--tokens={path}", f"--oidc-issuer={ISSUER}", f"--oidc-audience={AUDIENCE}",
        f"--oidc-jwks={jwks}", "--oidc-roles=ops=operator", "--drain-s=0",
    )  # fmt: skip
    code = grpc.StatusCode
    with servers.Server(tmp_path, "server", store, *arguments) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            await until(channel, "viewer", code.OK)
            await until(channel, ann, code.OK)
            no_role = await until(channel, jwt_of(roles=["dev"], **times), code.PERMISSION_DENIED)
            assert "oidc:ann may not call this" in (no_role.details() or "")
            refused = [
                await until(channel, token, code.UNAUTHENTICATED)
                for token in ("guess", jwt_of(number=1, roles=["ops"], **times),
                              jwt_of(roles=["ops"], iat=now + 300, exp=now + 600),
                              jwt_of(roles=["ops"], iat=now - 600, exp=now - 300))
            ]  # fmt: skip
            assert len({one.details() for one in refused}) == 1

            path.write_text("nonsense")
            write_tokens(path, "unit")
            await until(channel, "viewer", code.UNAUTHENTICATED)
            jwks.write_bytes(document(jwk("P-256", number=1)))
            await until(channel, ann, code.UNAUTHENTICATED)
            await until(channel, jwt_of(number=1, roles=["ops"], **times), code.OK)
        log = server.log()
    for reason in ("unknown-token", "signature", "issued-later", "expired"):
        assert f"refused, {reason}" in log
    assert ann not in log
