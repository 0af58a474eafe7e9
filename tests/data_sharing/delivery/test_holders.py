"""Who may say what became of an instruction: whom it was sent to, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.dispatcher import AWAY_MS
from data_sharing.instruction import Performance, Performed
from tests.support.dispatch_harness import ONCE, REPEATABLE, DispatchHarness, Service
from tests.support.platform_sessions import session


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DispatchHarness]:
    made = DispatchHarness(tmp_path)
    yield made
    await made.close()


def forged(platform: str, *, attempt: int = 1, instruction: str = "i-1") -> Performed:
    return Performed(
        instruction=instruction,
        attempt=attempt,
        status=Performance.DONE,
        platform=platform,
        output='{"volume":0}',
    )


async def rejects(service: Service, made, performed: Performed) -> None:
    """The session hears so, and nothing is recorded."""
    before = service.kept()
    service.dispatcher.accept_report(made, performed)
    await service.until(lambda: len(made.rejected) == 1)
    assert made.rejected.popleft() == (performed.instruction, performed.attempt)
    assert not made.recorded
    assert service.kept() == before
    assert service.told == []


STRANGERS = [
    pytest.param("car", "acme", "0001", id="another-platform-of-the-tenant"),
    pytest.param("car", "bank", "0001", id="a-platform-of-another-tenant"),
    pytest.param("hub", "bank", "0001", id="its-namesake-of-another-tenant"),
    pytest.param("car", "acme", "9999", id="a-later-run-of-another-platform"),
]


@pytest.mark.parametrize("instruction", [ONCE, REPEATABLE], ids=["once", "idempotent"])
@pytest.mark.parametrize(("name", "tenant", "incarnation"), STRANGERS)
async def test_an_outcome_of_somebody_else_is_rejected(
    harness, instruction, name, tenant, incarnation
):
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.runner.hold.clear()
        hub.connect()
        await service.decide(instruction)
        await service.until(lambda: hub.runner.at_once == 1)
        await service.until(lambda: service.kept().platform == "hub")
        stranger = session(name, tenant=tenant, incarnation=incarnation)
        service.dispatcher.join(stranger)
        await rejects(service, stranger, forged(name))
        hub.runner.hold.set()
        kept = await service.ends(InstructionState.DONE)
        assert (kept.outcome.platform, kept.outcome.output) == ("hub", '{"volume":40}')
        assert [one.platform for one in service.told] == ["hub"]
        assert not stranger.recorded
        assert service.dispatcher.rejected == 1


@pytest.mark.parametrize("instruction", [ONCE, REPEATABLE], ids=["once", "idempotent"])
async def test_before_it_is_sent_it_is_nobodys(harness, instruction):
    async with harness.service() as service:
        await service.decide(instruction)
        early = session("hub", ready=False)
        service.dispatcher.join(early)
        await rejects(service, early, forged("hub"))


@pytest.mark.parametrize("attempt", [0, 2, 1 << 31])
async def test_an_attempt_that_never_was_is_rejected(harness, attempt):
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.runner.hold.clear()
        hub.connect()
        await service.decide(ONCE)
        await service.until(lambda: hub.runner.at_once == 1)
        await service.until(lambda: service.kept().platform == "hub")
        before = service.kept()
        service.dispatcher.accept_report(hub.session, forged("hub", attempt=attempt))
        await service.until(lambda: service.dispatcher.rejected == 1)
        assert service.kept() == before
        hub.runner.hold.set()
        await service.ends(InstructionState.DONE)


async def test_an_instruction_that_is_not_there_is_rejected_alike(harness):
    async with harness.service() as service:
        hub = session("hub")
        service.dispatcher.join(hub)
        service.dispatcher.accept_report(hub, forged("hub", instruction="i-none"))
        await service.until(lambda: list(hub.rejected) == [("i-none", 1)])


async def test_its_platform_tells_the_outcome_in_a_later_run(harness):
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.mute = True
        hub.connect()
        await service.decide(ONCE)
        await service.until(lambda: len(hub.journal.unrecorded()) == 1)
        hub.cut()
        hub.mute = False
        hub.connect()
        await service.ends(InstructionState.DONE)
        assert service.dispatcher.rejected == 0


async def moved_on(harness: DispatchHarness, service: Service):
    """hub runs it and its connection is gone; car has been given it as well."""
    hub, car = await harness.platform(service), await harness.platform(service, "car")
    for line in (hub, car):
        line.runner.hold.clear()
    hub.connect()
    await service.decide(REPEATABLE)
    await service.until(lambda: hub.runner.at_once == 1)
    car.connect()
    hub.cut()
    service.clock.now_ms += AWAY_MS + 1
    await service.until(lambda: car.runner.at_once == 1)
    return hub, car


@pytest.mark.parametrize("first", ["hub", "car"])
async def test_of_an_instruction_that_went_elsewhere_the_first_outcome_counts(harness, first):
    async with harness.service() as service:
        hub, car = await moved_on(harness, service)
        hub.connect()
        one, other = (hub, car) if first == "hub" else (car, hub)
        one.runner.hold.set()
        kept = await service.ends(InstructionState.DONE)
        assert kept.outcome.platform == first
        other.runner.hold.set()
        await service.until(lambda: not other.journal.unrecorded() and not other.host.running)
        assert [performed.platform for performed in service.told] == [first]
        assert service.dispatcher.rejected == 0


async def test_after_a_restart_it_is_known_who_had_it_last(harness):
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.mute = True
        hub.connect()
        await service.decide(REPEATABLE)
        await service.until(lambda: len(hub.journal.unrecorded()) == 1)
        await service.until(lambda: service.kept().platform == "hub")
    async with harness.service(fence=2) as again:
        car = session("car", ready=False)
        again.dispatcher.join(car)
        await rejects(again, car, forged("car"))
        hub.service, hub.mute = again, False
        hub.connect()
        await again.ends(InstructionState.DONE)
        assert len(hub.alarm.invocations) == 1
