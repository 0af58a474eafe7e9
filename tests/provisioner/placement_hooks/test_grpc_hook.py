"""A hook over gRPC: what is asked, and what counts as no answer."""

from __future__ import annotations

from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from homeport.api.hook.v1 import hook_pb2 as pb
from homeport.api.hook.v1 import hook_pb2_grpc as pb_grpc
from provisioner.placement.hook_candidates import HookCandidate
from provisioner.placement.hooks import HookAnswer, ToldOfClient
from provisioner.placement_hooks.grpc_hook import GrpcHook, plain_channel, tls_channel
from provisioner.placement_hooks.port import HookFailed, HookQuestion
from tests.support.certificates import Authority
from tests.support.fleets import at, country_only

IRELAND = at(53.349, -6.261, country="IE", continent="EU", uncertainty_km=20.4)
CANDIDATES = (
    HookCandidate(unit="dublin", distance_km=3.42, load=0.123),
    HookCandidate(unit="virginia", distance_km=None, load=1.0),
)
LONG_S = 30.0


class Service(pb_grpc.PlacementHookServiceServicer):
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def RankUnits(self, request, context):
        self.asked.append(request)
        if isinstance(self.answer, grpc.StatusCode):
            await context.abort(self.answer, "not today")
        return self.answer


@asynccontextmanager
async def served(answer, credentials=None):
    server, service = aio.server(), Service(answer)
    pb_grpc.add_PlacementHookServiceServicer_to_server(service, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield service, f"localhost:{port}"
    await server.stop(None)


async def asked(connect, where=IRELAND, *, timeout_s=LONG_S):
    hook = GrpcHook(connect)
    try:
        return await hook.rank(
            HookQuestion(tenant="t", client_id="anna", location=where, candidates=CANDIDATES),
            timeout_s=timeout_s,
        )
    finally:
        await hook.close()


async def test_it_is_told_of_the_client_what_the_question_has():
    told = ToldOfClient(attributes=(("plan", "pro"),), groups=("gov",))
    async with served(pb.RankUnitsResponse()) as (service, endpoint):
        hook = GrpcHook(lambda: plain_channel(endpoint))
        question = HookQuestion(
            tenant="t", client_id="", location=IRELAND, candidates=CANDIDATES, told=told
        )
        await hook.rank(question, timeout_s=LONG_S)
        await hook.close()
    assert dict(service.asked[0].attributes) == {"plan": "pro"}
    assert list(service.asked[0].groups) == ["gov"]


async def test_it_is_told_the_units_and_where_the_client_is_no_finer_than_a_record_keeps_it():
    answer = pb.RankUnitsResponse(order=["virginia"], vetoed=["dublin"])
    async with served(answer) as (service, endpoint):
        found = await asked(lambda: plain_channel(endpoint))
        await asked(lambda: plain_channel(endpoint), country_only("IE", "EU"))
    assert found == HookAnswer(
        order=("virginia",),
        vetoed=frozenset({"dublin"}),
        asked=frozenset({"dublin", "virginia"}),
    )
    assert service.asked[0] == pb.RankUnitsRequest(
        tenant="t",
        client_id="anna",
        country="IE",
        continent="EU",
        latitude=53.3,
        longitude=-6.3,
        uncertainty_km=20.0,
        candidates=[
            pb.CandidateUnit(unit_id="dublin", distance_km=3, load=0.12),
            pb.CandidateUnit(unit_id="virginia", distance_km=-1, load=1),
        ],
    )
    assert not service.asked[1].HasField("latitude")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(grpc.StatusCode.INTERNAL, "INTERNAL not today", id="a-status"),
        pytest.param(
            pb.RankUnitsResponse(order=["x" * 1_000] * 100), "RESOURCE_EXHAUSTED", id="too-large"
        ),
    ],
)
async def test_whatever_else_comes_is_a_failure(answer, why):
    async with served(answer) as (_, endpoint):
        with pytest.raises(HookFailed, match=why):
            await asked(lambda: plain_channel(endpoint))


async def test_one_that_is_not_there_is_a_failure():
    with pytest.raises(HookFailed, match="UNAVAILABLE"):
        await asked(lambda: plain_channel("127.0.0.1:1"))


async def test_over_tls_its_certificate_has_to_be_of_the_ca_that_the_operator_names():
    ours, other = Authority.new(), Authority.new()
    certificate, key = ours.issue(names=["localhost"])
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    async with served(pb.RankUnitsResponse(order=["dublin"]), credentials) as (service, endpoint):
        found = await asked(lambda: tls_channel(endpoint, ours.certificate, None, None))
        assert found.order == ("dublin",)
        with pytest.raises(HookFailed, match="UNAVAILABLE"):
            await asked(lambda: tls_channel(endpoint, other.certificate, None, None))
        assert len(service.asked) == 1


async def test_no_proxy_of_the_environment_gets_between(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with served(pb.RankUnitsResponse(order=["dublin"])) as (_, endpoint):
        found = await asked(lambda: plain_channel(endpoint))
    assert found.order == ("dublin",)
