"""Who does not prove to be a client is told the same, whether there is such a client or not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1.tenancy_pb2_grpc import TenantServiceStub
from tests.support import servers

TOKENS = {"gateway": "gateway", "viewer": "viewer", "operator": "operator", "client": "client"}
MINE, OTHER = "A" * 43, "B" * 43
DENIED = grpc.StatusCode.PERMISSION_DENIED
WITHIN_S = 20.0

METHODS = {
    "Provision": lambda **of: pb.ProvisionRequest(**of),
    "GetAssignment": lambda **of: pb.GetAssignmentRequest(**of),
    "ReleaseAssignment": lambda **of: pb.ReleaseAssignmentRequest(**of),
    "WatchAssignment": lambda **of: pb.WatchAssignmentRequest(**of),
    "ExplainPlacement": lambda **of: pb.ExplainPlacementRequest(**of),
}


def tokens() -> str:
    return "\n".join(
        f'[[token]]\nname = "{name}"\nroles = ["{role}"]\n'
        f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"'
        for name, role in TOKENS.items()
    )


@pytest.fixture(scope="module", params=["native", pytest.param("grpcio", marks=pytest.mark.slow)])
def server(request, tmp_path_factory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("proof")
    (folder / "tokens.toml").write_text(tokens())
    arguments = (f"--transport={request.param}", f"--tokens={folder / 'tokens.toml'}")
    store = f"embedded:{folder / 'store.db'}"
    with servers.Server(folder, "server", store, *arguments, "--drain-s=0") as server:
        yield server


@pytest.fixture
async def stub(server) -> AsyncIterator[ProvisioningServiceStub]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield ProvisioningServiceStub(channel)


@pytest.fixture(autouse=True)
async def fleet(server) -> None:
    operator = (("authorization", "Bearer operator"),)
    await servers.apply(server.address, servers.units(dublin=1000), metadata=operator)
    async with grpc.aio.insecure_channel(server.address) as channel:
        tenants = TenantServiceStub(channel)
        for name, enrolment in (("default", [tenancy.ENROLMENT_METHOD_OPEN]), ("closed", [])):
            request = tenancy.ApplyTenantRequest(
                tenant=tenancy.Tenant(tenant=name, enrolment=enrolment)
            )
            await tenants.ApplyTenant(request, metadata=operator, timeout=10)


def shown(*, key: str = "", token: str = "") -> tuple[tuple[str, str], ...]:
    metadata = (("homeport-client-key", key),) if key else ()
    return (*metadata, ("authorization", f"Bearer {token}")) if token else metadata


async def call(
    stub: Any,
    method: str,
    *,
    client_id: str,
    ticket: str = "",
    key: str = "",
    token: str = "",
    tenant: str = "",
) -> Any:
    """The response, or the first one. A server that has no session yet is asked again."""
    request = METHODS[method](tenant=tenant, client_id=client_id, ticket=ticket)
    metadata = shown(key=key, token=token)
    for tries in range(20, 0, -1):
        made = getattr(stub, method)(request, metadata=metadata, timeout=WITHIN_S)
        try:
            return await (made.read() if method == "WatchAssignment" else made)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or tries == 1:
                raise
            await asyncio.sleep(0.5)
        finally:
            made.cancel()
    raise AssertionError("the last try returns or raises")


async def refusal(stub: Any, method: str, **how: str) -> tuple[Any, ...]:
    """The status of a call that must fail: code, text, trailers."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(stub, method, **how)
    error = caught.value
    return error.code(), error.details(), tuple(sorted(error.trailing_metadata() or ()))


