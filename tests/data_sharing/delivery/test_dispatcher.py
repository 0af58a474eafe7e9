"""Instructions on their way: to a platform that has the application, at least once, until an
outcome is recorded or a dead letter says why there is none. Platforms are real hosts with real
journals; what is between them and the dispatcher is a test's to cut."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import Conflict
from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.dispatcher import AWAY_MS, REPORT_MS
from data_sharing.delivery.in_flight_queue import ALWAYS_OF_TENANT
from data_sharing.instruction import Instruction
from data_sharing.runtimes.port import Invocation, InvocationStatus, Outcome
from tests.support.dispatch_harness import (
    ONCE,
    REPEATABLE,
    DispatchHarness,
)
from tests.support.fakes.runner import echo


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DispatchHarness]:
    made = DispatchHarness(tmp_path)
    yield made
    await made.close()


async def test_an_instruction_is_performed_and_its_outcome_recorded_once(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.connect()
        await service.decide(ONCE)
        kept = await service.ends(InstructionState.DONE)
        assert kept.outcome is not None
        assert (kept.outcome.output, kept.platform) == ('{"volume":40}', "hub")
        await service.until(lambda: hub.journal.unrecorded() == [])  # it heard that it is recorded
        assert len(service.told) == len(hub.alarm.invocations) == 1
        assert len(service.dispatcher) == 0


async def test_what_is_decided_before_a_platform_comes_waits_for_it(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        await service.decide(ONCE)
        hub = await harness.platform(service)
        hub.connect()
        await service.ends(InstructionState.DONE)


async def test_the_same_decision_twice_is_one_instruction(harness: DispatchHarness) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.connect()
        await service.decide(ONCE)
        await service.ends(InstructionState.DONE)
        await service.decide(ONCE)
        await service.decide(replace(ONCE, id="i-2"))
        await service.ends(InstructionState.DONE, "i-2")
        assert len(hub.alarm.invocations) == 2


async def test_a_platform_gets_no_more_than_its_capacity(harness: DispatchHarness) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service, capacity=3)
        hub.runner.hold.clear()
        hub.connect()
        await service.decide(*(replace(ONCE, id=f"i-{n}") for n in range(10)))
        await service.until(lambda: hub.runner.at_once == 3)
        assert len(hub.session.in_flight) == 3
        hub.runner.hold.set()
        for number in range(10):
            await service.ends(InstructionState.DONE, f"i-{number}")
        assert hub.session.refusals == 0


async def test_two_platforms_share_the_work(harness: DispatchHarness) -> None:
    async with harness.service() as service:
        hub, car = await harness.platform(service), await harness.platform(service, "car")
        for line in (hub, car):
            line.runner.hold.clear()
            line.connect()
        await service.decide(*(replace(ONCE, id=f"i-{n}") for n in range(8)))
        await service.until(lambda: hub.runner.at_once + car.runner.at_once == 8)
        assert (hub.runner.at_once, car.runner.at_once) == (4, 4)


async def test_an_outcome_lost_on_the_way_is_told_again_and_nothing_runs_again(
    harness: DispatchHarness,
) -> None:
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
        assert len(hub.alarm.invocations) == len(service.told) == 1


async def test_what_may_run_once_only_waits_for_the_platform_that_has_it(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.deaf = True
        hub.connect()
        await service.decide(ONCE)
        await service.ends(InstructionState.SENT)
        hub.cut()
        car = await harness.platform(service, "car")
        car.connect()
        service.clock.now_ms += AWAY_MS + 1
        await service.decide(replace(ONCE, id="i-2"))
        await service.ends(
            InstructionState.DONE, "i-2"
        )  # car is there, and could have had the first too
        assert service.kept().state is InstructionState.SENT
        hub.deaf = False
        hub.connect()
        assert (await service.ends(InstructionState.DONE)).platform == "hub"
        assert len(hub.alarm.invocations) == 1


async def test_what_may_run_twice_goes_to_another_when_its_platform_stays_away(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub, car = await harness.platform(service), await harness.platform(service, "car")
        hub.deaf = True
        hub.connect()
        await service.decide(REPEATABLE)
        await service.until(lambda: len(hub.session.in_flight) == 1)
        car.connect()
        hub.cut()
        assert service.kept().state is InstructionState.PENDING
        service.clock.now_ms += AWAY_MS + 1
        assert (await service.ends(InstructionState.DONE)).platform == "car"


async def test_a_new_worker_sends_on_what_the_one_before_left(harness: DispatchHarness) -> None:
    async with harness.service(fence=1) as before:
        await before.decide(ONCE, replace(REPEATABLE, id="i-2"))
        hub = await harness.platform(before)
        hub.deaf = True
        hub.connect()
        await before.ends(InstructionState.SENT)
        old_tokens = list(hub.session.tokens)
    async with harness.service(fence=2) as after:
        hub.service, hub.deaf = after, False
        hub.connect()
        await after.ends(InstructionState.DONE)
        await after.ends(InstructionState.DONE, "i-2")
        for token in old_tokens:
            hub.host.accept(token)  # the zombie's, come late
        await asyncio.sleep(0)
        assert len(hub.alarm.invocations) == 2


def fails_at_first(times: int) -> Callable[[Invocation], Outcome]:
    left = [times]

    def answer(invocation: Invocation) -> Outcome:
        left[0] -= 1
        return (
            echo(invocation)
            if left[0] < 0
            else Outcome(status=InvocationStatus.FAILED, message="no")
        )

    return answer


async def test_a_failed_action_is_tried_again_where_that_does_no_harm(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.alarm.answer = fails_at_first(1)
        hub.connect()
        await service.decide(REPEATABLE)

        def done_in_time() -> bool:
            service.clock.now_ms += 10  # its back-off passes
            return service.kept().state is InstructionState.DONE

        await service.until(done_in_time)
        kept = service.kept()
        assert kept.outcome is not None
        assert kept.outcome.attempt == 2
        assert len(hub.alarm.invocations) == 2


@pytest.mark.parametrize(
    ("instruction", "answer", "expected"),
    [
        pytest.param(
            ONCE, fails_at_first(9), "alarm failed: no; it is not idempotent", id="not-idempotent"
        ),
        pytest.param(
            REPEATABLE,
            lambda _: Outcome(status=InvocationStatus.TRAPPED, message="unreachable"),
            "alarm trapped: unreachable",
            id="a-trap-would-only-come-again",
        ),
    ],
)
async def test_a_failure_that_stays_is_a_dead_letter(
    harness: DispatchHarness,
    instruction: Instruction,
    answer: Callable[[Invocation], Outcome],
    expected: str,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.alarm.answer = answer
        hub.connect()
        await service.decide(instruction)
        kept = await service.ends(InstructionState.DEAD)
        assert kept.reason.startswith(expected)
        assert [letter.reason for letter in service.letters()] == [kept.reason]
        assert len(service.told) == 1


async def test_what_nobody_can_perform_is_a_dead_letter_at_its_deadline(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        await service.decide(ONCE)
        await service.until(lambda: len(service.dispatcher) == 1)
        service.clock.now_ms = ONCE.deadline_ms + 1
        kept = await service.ends(InstructionState.DEAD)
        assert kept.reason == (
            "its deadline passed: no platform that is present has the application"
        )
        assert [letter.instruction for letter in service.letters()] == ["i-1"]


async def test_an_outcome_that_comes_after_the_dead_letter_takes_it_back(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.runner.hold.clear()
        hub.connect()
        await service.decide(ONCE)
        await service.until(lambda: hub.runner.at_once == 1)
        service.clock.now_ms = ONCE.deadline_ms + REPORT_MS + 1
        kept = await service.ends(InstructionState.DEAD)
        assert "platform hub has it" in kept.reason
        hub.runner.hold.set()
        await service.ends(InstructionState.DONE)
        assert service.letters() == []


async def test_what_needs_approval_waits_and_dies_without(harness: DispatchHarness) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.connect()
        await service.decide(ONCE, needs_approval=True)
        await service.decide(replace(ONCE, id="i-2"))
        await service.ends(InstructionState.DONE, "i-2")
        assert service.kept().state is InstructionState.AWAITING_APPROVAL
        service.clock.now_ms = ONCE.deadline_ms + 1
        kept = await service.ends(InstructionState.DEAD)
        assert kept.reason == "its deadline passed: nobody approved it"
        assert len(hub.alarm.invocations) == 1


async def test_more_than_fits_into_memory_goes_out_in_turns(harness: DispatchHarness) -> None:
    async with harness.service(most_in_memory=8) as service:
        hub = await harness.platform(service)
        hub.connect()
        many = [replace(ONCE, id=f"i-{n}") for n in range(600)]
        await service.decide(*many)
        await service.until(lambda: len(service.told) == 600)
        assert len(hub.alarm.invocations) == 600


async def test_a_tenant_whose_instructions_nobody_takes_holds_up_no_other(
    harness: DispatchHarness,
) -> None:
    """More of them than fit into memory, decided before the other's."""
    async with harness.service(most_in_memory=200) as service:
        hub = await harness.platform(service)
        hub.connect()
        for tenant in ("hostile", "likewise", "alike"):
            await service.decide(
                *(replace(ONCE, id=f"{tenant}-{n}", tenant=tenant) for n in range(700))
            )
        await service.decide(replace(ONCE, id="i-1"))
        await service.ends(InstructionState.DONE)
        await service.decide(*(replace(ONCE, id=f"later-{n}") for n in range(100)))
        await service.until(lambda: len(service.told) == 101)
        assert len(service.dispatcher) <= 200 + 3 * ALWAYS_OF_TENANT


async def test_a_newer_run_of_a_platform_takes_over_and_an_older_one_is_told(
    harness: DispatchHarness,
) -> None:
    async with harness.service() as service:
        hub = await harness.platform(service)
        hub.connect()
        first = hub.session
        hub.connect()
        assert first.gone
        with pytest.raises(Conflict, match="newer run"):
            service.dispatcher.join(dataclasses.replace(first, gone=False))
        await service.decide(ONCE)
        await service.ends(InstructionState.DONE)
