"""A last ticket shows who its client is, or nothing; whoever speaks first, answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import NotFound, ServiceError, Unavailable
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Health, OutcomeUnknown, StoreUnavailable
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.client_proof import ShownTicket
from provisioner.provisioning.ticket_fallback import (
    STORE_AWAY_S,
    STORE_SILENT_S,
    FallbackResponder,
)
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units

TENANT = DEFAULT_TENANT.id


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100)) as harness:
        yield harness
    await store.close()


def ticket(
    harness: ProvisioningHarness, unit: str = "dublin", client: str = "alice", ttl_s: float = 600.0
) -> str:
    return harness.issuer.issue(unit, TENANT, client, 4, time.time(), ttl_s)


def responder(harness: ProvisioningHarness, shown: str, sink: AwaitedSink) -> FallbackResponder:
    return FallbackResponder(harness.fallback, DEFAULT_TENANT, "alice", shown, True, sink)


async def test_a_ticket_shows_unit_and_epoch(harness: ProvisioningHarness) -> None:
    shown = harness.fallback.read(TENANT, "alice", ticket(harness))
    assert shown is not None
    assert shown[:2] == ("dublin", 4)
    assert isinstance(shown, ShownTicket)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: "", id="nothing"),
        pytest.param(lambda text: "no ticket", id="no-ticket"),
        pytest.param(lambda text: text[:-4] + "AAAA", id="forged"),
        pytest.param(lambda text: text + "x" * 10_000, id="endless"),
        pytest.param(lambda text: text + "ä", id="not-ascii"),
        pytest.param(lambda text: text.split(".")[0], id="without-claims"),
    ],
)
async def test_a_ticket_that_is_none_shows_nothing(harness: ProvisioningHarness, spoil) -> None:
    assert harness.fallback.read(TENANT, "alice", spoil(ticket(harness))) is None


async def test_a_ticket_of_somebody_else_shows_nothing(harness: ProvisioningHarness) -> None:
    assert harness.fallback.read(TENANT, "bob", ticket(harness)) is None
    assert harness.fallback.read("acme", "alice", ticket(harness)) is None
    assert harness.fallback.read(TENANT, "alice", ticket(harness, unit="atlantis")) is None


@pytest.mark.parametrize(
    ("ended_s_ago", "shows"), [(30.0, True), (90.0, False)], ids=["within-grace", "past-grace"]
)
async def test_an_ended_ticket_shows_its_client_for_a_grace(
    harness: ProvisioningHarness, ended_s_ago: float, shows: bool
) -> None:
    old = harness.issuer.issue("dublin", TENANT, "alice", 4, time.time() - ended_s_ago - 10, 10.0)
    assert (harness.fallback.read(TENANT, "alice", old) is not None) is shows


@pytest.mark.parametrize(
    ("error", "covered"),
    [
        pytest.param(StoreUnavailable("away"), True, id="the-store-is-away"),
        pytest.param(OutcomeUnknown("who knows"), True, id="outcome-unknown"),
        pytest.param(Overloaded("too many"), True, id="overloaded"),
        pytest.param(Unavailable("a unit is away"), False, id="something-else-is-away"),
        pytest.param(NotFound("no tenant"), False, id="a-plain-no"),
    ],
)
async def test_only_the_stores_absence_is_made_good(
    harness: ProvisioningHarness, error: ServiceError, covered: bool
) -> None:
    assert harness.fallback.covers(error) is covered


async def test_how_long_the_store_may_be_silent_follows_its_health(
    harness: ProvisioningHarness,
) -> None:
    assert harness.fallback.silence_s() == STORE_SILENT_S
    harness.fallback._health = Health(connected=False)
    assert harness.fallback.silence_s() == STORE_AWAY_S
    assert harness.fallback.covers(Unavailable("anything"))


async def test_what_the_store_says_first_counts(harness: ProvisioningHarness) -> None:
    sink = AwaitedSink()
    one = responder(harness, ticket(harness), sink)
    one.reply(b"from the store")
    one.fail(StoreUnavailable("away"))
    one.reply(b"again")
    assert await sink.answer == b"from the store"
    assert harness.fallback.answered == 0


async def test_for_a_store_that_is_away_the_ticket_answers(harness: ProvisioningHarness) -> None:
    sink = AwaitedSink()
    one = responder(harness, ticket(harness), sink)
    one.fail(StoreUnavailable("away"))
    one.reply(b"too late")
    answer = pb.ProvisionResponse.FromString(await sink.answer)
    assert answer.stale
    assert answer.existing
    assert (answer.assignment.unit_id, answer.assignment.epoch) == ("dublin", 4)
    assert answer.assignment.endpoint == "dublin.example.net:443"
    assert not answer.assignment.HasField("assign_time")
    assert not answer.HasField("decision")
    assert answer.ticket
    assert harness.fallback.answered == 1


async def test_a_refusal_is_passed_on_whatever_the_ticket_shows(
    harness: ProvisioningHarness,
) -> None:
    sink, error = AwaitedSink(), NotFound("no tenant")
    responder(harness, ticket(harness), sink).fail(error)
    assert await sink.answer is error


async def test_where_the_ticket_shows_nothing_the_stores_absence_is_told(
    harness: ProvisioningHarness,
) -> None:
    sink, error = AwaitedSink(), StoreUnavailable("away")
    responder(harness, "no ticket", sink).fail(error)
    assert await sink.answer is error
    assert harness.fallback.answered == 0


async def test_a_silent_store_is_not_waited_for(harness: ProvisioningHarness) -> None:
    harness.fallback._health = Health(connected=False)
    sink = AwaitedSink()
    one = responder(harness, ticket(harness), sink)
    answer = pb.ProvisionResponse.FromString(await sink.answer)
    assert answer.stale
    one.reply(b"too late")
