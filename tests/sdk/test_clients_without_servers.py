"""Both clients while servers are away, slow or dead, and what their cache remembers of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

import homeport
from homeport import RetryPolicy
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import serving

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
