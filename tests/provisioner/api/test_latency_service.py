"""Clients report what they measured, of units that they were offered, from where they call."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.auth.callers import ANYONE_LOCAL
from control_plane.errors import Exhausted, InvalidInput, NotFound, PermissionDenied
from control_plane.store.embedded import EmbeddedStore
from homeport.api.policy.v1 import latency_pb2 as pb
from homeport.messages import explanation_of
from provisioner.api.explanations import explained
from provisioner.api.latency_service import MOST_OFFERED, LatencyService
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.provisioning.asked_location import NO_RECORD
from provisioner.provisioning.client_proof import ANYONES, ClientProof
from tests.support.provisioning_harness import ProvisioningHarness, provisioning
from tests.support.servers import units

IRISH = [f"87.32.{net}.9" for net in (1, 2, 3, 4)]  # of one cell, in four networks


class Calls:
    """Callers and proofs of one client that calls from an address; proves: whether it is it."""

    def __init__(self) -> None:
        self.address = IRISH[0]
        self.proof = ANYONES

    def of_context(self, context: Any, *more: Any) -> Any:
        return self.proof if more else ANYONE_LOCAL

    def peer_of_context(self, context: Any) -> str:
        return self.address


class Made:
    def __init__(self, harness: ProvisioningHarness) -> None:
        self.calls = Calls()
        self.harness = harness
        self.keeper = LatencyKeeper(harness.fleet_view.measured, clock=time.monotonic)
        calls: Any = self.calls
        self.service = LatencyService(
            self.keeper,
            harness.provisioner,
            harness.assignments,
            harness.fleet_view,
            calls,
            calls,
        )

    async def report(
        self, client: str = "anna", tenant: str = "", **ms: float
    ) -> pb.ReportLatenciesResponse:
        request = pb.ReportLatenciesRequest(tenant=tenant, client_id=client)
        for unit, took in ms.items():
            request.measured.add(unit_id=unit).round_trip.FromMicroseconds(round(took * 1_000))
        context: Any = None
        return await self.service.ReportLatencies(request, context)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=9, virginia=9)) as harness:
        yield Made(harness)
    await store.close()


async def test_a_first_call_says_what_to_measure_and_reports_are_believed(made: Made) -> None:
    first = await made.report()
    assert [one.unit_id for one in first.candidates] == ["dublin", "virginia"]
    assert all(one.endpoint for one in first.candidates)
    assert (first.accepted, first.report_after.seconds) == (0, 60)
    for number, address in enumerate(IRISH):
        made.calls.address = address
        answer = await made.report(f"client-{number}", dublin=12.0 + number)
        assert (answer.accepted, list(answer.refused)) == (1, [])
    await made.keeper.refresh()
    request = pb.ListLatenciesRequest(unit_id="dublin")
    context: Any = None
    listed = await made.service.ListLatencies(request, context)
    assert listed.total >= 1
    assert listed.estimates[0].unit_id == "dublin"
    assert 12_000_000 <= listed.estimates[0].round_trip.nanos <= 15_000_000
    assert listed.estimates[0].networks == 4


async def test_what_cannot_be_is_answered_with_the_reason(made: Made) -> None:
    answer = await made.report(virginia=2.0, oregon=20.0)
    assert answer.accepted == 0
    told = {one.unit_id: one.reason for one in answer.refused}
    assert "light needs" in told["virginia"]
    assert "not offered" in told["oregon"]


async def test_a_client_that_reports_again_at_once_is_told_when(made: Made) -> None:
    await made.report(dublin=12.0)
    with pytest.raises(Exhausted, match="a moment ago") as told:
        await made.report(dublin=12.0)
    assert 50.0 < told.value.retry_after_s <= 60.0
    assert (await made.report()).accepted == 0  # what to measure may be asked


async def test_what_is_sent_is_bounded(made: Made) -> None:
    with pytest.raises(InvalidInput, match="at most 8"):
        await made.report(**{f"u{at}": 5.0 for at in range(MOST_OFFERED + 1)})
    request = pb.ReportLatenciesRequest(client_id="anna")
    for _ in range(2):
        request.measured.add(unit_id="dublin")
    context: Any = None
    with pytest.raises(InvalidInput, match="measured twice"):
        await made.service.ReportLatencies(request, context)
    with pytest.raises(InvalidInput, match="limit"):
        await made.service.ListLatencies(pb.ListLatenciesRequest(limit=1_001), context)
    with pytest.raises(NotFound):
        await made.report(tenant="nobody")


async def test_who_does_not_prove_to_be_the_client_reports_nothing(made: Made) -> None:
    made.calls.proof = ClientProof(key=b"some other key")
    await made.harness.ask("anna")
    for client in ("anna", "nobody"):
        with pytest.raises(PermissionDenied) as told:
            await made.report(client, dublin=12.0)
        assert "nothing shown here proves" in told.value.message
    assert not any(made.keeper.outcomes.values())


async def test_placement_goes_by_what_is_believed(made: Made) -> None:
    cells = made.harness.fleet_view.fleet.latencies
    for number, address in enumerate(IRISH):
        made.calls.address = address
        await made.report(f"client-{number}", dublin=80.0)
    await made.keeper.refresh()
    assert made.keeper.believed.estimates
    made.harness.fleet_view._rebuild()
    assert made.harness.fleet_view.fleet.latencies is not cells
    (cell,) = made.keeper.believed.estimates
    assert made.harness.placer.fleet.latencies.of(cell, "", "") == {"dublin": 80.0}


@pytest.mark.parametrize("viewer", [True, False])
async def test_explain_tells_viewers_who_measured_and_when(made: Made, viewer: bool) -> None:
    for number, address in enumerate(IRISH):
        made.calls.address = address
        await made.report(f"client-{number}", dublin=12.0 + number)
    await made.keeper.refresh()
    harness, key = made.harness, keys.assignment("default", "anna")
    location, how = harness.locator.explain(IRISH[0], None, None)
    response = await explained(
        "default",
        key,
        location,
        how,
        harness.placer.explain("default", key, location, NO_RECORD, 0.0),
        None,
        with_rules=viewer,
        latencies=made.keeper,
    )
    told = {unit.unit_id: unit.measured for unit in explanation_of(response).units}
    assert told["virginia"] is None
    if not viewer:
        assert told["dublin"] is None
        return
    dublin = told["dublin"]
    assert dublin is not None
    assert 12.0 <= dublin.ms <= 15.0
    assert (dublin.reports, dublin.networks) == (4, 4)
    assert 0.0 <= dublin.age_s < 60.0
