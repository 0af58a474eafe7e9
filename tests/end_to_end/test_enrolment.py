"""Who may become a client of a tenant, on real servers, by each way of enrolment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

import homeport
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1.tenancy_pb2_grpc import TenantServiceStub
from tests.support import servers
from tests.support.command_line import run_here

MINE, OTHER = "A" * 43, "B" * 43
DENIED = grpc.StatusCode.PERMISSION_DENIED
WITHIN_S = 20.0
ISSUER, AUDIENCE = "https://login.example.net", "homeport"
SIGNER, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OPERATOR = (("authorization", "Bearer operator"),)


def jwks() -> str:
    key = json.loads(OKPAlgorithm.to_jwk(SIGNER.public_key()))
    return json.dumps({"keys": [{**key, "kid": "k1", "use": "sig", "alg": "EdDSA"}]})


def token(client_id: str, *, signer: Ed25519PrivateKey = SIGNER, **claims: Any) -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": client_id, "exp": int(time.time()) + 600}
    return jwt.encode({**said, **claims}, signer, "EdDSA", headers={"kid": "k1"})


TENANTS = {
    "default": tenancy.Tenant(),
    "opened": tenancy.Tenant(enrolment=[tenancy.ENROLMENT_METHOD_OPEN]),
    "single": tenancy.Tenant(enrolment=[tenancy.ENROLMENT_METHOD_BOOTSTRAP]),
    "x509": tenancy.Tenant(enrolment=[tenancy.ENROLMENT_METHOD_X509]),
    "named": tenancy.Tenant(
        issuers=[tenancy.TrustedIssuer(issuer=ISSUER, audience=AUDIENCE, jwks=jwks())]
    ),
}


@pytest.fixture(scope="module", params=["native", pytest.param("grpcio", marks=pytest.mark.slow)])
def server(request, tmp_path_factory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("enrolment")
    (folder / "tokens.toml").write_text(
        "\n".join(
            f'[[token]]\nname = "{name}"\nroles = ["{name}"]\n'
            f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"'
            for name in ("operator", "client", "gateway")
        )
    )
    arguments = (f"--transport={request.param}", f"--tokens={folder / 'tokens.toml'}")
    store = f"embedded:{folder / 'store.db'}"
    with servers.Server(folder, "server", store, *arguments, "--drain-s=0") as server:
        asyncio.run(_prepare(server.address))
        yield server


async def _prepare(address: str) -> None:
    await servers.apply(address, servers.units(dublin=10_000), metadata=OPERATOR)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = TenantServiceStub(channel)
        for name, tenant in TENANTS.items():
            tenant.tenant = name
            request = tenancy.ApplyTenantRequest(tenant=tenant)
            await stub.ApplyTenant(request, metadata=OPERATOR, timeout=WITHIN_S)


@pytest.fixture
async def channel(server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel


async def provision(
    channel: grpc.aio.Channel, tenant: str, client_id: str, *, key: str = "", bearer: str = ""
) -> Any:
    metadata = [("homeport-client-key", key)] if key else []
    metadata += [("authorization", f"Bearer {bearer}")] if bearer else []
    request = pb.ProvisionRequest(tenant=tenant, client_id=client_id)
    for tries in range(20, 0, -1):
        try:
            return await ProvisioningServiceStub(channel).Provision(
                request, metadata=metadata, timeout=WITHIN_S
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or tries == 1:
                raise
            await asyncio.sleep(0.5)
    raise AssertionError("the last try returns or raises")


async def denied(channel: grpc.aio.Channel, tenant: str, client_id: str, **how: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await provision(channel, tenant, client_id, **how)
    assert caught.value.code() is DENIED, caught.value
    return caught.value.details()


async def attributes_of(channel: grpc.aio.Channel, tenant: str, client_id: str) -> dict[str, str]:
    request = pb.GetAssignmentRequest(tenant=tenant, client_id=client_id)
    found = await ProvisioningServiceStub(channel).GetAssignment(request, metadata=OPERATOR)
    return dict(found.attributes)


async def group_key(channel: grpc.aio.Channel, tenant: str, group: str, **given: str) -> str:
    request = tenancy.AddEnrolmentGroupRequest(tenant=tenant, group=group, attributes=given)
    answer = await TenantServiceStub(channel).AddEnrolmentGroup(request, metadata=OPERATOR)
    return answer.key


async def bootstrap_tokens(
    channel: grpc.aio.Channel, tenant: str, count: int, **given: str
) -> list[str]:
    request = tenancy.IssueBootstrapTokensRequest(tenant=tenant, count=count, attributes=given)
    answer = await TenantServiceStub(channel).IssueBootstrapTokens(request, metadata=OPERATOR)
    return list(answer.tokens)


async def test_by_default_a_token_is_asked_for(channel):
    said = await denied(channel, "default", "new")
    assert said == await denied(channel, "default", "new", key=MINE)
    made = await provision(channel, "default", "new", key=MINE, bearer="client")
    assert not made.existing
    assert said == await denied(channel, "default", "new", key=OTHER)
    assert (await provision(channel, "default", "new", key=MINE)).existing


async def test_an_open_tenant_takes_whoever_comes_first(channel):
    await provision(channel, "opened", "new", key=MINE)
    await denied(channel, "opened", "new", key=OTHER)
    assert (await provision(channel, "opened", "keyless")).ticket
    await denied(channel, "opened", "keyless")


async def test_a_groups_token_lets_in_the_client_it_was_made_for(channel):
    key = await group_key(channel, "default", "line-3")
    made = homeport.hmac_token(group="line-3", key=key, tenant="default", client_id="meter-1")
    await denied(channel, "default", "meter-2", key=MINE, bearer=made)
    await denied(channel, "named", "meter-1", key=MINE, bearer=made)
    name, mac = made.rsplit(".", 1)
    altered = f"{name}.{'B' if mac[0] == 'A' else 'A'}{mac[1:]}"
    await denied(channel, "default", "meter-1", key=MINE, bearer=altered)
    assert not (await provision(channel, "default", "meter-1", key=MINE, bearer=made)).existing
    assert (await provision(channel, "default", "meter-1", key=MINE)).existing
    # It lets one in; it does not take an id from the one that has it.
    await denied(channel, "default", "meter-1", key=OTHER, bearer=made)
    request = tenancy.RemoveEnrolmentGroupRequest(tenant="default", group="line-3")
    await TenantServiceStub(channel).RemoveEnrolmentGroup(request, metadata=OPERATOR)
    later = homeport.hmac_token(group="line-3", key=key, tenant="default", client_id="meter-9")
    await denied(channel, "default", "meter-9", key=MINE, bearer=later)
    assert (await provision(channel, "default", "meter-1", key=MINE)).existing


async def test_a_bootstrap_token_lets_in_one_client(channel):
    (made,) = await bootstrap_tokens(channel, "single", 1)
    await denied(channel, "default", "first", key=MINE, bearer=made)
    assert not (await provision(channel, "single", "first", key=MINE, bearer=made)).existing
    # An answer that was lost is asked for again, with the same key.
    assert (await provision(channel, "single", "first", key=MINE, bearer=made)).existing
    await denied(channel, "single", "second", key=OTHER, bearer=made)
    await denied(channel, "single", "second", key=OTHER)


async def test_who_is_let_in_by_a_group_is_made_with_its_attributes(channel):
    key = await group_key(channel, "default", "meters", kind="meter", tier="gold")
    made = homeport.hmac_token(group="meters", key=key, tenant="default", client_id="gauge-1")
    await provision(channel, "default", "gauge-1", key=MINE, bearer=made)
    assert await attributes_of(channel, "default", "gauge-1") == {"kind": "meter", "tier": "gold"}
    # What a gateway says later stays: whoever is there is told nothing by what let it in.
    gateway = (("authorization", "Bearer gateway"),)
    said = pb.ProvisionRequest(client_id="gauge-1", attributes={"kind": "pump", "tier": ""})
    await ProvisioningServiceStub(channel).Provision(said, metadata=gateway)
    assert (await provision(channel, "default", "gauge-1", key=MINE, bearer=made)).existing
    assert await attributes_of(channel, "default", "gauge-1") == {"kind": "pump"}
    # Who is made by another way has none of it.
    await provision(channel, "default", "gauge-2", key=MINE, bearer="client")
    other = homeport.hmac_token(group="meters", key=key, tenant="default", client_id="gauge-2")
    assert (await provision(channel, "default", "gauge-2", key=MINE, bearer=other)).existing
    assert await attributes_of(channel, "default", "gauge-2") == {}
    listed = await TenantServiceStub(channel).ListEnrolmentGroups(
        tenancy.ListEnrolmentGroupsRequest(tenant="default"), metadata=OPERATOR
    )
    assert {"kind": "meter", "tier": "gold"} in [dict(one.attributes) for one in listed.groups]


async def test_who_uses_a_bootstrap_token_is_made_with_its_attributes(channel):
    (made,) = await bootstrap_tokens(channel, "single", 1, kind="meter")
    await provision(channel, "single", "valve-1", key=MINE, bearer=made)
    assert await attributes_of(channel, "single", "valve-1") == {"kind": "meter"}
    for wrong in ({"kind": ""}, {"a b": "c"}):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bootstrap_tokens(channel, "single", 1, **wrong)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_of_many_that_show_one_bootstrap_token_one_gets_in(channel):
    (made,) = await bootstrap_tokens(channel, "single", 1)
    outcomes = await asyncio.gather(
        *(provision(channel, "single", f"racer-{n}", key=MINE, bearer=made) for n in range(40)),
        return_exceptions=True,
    )
    let_in = [one for one in outcomes if not isinstance(one, BaseException)]
    refused = [one for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert (len(let_in), len(refused)) == (1, 39)
    assert {one.code() for one in refused} == {DENIED}


async def test_bootstrap_tokens_are_each_for_one_and_can_be_revoked(channel):
    tokens = await bootstrap_tokens(channel, "single", 5)
    assert len(set(tokens)) == 5
    for number, made in enumerate(tokens[:3]):
        await provision(channel, "single", f"many-{number}", key=MINE, bearer=made)
    request = tenancy.RevokeBootstrapTokensRequest(tenant="single")
    await TenantServiceStub(channel).RevokeBootstrapTokens(request, metadata=OPERATOR)
    for made in [*tokens, "boot.x.y", tokens[0][:-1]]:
        await denied(channel, "single", "many-9", key=MINE, bearer=made)


async def test_a_jwt_of_the_tenants_issuer_lets_its_client_in_and_proves_it(channel):
    assert not (await provision(channel, "named", "alice", bearer=token("alice"))).existing
    assert (await provision(channel, "named", "alice", bearer=token("alice"))).existing
    assert (await provision(channel, "named", "alice", key=OTHER, bearer=token("alice"))).existing
    for bad in (
        token("bob"),
        token("alice", signer=STRANGER),
        token("alice", aud="another"),
        token("alice", iss="https://elsewhere.example.net"),
        token("alice", exp=int(time.time()) - 3_600),
    ):
        await denied(channel, "named", "alice", bearer=bad)
        await denied(channel, "named", "nobody", bearer=bad)
    await denied(channel, "default", "alice", bearer=token("alice"))


async def test_without_a_certificate_nobody_enrols_where_one_is_asked_for(channel):
    await denied(channel, "x509", "new", key=MINE)
    await denied(channel, "x509", "new", key=MINE, bearer="client")
    assert (await provision(channel, "x509", "new", bearer="gateway")).ticket


async def test_enrolment_tokens_name_nobody_to_other_methods(channel):
    for bearer in ("hmac.a.b", "boot.a.b", token("alice")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await TenantServiceStub(channel).ListTenants(
                tenancy.ListTenantsRequest(), metadata=(("authorization", f"Bearer {bearer}"),)
            )
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_client_library_enrols_and_comes_back(server, channel, tmp_path):
    key = await group_key(channel, "default", "sdk")

    def made(client_id: str) -> str:
        return homeport.hmac_token(group="sdk", key=key, tenant="default", client_id=client_id)

    async with homeport.AsyncClient(server.address, cache_dir=tmp_path, enrolment=made) as first:
        assert not (await first.provision("library")).existing
    async with homeport.AsyncClient(server.address, cache_dir=tmp_path) as again:
        assert (await again.provision("library")).existing
        assert (await again.get("library")).unit_id == "dublin"
        assert (await again.explain("library")).current is not None
        async with again.watch("library") as changes:
            assert (await anext(changes)).assignment.unit_id == "dublin"
        assert await again.release("library")
    async with homeport.AsyncClient(server.address) as stranger:
        with pytest.raises(homeport.PermissionDenied):
            await stranger.get("library")


@pytest.mark.parametrize(
    ("tenant", "command", "made", "warned"),
    [
        ("default", ("bootstrap", "issue"), "tokens", True),
        ("single", ("bootstrap", "issue"), "tokens", False),
        ("single", ("groups", "add", "warned"), "key", True),
        ("named", ("groups", "add", "warned"), "key", False),
    ],
)
def test_the_command_line_warns_of_what_lets_nobody_in(server, tenant, command, made, warned):
    arguments = (*command, "--tenant", tenant, "--server", server.address, "-o", "json")
    ran = run_here("enrolment", *arguments, HOMEPORT_TOKEN="operator")
    assert ran.code == 0, ran.err
    document = ran.document
    assert document[made]
    assert (len(document["warnings"]) == 1) is warned
    assert [f"warning: {one}" for one in document["warnings"]] == ran.err.splitlines()
