"""Both clients against a real gRPC server on loopback, in one suite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import homeport
from homeport import LocationSource, RetryPolicy
from tests.fakes.provisioning_service import FakeProvisioning
from tests.fakes.served import FakeUnit, serving
from tests.sdk.shells import Shell

Connect = Callable[..., Shell]


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
        ("unit-0", homeport.Verdict.CHOSEN, 12.5, 1),
        ("unit-1", homeport.Verdict.EXCLUDED, None, 0),
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


# -- outages ---------------------------------------------------------------------------


async def test_an_unavailable_server_is_asked_again(connect, server, service):
    service.fail(2, retry_after_s=0.01)
    home = await connect(server.address).provision("phone")
    assert home.unit_id == "unit-0"
    assert len(service.seen) == 3


async def test_a_dead_server_is_passed_over_and_the_good_one_is_kept(
    connect, server, service, dead_server
):
    client = connect([dead_server, server.address])
    await client.provision("phone")
    service.fail(code=grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(homeport.InvalidRequest) as caught:
        await client.provision("phone")
    assert (caught.value.attempts, caught.value.server) == (1, server.address)


async def test_a_server_that_fails_is_left_for_the_next(connect, server, service):
    with serving(FakeProvisioning(homes=service.homes)) as other:
        client = connect([server.address, other.address])
        service.fail(reason="")
        await client.provision("phone")
        await client.provision("tablet")
        assert other.provisioning.methods() == ["Provision", "Provision"]


async def test_a_server_with_several_addresses_survives_the_loss_of_one(connect, server, service):
    with serving(FakeProvisioning(homes=service.homes)) as other:
        client = connect([f"ipv4:{server.address},{other.address}"])
        await client.provision("phone")
        (server if service.seen else other).stop()
        assert (await client.provision("phone")).existing


async def test_a_silent_server_does_not_use_up_the_time(connect, server, silent_server):
    retry = RetryPolicy(attempt_timeout_s=0.2)
    client = connect([silent_server, server.address], retry=retry, timeout_s=20.0)
    home = await client.provision("phone")
    assert home.unit_id == "unit-0"


async def test_an_answer_that_does_not_come_ends_at_the_deadline(connect, server, service):
    service.hang()
    with pytest.raises(homeport.DeadlineExceeded, match="repeating is safe"):
        await connect(server.address, timeout_s=0.2).provision("phone")
    assert await asyncio.to_thread(service.given_up.wait, 10.0)


async def test_when_every_server_is_dead_the_error_says_what_to_check(connect, dead_server):
    with pytest.raises(homeport.Unavailable, match="check that a Homeport server runs") as caught:
        await connect(dead_server).provision("phone")
    assert dead_server in str(caught.value)
    assert caught.value.attempts == 5


async def test_a_server_that_comes_back_is_found_again(connect, server):
    client = connect(server.address, retry=RetryPolicy(max_rounds=100, max_backoff_s=0.1))
    await client.provision("phone")
    server.stop()
    waiting = asyncio.create_task(client.provision("phone", timeout_s=30.0))
    server.start()
    assert (await waiting).existing


# -- the cache -------------------------------------------------------------------------


async def test_without_the_control_plane_the_last_known_home_is_shown_as_stale(
    connect, server, tmp_path
):
    client = connect(server.address, cache_dir=tmp_path)
    home = await client.provision("phone", address="203.0.113.9")
    server.stop()
    known = await client.provision("phone")

    assert (known.stale, known.from_cache) == (True, True)
    assert (known.unit_id, known.endpoint, known.epoch) == (home.unit_id, home.endpoint, home.epoch)
    assert (known.ticket, known.ticket_expires_at) == (home.ticket, home.ticket_expires_at)
    assert (known.country, known.distance_km) == ("IE", 12.5)


async def test_the_cache_outlives_the_client(connect, server, dead_server, tmp_path):
    servers = [server.address, dead_server]
    home = await connect(servers, cache_dir=tmp_path).provision("phone")
    server.stop()
    known = await connect(servers[::-1], cache_dir=tmp_path).provision("phone")
    assert (known.unit_id, known.stale) == (home.unit_id, True)


async def test_a_home_nobody_remembers_is_unavailable(connect, server, tmp_path):
    client = connect(server.address, cache_dir=tmp_path)
    await client.provision("phone")
    server.stop()
    with pytest.raises(homeport.Unavailable):
        await client.provision("tablet")


async def test_a_refusal_is_never_papered_over_by_the_cache(connect, server, service, tmp_path):
    client = connect(server.address, cache_dir=tmp_path)
    await client.provision("phone")
    service.fail(code=grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(homeport.PermissionDenied):
        await client.provision("phone")


async def test_prefer_cache_asks_nobody_while_the_ticket_is_good(
    connect, server, service, tmp_path
):
    client = connect(server.address, cache_dir=tmp_path)
    home = await client.provision("phone")
    known = await client.provision("phone", prefer_cache=True)
    assert (known.ticket, known.from_cache, known.stale) == (home.ticket, True, False)
    assert len(service.seen) == 1


async def test_prefer_cache_asks_when_the_ticket_is_about_to_end(
    connect, server, service, tmp_path
):
    service.ticket_ttl_s = 30.0
    client = connect(server.address, cache_dir=tmp_path)
    await client.provision("phone")
    known = await client.provision("phone", prefer_cache=True)
    assert (known.from_cache, len(service.seen)) == (False, 2)


async def test_cached_shows_what_is_known_without_asking(connect, server, service, tmp_path):
    client = connect(server.address, cache_dir=tmp_path)
    assert await client.cached("phone") is None
    await client.provision("phone")
    known = await client.cached("phone")
    assert known is not None
    assert (known.from_cache, known.stale) == (True, False)
    assert len(service.seen) == 1


async def test_a_released_client_is_forgotten_even_when_the_release_got_lost(
    connect, server, service, tmp_path
):
    client = connect(server.address, cache_dir=tmp_path)
    await client.provision("phone")
    service.fail(5)
    with pytest.raises(homeport.Unavailable):
        await client.release("phone")
    assert await client.cached("phone") is None


async def test_a_cache_that_cannot_be_written_fails_no_call(connect, server, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    client = connect(server.address, cache_dir=tmp_path / "file" / "cache")
    home = await client.provision("phone")
    assert home.unit_id == "unit-0"
    assert "not cached" in caplog.text


async def test_without_cache_dir_nothing_is_written(connect, server, tmp_path: Path):
    client = connect(server.address)
    await client.provision("phone")
    assert await client.cached("phone") is None


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
