"""What a unit keeps: accounts where it was told so, served over the wire and kept over a restart;
and never one kind of state in the place of the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest

from control_plane.errors import Refused
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.departures import Departed
from deployment_units.agent.keeping import Whereabouts, keeping
from deployment_units.agent.settings import AgentSettings, read_settings
from deployment_units.agent.wiring import ServingUnits, run_agents
from deployment_units.services.accounts.staying import Home
from deployment_units.services.state.owners import Owner, OwnerState
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc
from tests.support.agent_processes import fake_fleet
from tests.support.fakes.fleet_service import FakeFleet
from tests.support.fakes.unit_directory import UnitDirectoryFake

WAIT_S = 20.0


def settings(folder: Path, server: str = "127.0.0.1:1", *, accounts: bool = True) -> AgentSettings:
    return AgentSettings(unit="u", server=server, state_dir=folder, accounts=accounts)


@asynccontextmanager
async def served(folder: Path, fleet: FakeFleet, server: str) -> AsyncIterator[grpc.aio.Channel]:
    """A unit with accounts that is registered, as long as the block lasts."""
    stop, ready = asyncio.Event(), asyncio.Future[str]()
    running = asyncio.create_task(
        run_agents(
            settings(folder, server),
            stop=stop,
            on_ready=lambda units: ready.set_result(units.endpoints["u"]),
        )
    )
    try:
        async with asyncio.timeout(WAIT_S):
            endpoint = await ready
        async with grpc.aio.insecure_channel(endpoint) as channel:
            yield channel
    finally:
        stop.set()
        await asyncio.wait_for(running, WAIT_S)


def shown(fleet: FakeFleet, epoch: int = 1) -> tuple[tuple[str, str], ...]:
    ticket = fleet.issuer.issue("u", "default", "anna", epoch, time.time(), 60)
    return (("authorization", f"Bearer {ticket}"),)


async def test_profiles_are_served_and_outlive_the_process(tmp_path: Path) -> None:
    fleet = fake_fleet()
    async with fleet.serving() as server:
        async with served(tmp_path, fleet, server) as channel:
            stub = profile_pb2_grpc.ProfileServiceStub(channel)
            request = pb.UpdateProfileRequest(name="Anna")
            await stub.UpdateProfile(request, metadata=shown(fleet), timeout=WAIT_S)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.UpdateProfile(request, timeout=WAIT_S)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        async with served(tmp_path, fleet, server) as channel:
            stub = profile_pb2_grpc.ProfileServiceStub(channel)
            request = pb.GetProfileRequest()
            found = await stub.GetProfile(request, metadata=shown(fleet), timeout=WAIT_S)
            assert found.name == "Anna"
            earlier = pb.UpdateProfileRequest(name="Eve")
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await stub.UpdateProfile(earlier, metadata=shown(fleet, 0), timeout=WAIT_S)
            assert late.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_browsers_are_served_the_same_accounts(tmp_path: Path) -> None:
    fleet = fake_fleet()
    stop, ready = asyncio.Event(), asyncio.Future[ServingUnits]()
    async with fleet.serving() as server:
        given = settings(tmp_path, server).model_copy(update={"http_listen": "127.0.0.1:0"})
        running = asyncio.create_task(run_agents(given, stop=stop, on_ready=ready.set_result))
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
            units = await ready
            url = f"http://{units.web['u']}/api/ProfileService/UpdateProfile"
            headers = dict(shown(fleet))
            async with session.post(url, json={"name": "Anna"}, headers=headers) as answer:
                assert (await answer.json())["name"] == "Anna"
            async with session.post(url, json={"name": "Eve"}) as answer:
                assert answer.status == 401
            async with grpc.aio.insecure_channel(units.endpoints["u"]) as channel:
                stub = profile_pb2_grpc.ProfileServiceStub(channel)
                found = await stub.GetProfile(pb.GetProfileRequest(), metadata=shown(fleet))
                assert found.name == "Anna"
            async with session.get(f"http://{units.web['u']}/events", headers=headers) as events:
                assert events.status == 200
                stop.set()  # and whoever listens is told
                assert b'"code":14' in await events.content.read()
            await running


def test_accounts_need_a_folder() -> None:
    with pytest.raises(ValueError, match="--state-dir"):
        read_settings(["--unit=u", "--accounts"])


async def test_a_unit_that_kept_accounts_does_not_go_on_without_them(tmp_path: Path) -> None:
    verifier = TicketVerifier("u")
    kept = keeping(settings(tmp_path), "u", verifier, Whereabouts(verifier), UnitDirectoryFake("u"))
    await kept.close()
    with pytest.raises(Refused, match="--accounts"):
        keeping(
            settings(tmp_path, accounts=False),
            "u",
            verifier,
            Whereabouts(verifier),
            UnitDirectoryFake("u"),
        )


async def test_nor_does_one_that_kept_files_with_them(tmp_path: Path) -> None:
    verifier = TicketVerifier("u")
    keeping(
        settings(tmp_path, accounts=False),
        "u",
        verifier,
        Whereabouts(verifier),
        UnitDirectoryFake("u"),
    )
    with pytest.raises(Refused, match="leave out --accounts"):
        keeping(settings(tmp_path), "u", verifier, Whereabouts(verifier), UnitDirectoryFake("u"))


class HeardOf:
    """A registration, as far as whereabouts look at it."""

    def __init__(self) -> None:
        self.registered = asyncio.Event()


def owner(epoch: int = 2) -> Owner:
    return Owner(
        number=1, tenant="t", account="a", epoch=epoch, first_ms=0,
        state=OwnerState.LEAVING, since_ms=0, bytes=0,
    )  # fmt: skip


async def test_an_account_is_at_home_where_no_departure_says_otherwise() -> None:
    verifier = TicketVerifier("u")
    whereabouts = Whereabouts(verifier)
    assert whereabouts(owner()) is Home.UNKNOWN
    heard = HeardOf()
    whereabouts.registration = heard
    assert whereabouts(owner()) is Home.UNKNOWN  # a stream does not stand
    heard.registered.set()
    assert whereabouts(owner()) is Home.HERE
    went = Departed(epoch=3, unit_id="v", endpoint="", decided_at=1.0, over_at=1.0)
    verifier.departures.note("t", "a", went)
    assert whereabouts(owner()) is Home.ELSEWHERE
    assert whereabouts(owner(epoch=4)) is Home.HERE  # it came back since
    heard.registered.clear()
    assert whereabouts(owner()) is Home.UNKNOWN
