"""Both clients against a real gRPC server on loopback, in one suite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
import pytest

import homeport
from homeport import LocationSource, RetryPolicy
from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from tests.sdk.client_harness import ClientAdapter
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import FakeUnit, serving

Connect = Callable[..., ClientAdapter]


# -- answers ---------------------------------------------------------------------------


async def test_a_new_client_gets_its_home_with_everything_the_server_said(connect, server):
    before = time.time()
    home = await connect(server.address).provision("phone", address="203.0.113.9")

    assert (home.tenant, home.client_id) == ("default", "phone")
    assert (home.unit_id, home.endpoint, home.epoch) == ("unit-0", "unit.example.net:443", 1)
    assert home.ticket == "ticket:default:phone:unit-0:1"
    assert before + 3600 <= home.ticket_expires_at <= time.time() + 3600
    assert before - 1 <= home.assigned_at <= time.time() + 1
    assert (home.source, home.country) == (LocationSource.DATABASE, "IE")
    assert (home.distance_km, home.rule) == (12.5, "nearest")
    assert (home.existing, home.stale, home.from_cache) == (False, False, False)


async def test_a_known_client_gets_the_home_it_has(connect, server):
    client = connect(server.address)
    first = await client.provision("phone")
    again = await client.provision("phone")

    assert again.unit_id == first.unit_id
    assert again.existing
    assert again.distance_km is None  # nobody said where it is


async def test_what_the_caller_says_reaches_the_server(connect, server, service):
    client = connect(server.address, tenant="acme", token="secret", timeout_s=20.0)
    await client.provision("phone", position=(53.3, -6.2), with_ticket=False, timeout_s=2.5)

    (seen,) = service.seen
    assert seen.request.tenant == "acme"
    assert (seen.request.position.latitude, seen.request.position.longitude) == (53.3, -6.2)
    assert seen.request.without_ticket
    assert seen.metadata["authorization"] == "Bearer secret"
    assert seen.metadata["user-agent"].startswith(f"homeport-python/{homeport.__version__} ")
    assert 0 < seen.time_left_s < 3.0  # gRPC sends deadlines rounded up


async def test_without_a_ticket_there_is_none(connect, server):
    home = await connect(server.address).provision("phone", with_ticket=False)
    assert (home.ticket, home.ticket_expires_at) == ("", None)


async def test_get_finds_what_was_provisioned(connect, server):
    client = connect(server.address)
    home = await client.provision("phone")
    found = await client.get("phone")
    assert (found.unit_id, found.ticket, found.existing) == (home.unit_id, home.ticket, True)


MOVED = pb.Decision(
    location=geo_pb2.Location(
        source=geo_pb2.LOCATION_SOURCE_DECLARED,
        country="IE",
        position=geo_pb2.Position(latitude=53.3, longitude=-6.3),
    ),
    distance_km=7.5,
    rule="drained",
    placed_by="next-best",
    moved_from="unit-9",
    job_id="j1",
    fleet_revision=17,
    policy_revision=4,
)


async def test_how_a_client_came_to_its_home_is_told_where_it_is_recorded(connect, server, service):
    client = connect(server.address)
    await client.provision("phone", address="203.0.113.9")
    assert (await client.get("phone")).recorded is None
    service.decisions["phone"] = MOVED
    found = await client.get("phone")
    current = (await client.explain("phone")).current
    for home in (found, current):
        assert (home.rule, home.distance_km) == ("drained", 7.5)
        assert (home.source, home.country) == (LocationSource.DECLARED, "IE")
        how = home.recorded
        assert (how.placed_by, how.moved_from, how.job_id) == ("next-best", "unit-9", "j1")
        assert (how.fleet_revision, how.policy_revision) == (17, 4)
        assert (how.location.latitude, how.location.longitude) == (53.3, -6.3)
    service.decisions["phone"] = pb.Decision(distance_km=-1.0, rule="spread")
    assert (await client.get("phone")).recorded.distance_km is None


async def test_get_of_a_client_without_home_is_not_found(connect, server):
    with pytest.raises(homeport.NotFound, match="provision it first"):
        await connect(server.address).get("stranger")


async def test_release_says_whether_there_was_something_to_release(connect, server):
    client = connect(server.address)
    await client.provision("phone")
    assert await client.release("phone") is True
    assert await client.release("phone") is False


async def test_an_explanation_lists_every_unit_considered(connect, server):
    client = connect(server.address)
    home = await client.provision("phone")
    why = await client.explain("phone", address="203.0.113.9")

    assert (why.location.country, why.location.latitude) == ("IE", 53.34)
    assert why.rule == "nearest"
    assert [(u.unit_id, u.verdict, u.distance_km, u.rank) for u in why.units] == [
        ("unit-0", homeport.PlacementVerdict.CHOSEN, 12.5, 1),
        ("unit-1", homeport.PlacementVerdict.EXCLUDED, None, 0),
    ]
    assert why.current is not None
    assert why.current.unit_id == home.unit_id


async def test_the_whole_circle_ends_with_the_unit_admitting_the_ticket(connect):
    """Provision, then show the ticket where the assignment points."""
    service = FakeProvisioning()
    with serving(service, FakeUnit("unit-0")) as server:
        service.unit_endpoint = server.address
        client = connect(server.address)
        home = await client.provision("phone")
        admission = await client.admit(home.endpoint, home.ticket)
        refusal = await client.admit(home.endpoint, "garbage")

    assert (admission.admitted, admission.reason) == (True, homeport.AdmitReason.ADMITTED)
    assert (admission.client_id, admission.epoch) == ("phone", 1)
    assert (refusal.admitted, refusal.reason) == (False, homeport.AdmitReason.MALFORMED)


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, homeport.InvalidRequest, id="wrong request"),
        pytest.param(grpc.StatusCode.NOT_FOUND, homeport.NotFound, id="unknown tenant"),
        pytest.param(grpc.StatusCode.PERMISSION_DENIED, homeport.PermissionDenied, id="no right"),
        pytest.param(grpc.StatusCode.UNAUTHENTICATED, homeport.Unauthenticated, id="no token"),
        pytest.param(grpc.StatusCode.FAILED_PRECONDITION, homeport.Refused, id="policy says no"),
        pytest.param(grpc.StatusCode.ABORTED, homeport.Conflict, id="somebody was first"),
        pytest.param(grpc.StatusCode.INTERNAL, homeport.ServerFault, id="defect of the server"),
        pytest.param(grpc.StatusCode.UNIMPLEMENTED, homeport.Unsupported, id="older server"),
    ],
)
async def test_what_cannot_help_is_not_repeated(connect, server, service, code, expected):
    service.fail(code=code, message="no, because; do that", reason="WORD")
    with pytest.raises(homeport.HomeportError) as caught:
        await connect(server.address).provision("phone")

    error = caught.value
    assert type(error) is expected
    assert (error.message, error.reason, error.code) == ("no, because; do that", "WORD", code.name)
    assert (error.attempts, error.server) == (1, server.address)
    assert service.methods() == ["Provision"]


async def test_an_invalid_request_names_the_fields_at_fault(connect, server, service):
    wrong = [("address", "is not an address"), ("client_id", "holds '/'")]
    service.fail(code=grpc.StatusCode.INVALID_ARGUMENT, violations=wrong)
    with pytest.raises(homeport.InvalidRequest) as caught:
        await connect(server.address).provision("a/b", address="x")
    assert [tuple(v) for v in caught.value.violations] == wrong


@pytest.mark.parametrize(
    ("client_id", "how", "field"),
    [
        pytest.param("", {}, "client_id", id="an empty id"),
        pytest.param("x" * 129, {}, "client_id", id="129 characters"),
        pytest.param("é" * 65, {}, "client_id", id="130 bytes in 65 characters"),
        pytest.param("\ud800", {}, "client_id", id="a lone surrogate"),
        pytest.param("a", {"address": "1" * 65}, "address", id="a very long address"),
        pytest.param(
            "a", {"address": "::1", "position": (0.0, 0.0)}, "position", id="two places at once"
        ),
    ],
)
async def test_what_cannot_be_sent_is_refused_before(
    connect, server, service, client_id, how, field
):
    with pytest.raises(homeport.InvalidRequest) as caught:
        await connect(server.address).provision(client_id, **how)
    assert caught.value.violations[0].field == field
    assert service.seen == []


async def test_no_room_says_when_to_come_back_and_is_told_at_once_when_that_is_too_late(
    connect, server, service
):
    service.full.add("phone")
    with pytest.raises(homeport.NoRoom) as caught:
        await connect(server.address, timeout_s=10.0).provision("phone")
    assert caught.value.retry_after_s == 120.0
    assert service.methods() == ["Provision"]


async def test_no_room_is_tried_again_when_the_server_says_that_it_helps(connect, server, service):
    service.fail(2, code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.01)
    home = await connect(server.address).provision("phone")
    assert home.unit_id == "unit-0"
    assert len(service.seen) == 3


async def test_without_wait_for_room_no_room_is_told_at_once(connect, server, service):
    service.fail(code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.01)
    with pytest.raises(homeport.NoRoom):
        await connect(server.address, retry=RetryPolicy(wait_for_room=False)).provision("phone")
    assert len(service.seen) == 1


# -- the life of a client --------------------------------------------------------------


async def test_a_closed_client_says_so(connect, server):
    client = connect(server.address)
    await client.provision("phone")
    await client.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        await client.provision("phone")


async def test_closing_ends_calls_under_way(connect, server, service):
    client = connect(server.address)
    service.hang()
    under_way = asyncio.create_task(client.provision("phone"))
    assert await asyncio.to_thread(service.called.wait, 10.0)
    await client.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        await under_way


async def test_one_client_serves_many_at_once(connect, server, service):
    client = connect(server.address)
    homes = await asyncio.gather(*(client.provision(f"phone-{n}") for n in range(200)))
    assert [home.client_id for home in homes] == [f"phone-{n}" for n in range(200)]
    assert len(service.homes) == 200


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"servers": ""}, id="no server"),
        pytest.param({"servers": "http://homeport.example.net"}, id="a URL"),
        pytest.param({"servers": "h", "timeout_s": 0}, id="no time"),
        pytest.param({"servers": "h", "timeout_s": float("nan")}, id="a time that is no number"),
        pytest.param({"servers": "h", "token": "two words"}, id="a token with a space"),
        pytest.param({"servers": "h", "token": ""}, id="an empty token"),
    ],
)
async def test_settings_that_cannot_work_are_refused_when_the_client_is_made(connect, how):
    with pytest.raises(ValueError, match=r"\w"):
        connect(**how)
