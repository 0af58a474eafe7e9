"""PolicySimulations: bounds, pages as of one revision, and the end of what nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput
from control_plane.fleet.registry import UnitRegistry
from control_plane.offloading.messages import error_of
from control_plane.offloading.port import Answer
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Compacted, Page, Put, Txn
from provisioner.api.policy_simulations import Asked, PolicySimulations, Progress
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.fleet_view import FleetView
from tests.support import servers

LIMIT_S = 30.0
ASKED = Asked(
    tenant="default", current="", document="", as_it_is=True, live=False, users=10, exact=False,
    growth=1.0, without=(), sun=False, price_label="", seed=1, hook_answers="", page=False,
    picture=False,
)  # fmt: skip
LIVE = replace(ASKED, live=True)
Script = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]


@dataclass
class ScriptedOffload:
    """Does what a child would."""

    script: Script
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def offload(
        self, task: str, arguments: Any, *, tenant: str, subject: str, answer: Answer | None = None
    ) -> Any:
        assert answer is not None

        async def ask(question: Any) -> Any:
            return await answer(question)  # type: ignore[misc]

        # As in a child: whoever asked may leave, and it goes on until it hears of that.
        work = asyncio.ensure_future(self.script(arguments, ask))
        work.add_done_callback(lambda _: self.ended.set())
        return await asyncio.shield(work)


@asynccontextmanager
async def simulations(
    folder: Path, script: Script, clients: int = 0
) -> AsyncIterator[tuple[PolicySimulations, EmbeddedStore, ScriptedOffload]]:
    store = await EmbeddedStore.open(folder / "store.db")
    registry = UnitRegistry(store, clock=lambda: 0.0, wall=lambda: 0.0)
    for spec in servers.units(dublin=10, virginia=10):
        await registry.apply(spec)
    for number in range(clients):
        await put_client(store, f"c-{number:02d}")
    view = FleetView(store, clock=lambda: 0.0)
    await view.start()
    offload = ScriptedOffload(script)
    yield (
        PolicySimulations(
            offload, view, registry, store,
            FollowedPins(wall=lambda: 0.0, on_change=lambda tenant: None),
            nowhere="spread", geo="", one_revision=True, page=3, said_s=0.001,
        ),
        store,
        offload,
    )  # fmt: skip
    await store.close()


async def put_client(store: EmbeddedStore, client: str) -> None:
    await store.commit(Txn(then=[Put(keys.assignment("default", client), b"{}")]))


async def told(made: PolicySimulations, asked: Asked) -> list[Any]:
    async with asyncio.timeout(LIMIT_S), aclosing(made.simulate(asked)) as stream:
        return [one async for one in stream]


@pytest.mark.parametrize(
    ("changes", "field_", "said"),
    [
        ({"users": 10**12}, "users", "more than 100,000,000,000 users"),
        ({"users": 10**8, "exact": True}, "users", "leave out exact"),
        ({"users": 10**7, "growth": 3.0, "exact": True}, "users", "leave out exact"),
        ({"growth": float("nan")}, "growth", "growth is nan"),
        ({"growth": 10_000.0}, "growth", "give 0.01 to 1000"),
        ({"live": True, "growth": 2.0}, "population", "neither grow"),
        ({"live": True, "sun": True}, "population", "neither grow"),
        ({"document": "x" * 600_000}, "document", "larger than 524,288 bytes"),
        ({"current": "x" * 600_000}, "current", "larger than 524,288 bytes"),
        ({"hook_answers": "x" * 2_000_000}, "hook_answers", "larger than 1,048,576 bytes"),
        ({"without": ("a",) * 1_001}, "without_unit_ids", "more than 1,000 units"),
        ({"latencies": "x" * 2_000_000}, "latencies", "larger than 1,048,576 bytes"),
        ({"attribute_shares": [("a", "b", 0.1)] * 257}, "attribute_shares", "more than 256"),
        ({"attribute_shares": [("a", "b" * 257, 0.1)]}, "attributes", "at most 256 bytes"),
        ({"attribute_shares": [("a b", "c", 0.1)]}, "attributes", "is no name of an attribute"),
        ({"live": True, "attribute_shares": [("a", "b", 1.0)]}, "population", "their own"),
    ],
)  # fmt: skip
async def test_what_is_too_much_is_refused_before_anything_is_worked_on(
    tmp_path: Path, changes: dict[str, Any], field_: str, said: str
) -> None:
    async def never(arguments: Any, ask: Any) -> Any:
        raise AssertionError

    async with simulations(tmp_path, never) as (made, _, _):
        with pytest.raises(InvalidInput, match=said) as found:
            await told(made, replace(ASKED, **changes))
        assert found.value.field == field_


async def test_cases_that_are_too_large_are_refused(tmp_path: Path) -> None:
    async def never(arguments: Any, ask: Any) -> Any:
        raise AssertionError

    async with simulations(tmp_path, never) as (made, _, _):
        with pytest.raises(InvalidInput, match="cases are larger"):
            await made.test("default", "", "x" * 2_000_000, "")
        with pytest.raises(InvalidInput, match="latencies are larger"):
            await made.test("default", "", "", "", "x" * 2_000_000)


async def test_clients_are_read_as_of_one_revision_page_by_page(tmp_path: Path) -> None:
    async def read(arguments: Any, ask: Any) -> Any:
        found = []
        more = True
        while more:
            page = await ask({"page": True})
            await put_client(store, "c-99")  # one who comes meanwhile is not of that moment
            found.append([key.rpartition(b"/")[2].decode() for key, _ in page["items"]])
            more = page["more"]
        assert set(arguments["taken"]) == {"dublin", "virginia"}
        return found

    async with simulations(tmp_path, read, clients=7) as (made, store, _):
        assert (await told(made, LIVE))[-1] == [
            ["c-00", "c-01", "c-02"], ["c-03", "c-04", "c-05"], ["c-06"],
        ]  # fmt: skip


async def test_how_far_it_is_comes_until_it_is_done(tmp_path: Path) -> None:
    heard = asyncio.Event()

    async def work(arguments: Any, ask: Any) -> Any:
        assert await ask({"doing": "simulating", "done": 4, "total": 10}) == {}
        await heard.wait()
        return {"report": b"{}"}

    async with simulations(tmp_path, work) as (made, _, _):
        async with asyncio.timeout(LIMIT_S), aclosing(made.simulate(ASKED)) as stream:
            async for one in stream:
                if one == Progress("simulating", 4, 10):
                    heard.set()
                last = one
        assert last == {"report": b"{}"}


async def test_one_whose_caller_has_left_is_told_to_stop(tmp_path: Path) -> None:
    answers: list[Any] = []
    left = asyncio.Event()

    async def work(arguments: Any, ask: Any) -> Any:
        await left.wait()
        answers.append(await ask({"doing": "simulating", "done": 1, "total": 2}))
        answers.append(await ask({"page": True}))

    async with simulations(tmp_path, work) as (made, _, offload):
        async with asyncio.timeout(LIMIT_S):
            async with aclosing(made.simulate(ASKED)) as stream:
                assert await anext(stream) == Progress("waiting")
            left.set()
            await offload.ended.wait()
    assert answers == [{"stop": True}, {"stop": True}]


async def test_history_that_is_gone_is_an_answer(
    tmp_path: Path,
) -> None:
    async def read(arguments: Any, ask: Any) -> Any:
        raise error_of((await ask({"page": True}))["error"])

    class Forgetful:
        async def range(self, *_: Any, **__: Any) -> Page:
            raise Compacted(9)

    async with simulations(tmp_path, read) as (made, _, _):
        made._clients = Forgetful()  # type: ignore[assignment]
        with pytest.raises(Conflict, match="simulate again"):
            await told(made, LIVE)
