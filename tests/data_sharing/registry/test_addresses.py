"""Addresses: one account an application and one application an account, said by name, said twice,
changed and taken away; those of other tenants are nobody's business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control_plane.errors import NotFound
from data_sharing.database import Database
from data_sharing.registry import addresses, tables
from data_sharing.registry.addresses import AccountTaken, Addresses
from data_sharing.registry.artifacts import Artifacts
from data_sharing.registry.registry import Registry
from data_sharing.registry.trial import Trial
from data_sharing.runtimes.runtime_host import RuntimeHost
from tests.support.fakes.offload import FakeOffload
from tests.support.submissions import text, traffic

TENANT = "city"


class Clock:
    now_ms = 7

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeHost]:
    with RuntimeHost(tmp_path_factory.mktemp("compiled"), threads=1) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def known(tmp_path: Path, hosting: RuntimeHost, clock: Clock) -> AsyncIterator[Addresses]:
    """Of a registry with the applications `roads` and `rail` in two tenants."""
    database = await Database.open(tmp_path / "s.db", [tables.SCHEMA, addresses.SCHEMA])
    registry = Registry(
        database, Artifacts(tmp_path / "a"), Trial(hosting, tmp_path / "t"), FakeOffload(),
        wall_ms=lambda: 1,
    )  # fmt: skip
    for tenant in (TENANT, "bank"):
        for name in ("roads", "rail"):
            feed = {**traffic(application=name)["produces"][0], "type": f"{name}.speed"}
            manifest = text(traffic(application=name, produces=[feed]))
            verdict = await registry.submit(manifest, b"", tenant=tenant)
            assert verdict.faults == ()
    yield Addresses(database, registry, wall_ms=clock)
    await database.close()


async def test_what_is_said_again_stays_and_another_takes_its_place(
    known: Addresses, clock: Clock
) -> None:
    first = await known.put(TENANT, "roads", "r-1")
    clock.now_ms = 8
    assert await known.put(TENANT, "roads", "r-1") == first
    assert (first.since_ms, known.of(TENANT, "roads")) == (7, first)
    second = await known.put(TENANT, "roads", "r-2")
    assert (second.account, second.since_ms) == ("r-2", 8)
    assert known.all_of(TENANT) == [second]
    assert await known.put(TENANT, "rail", "r-1")  # it is free again


async def test_an_account_answers_for_one_application(known: Addresses) -> None:
    await known.put(TENANT, "roads", "r-1")
    with pytest.raises(AccountTaken, match="roads"):
        await known.put(TENANT, "rail", "r-1")
    await known.put("bank", "rail", "r-1")
    assert [one.application for one in known.all_of("bank")] == ["rail"]
    assert await known.remove(TENANT, "roads")
    assert not await known.remove(TENANT, "roads")
    await known.put(TENANT, "rail", "r-1")
    assert [one.application for one in known.all_of(TENANT)] == ["rail"]


async def test_there_is_no_address_of_what_nobody_submitted(known: Addresses) -> None:
    with pytest.raises(NotFound):
        await known.put(TENANT, "ferry", "f-1")
    assert known.of(TENANT, "ferry") is None
