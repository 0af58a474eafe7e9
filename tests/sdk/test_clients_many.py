"""provision_many of both clients against a real gRPC server on loopback, in one suite."""

from __future__ import annotations

import asyncio

import grpc
import pytest

import homeport
from homeport import ClientAt, RetryPolicy
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import serving


def phones(count: int) -> list[ClientAt]:
    return [ClientAt(client_id=f"phone-{n}", address="203.0.113.9") for n in range(count)]


async def test_results_come_in_the_order_of_the_clients(connect, server, service):
    results = await connect(server.address).provision_many(phones(2_500))
    assert [r.client_id for r in results] == [f"phone-{n}" for n in range(2_500)]
    assert all(r.ok and r.assignment.ticket for r in results)
    assert [len(batch) for batch in service.batches()] == [1_000, 1_000, 500]


async def test_nobody_to_provision_needs_no_server(connect, dead_server):
    assert await connect(dead_server).provision_many([]) == []


async def test_bare_ids_will_do_and_tickets_may_be_left_out(connect, server, service):
    client = connect(server.address, tenant="acme", token="secret")
    (result,) = await client.provision_many(["phone"], with_tickets=False)
    assert result.assignment.tenant == "acme"
    assert (result.assignment.ticket, result.assignment.distance_km) == ("", None)
    assert service.seen[0].metadata["authorization"] == "Bearer secret"


async def test_one_clients_trouble_leaves_the_others_alone(connect, server, service):
    service.full.add("phone-1")
    clients = [*phones(3), ClientAt(client_id="x", address="nonsense"), "", "é" * 100]
    results = await connect(server.address).provision_many([*clients, "last"])

    assert [r.ok for r in results] == [True, False, True, False, False, False, True]
    assert [type(r.error) for r in results if not r.ok] == [
        homeport.NoRoom,
        homeport.InvalidRequest,
        homeport.InvalidRequest,
        homeport.InvalidRequest,
    ]
    assert results[1].error.retry_after_s == 2.0
    assert results[3].error.violations[0].field == "address"
    assert results[6].client_id == "last"


async def test_batches_of_which_nothing_is_worth_sending_are_answered_in_their_place(
    connect, server, service
):
    clients = ["a", "", "", "b", "", ""]
    results = await connect(server.address).provision_many(clients, batch_size=1, window=2)
    assert [r.ok for r in results] == [True, False, False, True, False, False]
    assert service.batches() == [["a"], ["b"]]


async def test_several_batches_are_under_way_before_the_first_answer(connect, server, service):
    service.answers_held_until = 3
    results = await connect(server.address).provision_many(phones(30), batch_size=10, window=3)
    assert len(results) == 30


async def test_a_broken_stream_goes_on_elsewhere_without_repeating_what_was_answered(
    connect, server, service
):
    service.drop_stream_after = 2
    with serving(FakeProvisioning(homes=service.homes)) as other:
        client = connect([server.address, other.address])
        results = await client.provision_many(phones(100), batch_size=10)
        resumed = other.provisioning.batches()

    assert [r.client_id for r in results] == [f"phone-{n}" for n in range(100)]
    assert all(r.ok for r in results)
    assert resumed[0][0] == "phone-20"
    assert sum(map(len, resumed)) == 80


async def test_a_server_that_stops_in_the_middle_is_left_for_another(connect, server, service):
    with serving(FakeProvisioning(homes=service.homes)) as other:
        client = connect([server.address, other.address])

        def clients():
            for n in range(60):
                if n == 30:
                    server.stop()
                yield f"phone-{n}"

        results = await client.provision_many(clients(), batch_size=10, window=2)
    assert [r.client_id for r in results if r.ok] == [f"phone-{n}" for n in range(60)]


async def test_a_stream_that_hangs_is_given_up_for_another(connect, server, service):
    service.hang()
    with serving(FakeProvisioning(homes=service.homes)) as other:
        client = connect([server.address, other.address], retry=RetryPolicy(batch_timeout_s=0.2))
        results = await client.provision_many(phones(20), batch_size=10)
    assert [r.ok for r in results] == [True] * 20


async def test_a_batch_that_is_never_answered_ends_at_the_deadline(connect, server, service):
    service.hang(100)
    with pytest.raises(homeport.DeadlineExceeded):
        await connect(server.address).provision_many(["phone"], timeout_s=0.2)


async def test_what_concerns_everybody_is_raised_after_the_answers_that_came(
    connect, server, service
):
    service.answers_held_until = 0
    client = connect(server.address)
    await client.provision("warm-up")

    def clients():
        yield from (f"phone-{n}" for n in range(10))
        service.fail(code=grpc.StatusCode.NOT_FOUND, message="there is no tenant 'x'")
        yield "late"

    with pytest.raises(homeport.NotFound, match="no tenant") as caught:
        await client.provision_many(clients(), batch_size=10, window=1)
    assert caught.value.__notes__ == ["after 10 results"]


async def test_leaving_the_loop_early_ends_the_stream(connect, server, service):
    results = await connect(server.address).provision_many(phones(50), batch_size=10, take=5)
    assert len(results) == 5
    assert await asyncio.to_thread(service.given_up.wait, 10.0)


async def test_something_that_is_no_client_is_a_type_error(connect, server):
    with pytest.raises(TypeError, match="not dict"):
        await connect(server.address).provision_many([{"client_id": "phone"}])


@pytest.mark.parametrize("how", [{"batch_size": 0}, {"batch_size": 1_001}, {"window": 0}])
async def test_batches_and_windows_have_limits(connect, server, how):
    with pytest.raises(ValueError, match=r"batch|window"):
        await connect(server.address).provision_many(["phone"], **how)