async def ticket_of_a_life_before(stub: Any, client_id: str) -> str:
    """Of a client that is released and made again, by another."""
    first = await call(stub, "Provision", client_id=client_id, key=MINE)
    await call(stub, "ReleaseAssignment", client_id=client_id, key=MINE)
    again = await call(stub, "Provision", client_id=client_id, key=OTHER)
    assert again.assignment.epoch == first.assignment.epoch == 1
    return first.ticket


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_whoever_proves_nothing_cannot_tell_whether_the_client_exists(stub, method):
    client = f"there-{method}"
    mine = await call(stub, "Provision", client_id=client, key=MINE)
    other = await call(stub, "Provision", client_id=f"other-{method}", key=OTHER)
    replayed = await ticket_of_a_life_before(stub, f"again-{method}")
    ways = {
        "nothing": {},
        "another's key": {"key": OTHER},
        "no key": {"key": "x"},
        "another's ticket": {"ticket": other.ticket},
        "a forged ticket": {"ticket": mine.ticket[:-4] + "AAAA"},
        "a client's token": {"token": "client"},
        "a client's token and another's key": {"token": "client", "key": OTHER},
    }
    for way, how in ways.items():
        there = await refusal(stub, method, client_id=client, **how)
        assert there[0] is DENIED, way
        if method != "Provision":  # which would make it
            assert there == await refusal(stub, method, client_id=f"no-{client}", **how), way
    assert (await refusal(stub, method, client_id=f"again-{method}", ticket=replayed))[0] is DENIED
    found = await call(stub, "GetAssignment", client_id=client, key=MINE)
    assert found.assignment.epoch == 1  # nobody moved or released it


async def test_where_not_everybody_may_enrol_provision_tells_no_more(stub):
    there = {"tenant": "closed", "client_id": "there"}
    mine = await call(stub, "Provision", key=MINE, token="client", **there)
    elsewhere = await call(stub, "Provision", client_id="elsewhere", key=OTHER)
    for how in (
        {}, {"key": OTHER}, {"key": "x"}, {"ticket": elsewhere.ticket}, {"token": "boot.x.y"},
        {"token": "hmac.x.y", "key": OTHER}, {"ticket": mine.ticket[:-4] + "AAAA"},
    ):  # fmt: skip
        said = await refusal(stub, "Provision", **there, **how)
        assert said[0] is DENIED
        assert said == await refusal(stub, "Provision", tenant="closed", client_id="no", **how), how
    assert (await call(stub, "Provision", ticket=mine.ticket, **there)).existing


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("by", ["key", "ticket", "gateway"])
async def test_whoever_proves_to_be_the_client_is_answered(stub, method, by):
    client = f"proved-{method}-{by}"
    made = await call(stub, "Provision", client_id=client, key=MINE)
    how = {"key": {"key": MINE}, "ticket": {"ticket": made.ticket}, "gateway": {"token": "gateway"}}
    answer = await call(stub, method, client_id=client, **how[by])
    if method == "ReleaseAssignment":
        assert answer.released
    elif method == "ExplainPlacement":
        assert answer.current.unit_id == "dublin"
    else:
        assert answer.assignment.unit_id == "dublin"
        assert answer.ticket


@pytest.mark.parametrize("method", ["GetAssignment", "WatchAssignment"])
async def test_a_viewer_sees_a_client_and_gets_no_ticket(stub, method):
    client = f"viewed-{method}"
    await call(stub, "Provision", client_id=client, key=MINE)
    answer = await call(stub, method, client_id=client, token="viewer")
    assert (answer.assignment.unit_id, answer.ticket) == ("dublin", "")
    with_proof = await call(stub, method, client_id=client, token="viewer", key=MINE)
    assert with_proof.ticket
    assert (await refusal(stub, "ReleaseAssignment", client_id=client, token="viewer"))[0] is DENIED
    assert (await call(stub, "ReleaseAssignment", client_id=client, token="operator")).released


