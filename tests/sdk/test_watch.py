"""Both clients follow moves over real gRPC, through everything that ends a watch."""

from __future__ import annotations

import asyncio
import queue

import grpc
import pytest

import homeport
from homeport import AssignmentChange, AssignmentChangeKind
from tests.sdk.client_harness import QUICK, WatchAdapter
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import serving

WAIT_S = 20.0
WHO = ("default", "alice")


async def soon(watching: WatchAdapter) -> AssignmentChange:
    async with asyncio.timeout(WAIT_S):
        return await watching.next()


def summary(change: AssignmentChange) -> tuple[AssignmentChangeKind, str, int]:
    home = change.assignment
    return (change.kind, home.unit_id, home.epoch) if home else (change.kind, "", 0)


async def until_watched(service: FakeProvisioning, times: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while service.methods().count("WatchAssignment") < times:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_watch_tells_the_home_each_move_a_release_and_the_next_home(
    connect, service, server
):
    service.set_home(*WHO, "a")
    watching = connect(server.address).watch("alice")
    first = await soon(watching)
    assert summary(first) == (AssignmentChangeKind.HOME, "a", 1)
    assert first.assignment.ticket == "ticket:default:alice:a:1"
    service.move(*WHO, "b", cause="drained")
    moved = await soon(watching)
    assert summary(moved) == (AssignmentChangeKind.MOVED, "b", 2)
    assert (moved.cause, moved.previous) == ("drained", first.assignment)
    service.set_home(*WHO, "")
    assert summary(await soon(watching)) == (AssignmentChangeKind.RELEASED, "", 0)
    service.set_home(*WHO, "c")
    assert summary(await soon(watching)) == (AssignmentChangeKind.ASSIGNED, "c", 1)
    await watching.close()


async def test_with_an_assignment_only_what_differs_is_a_change(connect, service, server):
    client = connect(server.address)
    home = await client.provision("alice")
    watching = client.watch(home)
    moving = asyncio.create_task(soon(watching))
    await until_watched(service, 1)
    service.move(*WHO, "elsewhere")
    assert summary(await moving) == (AssignmentChangeKind.MOVED, "elsewhere", 2)
    await watching.close()


async def test_the_same_epoch_after_a_release_is_a_change(connect, service, server):
    client = connect(server.address)
    home = await client.provision("alice")
    service.set_home(*WHO, "")
    service.set_home(*WHO, home.unit_id)
    watching = client.watch(home)
    assert summary(await soon(watching)) == (AssignmentChangeKind.ASSIGNED, home.unit_id, 1)
    await watching.close()


async def test_a_client_without_a_home_is_not_found(connect, server):
    with pytest.raises(homeport.NotFound, match="provision it first"):
        await soon(connect(server.address).watch("nobody"))


async def test_one_that_had_a_home_is_released_and_waited_for(connect, service, server):
    client = connect(server.address)
    home = await client.provision("alice")
    service.set_home(*WHO, "")
    watching = client.watch(home)
    assert (await soon(watching)).kind is AssignmentChangeKind.RELEASED
    waiting = asyncio.create_task(soon(watching))
    await until_watched(service, 2)
    service.set_home(*WHO, "b")
    assert summary(await waiting) == (AssignmentChangeKind.ASSIGNED, "b", 1)
    await watching.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"code": grpc.StatusCode.UNAVAILABLE, "retry_after_s": 0.01},
        {"code": grpc.StatusCode.UNAVAILABLE, "reason": "", "message": "reset"},
        {"code": grpc.StatusCode.INTERNAL},
        {"code": grpc.StatusCode.RESOURCE_EXHAUSTED, "retry_after_s": 0.01},
        {"code": grpc.StatusCode.CANCELLED},
    ],
    ids=["a-drain", "a-broken-connection", "a-fault", "too-many", "a-server-that-stops"],
)
async def test_after_a_break_it_goes_on_from_what_it_saw(connect, service, server, fault):
    service.set_home(*WHO, "a")
    watching = connect(server.address).watch("alice")
    await soon(watching)
    waiting = asyncio.create_task(soon(watching))
    service.break_watches(**fault)
    await until_watched(service, 2)
    again = service.seen[-1].request
    assert (again.known_epoch, again.revision) == (1, service.revision)
    service.move(*WHO, "b")
    assert summary(await waiting) == (AssignmentChangeKind.MOVED, "b", 2)
    await watching.close()


async def test_what_happened_during_a_break_is_told_once(connect, service):
    with serving(service) as served:
        service.set_home(*WHO, "a")
        watching = connect(served.address).watch("alice")
        await soon(watching)
        waiting = asyncio.create_task(soon(watching))
        served.stop()
        service.move(*WHO, "b")
        service.move(*WHO, "c")
        served.start()
        assert summary(await waiting) == (AssignmentChangeKind.MOVED, "c", 3)
        await watching.close()


async def test_the_next_server_is_asked_when_one_dies(connect, service):
    service.set_home(*WHO, "a")
    with serving(service) as one, serving(service) as two:
        watching = connect([one.address, two.address]).watch("alice")
        await soon(watching)
        waiting = asyncio.create_task(soon(watching))
        one.stop()
        await until_watched(service, 2)
        service.move(*WHO, "b")
        assert summary(await waiting) == (AssignmentChangeKind.MOVED, "b", 2)
        await watching.close()