async def test_a_watch_is_not_told_of_the_next_life_of_its_client(stub):
    await call(stub, "Provision", client_id="watched", key=MINE)
    request = pb.WatchAssignmentRequest(client_id="watched")
    watch = stub.WatchAssignment(request, metadata=shown(key=MINE), timeout=WITHIN_S)
    assert (await watch.read()).assignment.unit_id == "dublin"
    await call(stub, "ReleaseAssignment", client_id="watched", key=MINE)
    assert (await watch.read()).released
    await call(stub, "Provision", client_id="watched", key=OTHER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() is DENIED


async def test_a_client_that_a_gateway_made_has_no_key(stub):
    await call(stub, "Provision", client_id="made", token="gateway", key=MINE)
    assert (await refusal(stub, "GetAssignment", client_id="made", key=MINE))[0] is DENIED


async def test_a_client_without_a_key_is_bound_to_the_one_it_shows_with_its_ticket(stub):
    made = await call(stub, "Provision", client_id="late", token="gateway")
    await call(stub, "Provision", client_id="late", ticket=made.ticket, key=MINE)
    for _ in range(100):
        with suppress(grpc.aio.AioRpcError):
            await call(stub, "GetAssignment", client_id="late", key=MINE)
            break
        await asyncio.sleep(0.1)  # it is bound beside the call
    assert (await refusal(stub, "GetAssignment", client_id="late", key=OTHER))[0] is DENIED
    # It has a key now, and another one that its ticket comes with changes nothing.
    await call(stub, "Provision", client_id="late", ticket=made.ticket, key=OTHER)
    assert (await call(stub, "GetAssignment", client_id="late", key=MINE)).ticket


async def test_the_store_has_no_key_but_digests(stub, server):
    await call(stub, "Provision", client_id="stored", key=MINE)
    content = b"".join(path.read_bytes() for path in server.ready_file.parent.glob("store.db*"))
    assert MINE.encode() not in content
    assert hashlib.sha256(MINE.encode()).hexdigest()[:32].encode() not in content
    assert b'"key":"' in content


SHOWN = {
    "nothing": {},
    "a key": {"key": OTHER},
    "a made-up ticket": {"ticket": "e30.e30.e30"},
    "a key and a ticket": {"key": OTHER, "ticket": "e30.e30.e30"},
    "a JWT of nobody": {"token": "eyJhbGciOiJub25lIn0.e30."},
    "a group's token": {"token": "hmac.eu.c2VjcmV0"},
    "a bootstrap token": {"token": "boot.c2VjcmV0"},
}


@pytest.mark.parametrize("what", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("method", METHODS)
async def test_a_stranger_is_not_told_which_tenants_there_are(stub, method, what):
    """Code, text and details are the same of a tenant with this client, of one without, of none,
    and of what can be no tenant."""
    await call(stub, "Provision", tenant="closed", client_id="there", key=MINE, token="gateway")
    there = await refusal(stub, method, tenant="closed", client_id="there", **what)
    assert there[0] is grpc.StatusCode.PERMISSION_DENIED
    others = (("closed", "x"), ("nowhere", "there"), ("no.where-2", "x"), ("No!", "there"))
    for tenant, client_id in others:
        told = await refusal(stub, method, tenant=tenant, client_id=client_id, **what)
        assert told == there


@pytest.mark.parametrize("method", METHODS)
async def test_who_shows_a_token_of_the_file_is_told_that_there_is_no_such_tenant(stub, method):
    for token in ("gateway", "operator") if method != "Provision" else ("gateway", "client"):
        said = await refusal(stub, method, tenant="nowhere", client_id="x", token=token)
        assert said[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Provision", "ExplainPlacement"])
async def test_no_client_says_of_itself_what_it_is(stub, method):
    await call(stub, "Provision", client_id="honest", key=MINE)
    request = METHODS[method](client_id="honest", attributes={"kind": "government"})
    for metadata in (shown(key=MINE), shown(token="client"), ()):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub, method)(request, metadata=metadata, timeout=WITHIN_S)
        assert caught.value.code() is DENIED
        assert "may not say where a client is, or what" in caught.value.details()
    kept = await call(stub, "GetAssignment", client_id="honest", token="gateway")
    assert not kept.attributes


async def test_what_a_gateway_says_of_a_client_is_not_told_to_who_proves_it_by_its_key(stub):
    await call(stub, "Provision", client_id="told", key=MINE)
    request = pb.ProvisionRequest(client_id="told", attributes={"kind": "government"})
    await stub.Provision(request, metadata=shown(token="gateway"), timeout=WITHIN_S)
    for by, expected in (
        (shown(token="viewer"), {"kind": "government"}),
        (shown(key=MINE), {}),
    ):
        asked = pb.GetAssignmentRequest(client_id="told")
        found = await stub.GetAssignment(asked, metadata=by, timeout=WITHIN_S)
        assert dict(found.attributes) == expected