@pytest.mark.parametrize("gone", [False, True], ids=["it-still-lives-there", "it-was-released"])
async def test_where_history_is_compacted_it_compares(connect, service, server, gone):
    service.set_home(*WHO, "a")
    watching = connect(server.address).watch("alice")
    await soon(watching)
    waiting = asyncio.create_task(soon(watching))
    service.compacted = 1000
    if gone:
        with service._moving:
            service.homes.clear()  # unseen by the watch that stands
    service.break_watches()
    await until_watched(service, 3)  # refused, then without a revision
    if gone:
        assert summary(await waiting) == (AssignmentChangeKind.RELEASED, "", 0)
    else:
        service.move(*WHO, "b")
        assert summary(await waiting) == (AssignmentChangeKind.MOVED, "b", 2)
    await watching.close()


async def test_a_server_that_falls_silent_is_left(connect, service, server, silent_server):
    service.set_home(*WHO, "a")
    impatient = homeport.RetryPolicy(
        initial_backoff_s=0.01, max_backoff_s=0.05, watch_silence_s=0.2
    )
    watching = connect([silent_server, server.address], retry=impatient).watch("alice")
    assert summary(await soon(watching)) == (AssignmentChangeKind.HOME, "a", 1)
    await watching.close()


async def test_it_gives_up_when_told_to(connect, dead_server):
    watching = connect(dead_server).watch("alice", give_up_s=0.2)
    with pytest.raises(homeport.Unavailable):
        await soon(watching)


async def test_what_nothing_can_help_ends_it(connect, service, server):
    service.fail(code=grpc.StatusCode.PERMISSION_DENIED, message="not you")
    with pytest.raises(homeport.PermissionDenied, match="not you"):
        await soon(connect(server.address).watch("alice"))


async def test_the_cache_follows(connect, service, server, tmp_path):
    client = connect(server.address, cache_dir=tmp_path)
    home = await client.provision("alice")
    watching = client.watch(home)
    moving = asyncio.create_task(soon(watching))
    await until_watched(service, 1)
    service.move(*WHO, "b")
    await moving
    assert (await client.cached("alice")).unit_id == "b"
    service.set_home(*WHO, "")
    await soon(watching)
    assert await client.cached("alice") is None
    await watching.close()


async def test_closing_ends_it_on_the_server_too(connect, service, server):
    service.set_home(*WHO, "a")
    watching = connect(server.address).watch("alice")
    await soon(watching)
    await watching.close()
    await watching.close()
    assert await asyncio.to_thread(service.given_up.wait, WAIT_S)
    with pytest.raises(StopAsyncIteration):
        await soon(watching)


async def test_a_blocking_watch_is_closed_from_another_thread(service, server):
    service.set_home(*WHO, "a")
    with homeport.Client(server.address, retry=QUICK) as client:
        watch = client.watch("alice")
        next(watch)
        waiting = asyncio.create_task(asyncio.to_thread(next, watch, "ended"))
        await asyncio.sleep(0)
        watch.close()
        async with asyncio.timeout(WAIT_S):
            assert await waiting == "ended"


async def test_a_client_that_is_closed_ends_its_watches(connect, service, server):
    service.set_home(*WHO, "a")
    client = connect(server.address)
    watching = client.watch("alice")
    await soon(watching)
    waiting = asyncio.create_task(soon(watching))
    await until_watched(service, 1)
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await waiting


# -- followers ---------------------------------------------------------------------------


def test_a_follower_calls_back_and_survives_what_callbacks_raise(service, server, caplog):
    heard: queue.SimpleQueue[AssignmentChange] = queue.SimpleQueue()

    def on_change(change: AssignmentChange) -> None:
        heard.put(change)
        raise ValueError("the application's own trouble")

    with homeport.Client(server.address, retry=QUICK) as client:
        home = client.provision("alice")
        with client.follow(home, on_change) as follower:
            assert follower.home == home
            for unit, epoch in (("b", 2), ("c", 3)):
                service.move(*WHO, unit)
                assert summary(heard.get(timeout=WAIT_S)) == (
                    AssignmentChangeKind.MOVED,
                    unit,
                    epoch,
                )
        follower.wait()
        assert follower.home.unit_id == "c"
        assert "a callback failed" in caplog.text


async def test_an_asynchronous_follower_awaits_its_callback(service, server, caplog):
    heard: asyncio.Queue[AssignmentChange] = asyncio.Queue()

    async def on_change(change: AssignmentChange) -> None:
        await heard.put(change)
        raise ValueError("the application's own trouble")

    async with homeport.AsyncClient(server.address, retry=QUICK) as client:
        service.set_home(*WHO, "a")
        async with client.follow("alice", on_change) as follower, asyncio.timeout(WAIT_S):
            assert (await heard.get()).kind is AssignmentChangeKind.HOME
            service.move(*WHO, "b")
            assert summary(await heard.get()) == (AssignmentChangeKind.MOVED, "b", 2)
        await follower.wait()
    assert follower.home.unit_id == "b"
    assert "a callback failed" in caplog.text


async def test_who_waits_for_a_follower_is_told_why_it_ended(service, server):
    async with homeport.AsyncClient(server.address, retry=QUICK) as client:
        follower = client.follow("nobody", print)
        with pytest.raises(homeport.NotFound):
            await asyncio.wait_for(follower.wait(), WAIT_S)
    with homeport.Client(server.address, retry=QUICK) as client:
        blocking = client.follow("nobody", print)
        with pytest.raises(homeport.NotFound):
            await asyncio.to_thread(blocking.wait)
