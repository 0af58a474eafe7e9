"""Paused rules over the rule service: what waits, in which order it is decided, what is lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.errors import NotFound, Refused, StoreUnavailable
from data_sharing.api.rule_service import RuleService
from data_sharing.decisions import history, pause_tables
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rule_registry import RuleRegistry
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.rule_services import Catalogues, apply, document, rule_registry, rule_service

DEBOUNCED = document("r").replace("when:", "debounce: {wait: 10s}\n    when:")


class Pausing:
    """A rule that fires on everything, another one beside it, and what resumes them."""

    def __init__(
        self, harness: DecisionHarness, service: RuleService, registry: RuleRegistry
    ) -> None:
        self.harness, self.service, self.registry = harness, service, registry
        self.pauses = Pauses(harness.database, registry, harness.worker, wall_ms=harness.clock)
        self.sent = 0

    async def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.sent += 1
            await self.harness.publish(
                event({"on": True}, feed="switched", id=f"n{self.sent}", key="k")
            )

    async def pause(self) -> pb.Rule:
        request = pb.PauseRuleRequest(rule_id="r", reason="too loud")
        return await self.service.PauseRule(request, OPERATOR)

    async def resume(self, *, skip: bool = False) -> pb.Rule:
        request = pb.ResumeRuleRequest(rule_id="r", skip_backlog=skip)
        return await self.service.ResumeRule(request, OPERATOR)

    async def rule(self) -> pb.Rule:
        return await self.service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)

    async def work_off(self) -> None:
        """Until nothing waits."""
        while await self.pauses.work_off():
            pass

    def decided(self, rule: str = "r") -> list[int]:
        """Positions of events on which the rule has fired, in order."""
        return [one.position for one in self.harness.decisions() if one.rule == rule]


@pytest.fixture
async def pausing(harness, service, registry) -> Pausing:
    await apply(service, document("r", "other"))
    return Pausing(harness, service, registry)


async def test_events_wait_for_a_paused_rule_and_for_no_other(pausing) -> None:
    await pausing.send()
    assert (await pausing.pause()).pause.operator == "ann"
    await pausing.send(2)
    pause = (await pausing.rule()).pause
    assert (pause.waiting_events, pause.lost_events, pause.resuming) == (2, 0, False)
    assert pause.reason == "too loud"
    assert pausing.decided() == [1]
    assert pausing.decided("other") == [1, 2, 3]
    assert pausing.harness.letters() == []


async def test_a_resumed_rule_decides_what_waits_in_order_and_then_what_comes(pausing) -> None:
    await pausing.pause()
    await pausing.send(3)
    assert (await pausing.resume()).pause.resuming
    await pausing.send()
    assert pausing.decided() == []
    await pausing.work_off()
    assert pausing.decided() == [1, 2, 3, 4]
    assert not (await pausing.rule()).HasField("pause")
    await pausing.send()
    assert pausing.decided() == [1, 2, 3, 4, 5]


async def test_what_comes_in_the_transaction_in_which_a_pause_ends_is_decided_in_it(
    pausing,
) -> None:
    """Else it would wait, and what comes after it would be decided before it."""
    await pausing.pause()
    await pausing.resume()
    await asyncio.gather(pausing.pauses.work_off(), pausing.send())
    assert pausing.decided() == [1]
    assert not (await pausing.rule()).HasField("pause")


async def test_a_resume_may_skip_what_waits_and_nothing_else(pausing) -> None:
    await pausing.pause()
    await pausing.send(3)
    await pausing.resume(skip=True)
    await pausing.send()
    await pausing.work_off()
    assert pausing.decided() == [4]
    assert not (await pausing.rule()).HasField("pause")


@pytest.mark.parametrize("skip", [False, True])
async def test_once_it_is_resumed_no_explanation_says_that_an_event_waits(
    pausing, skip: bool
) -> None:
    await pausing.pause()
    await pausing.send()

    def said() -> list[str]:
        found = pausing.harness.read(lambda db: history.judgements_of(db, TENANT, 1))
        return [f"{one.verdict}: {one.detail}" for one in found if one.rule == "r"]

    assert said() == ["paused: rule r is paused; it waits for `homeport rules resume r`"]
    await pausing.resume(skip=skip)
    await pausing.work_off()
    skipped = "paused: it was skipped when the rule was resumed"
    assert said() == [skipped if skip else "fired: "]
    found = pausing.harness.read(lambda db: history.judgements_of(db, TENANT, 1))
    assert [one.verdict for one in found if one.rule == "other"] == ["fired"]


async def test_a_rule_paused_again_while_it_is_resumed_goes_on_waiting(pausing) -> None:
    await pausing.pause()
    await pausing.send(2)
    await pausing.resume()
    await pausing.pause()
    await pausing.work_off()
    assert pausing.decided() == []
    assert (await pausing.rule()).pause.waiting_events == 2


async def test_what_waits_outlives_a_restart(pausing) -> None:
    await pausing.pause()
    await pausing.send(2)
    pausing.harness.worker.forget()
    pausing.registry.in_force.load()
    await pausing.send()
    assert pausing.decided() == []
    await pausing.resume()
    pausing.registry.in_force.load()
    await pausing.work_off()
    assert pausing.decided() == [1, 2, 3]


ROLLED_OUT = (
    document("r", when="e.data.on") + "    rollout: {steps: [{shadow: true}, {share: 50}]}\n"
)


async def test_what_comes_while_a_first_version_is_in_shadow_waits_as_well(
    harness, service, registry
) -> None:
    """No version acts at any key yet; whoever does when the rule is resumed decides it."""
    pausing = Pausing(harness, service, registry)
    await apply(service, ROLLED_OUT)
    await pausing.pause()
    await pausing.send(2)
    assert (await pausing.rule()).pause.waiting_events == 2
    full = pb.PromoteRolloutRequest(rule_id="r", full=True)
    await service.PromoteRollout(full, OPERATOR)
    await pausing.resume()
    await pausing.work_off()
    assert pausing.decided() == [1, 2]


async def test_what_one_version_of_a_rollout_alone_can_match_waits(pausing) -> None:
    """At some keys the new version acts, at others the one in force: each event of the new one
    waits, and is decided where that acts."""
    await apply(pausing.service, document("r", when="e.data.on == false"))
    wider = document("r", when="e.data.on == true") + "    rollout: {steps: [{share: 50}]}\n"
    await apply(pausing.service, wider)
    await pausing.pause()
    for key in range(20):
        await pausing.harness.publish(
            event({"on": True}, feed="switched", id=f"n{key}", key=f"k{key}")
        )
    assert (await pausing.rule()).pause.waiting_events == 20
    await pausing.resume()
    await pausing.work_off()
    assert 0 < len(pausing.decided()) < 20
    assert pausing.harness.letters() == []


async def test_the_last_event_that_has_room_waits_once_for_both_versions(pausing) -> None:
    rollout = "    rollout: {steps: [{share: 50}]}\n"
    await apply(pausing.service, document("r", when="e.data.on == true") + rollout)
    await pausing.pause()
    await pausing.harness.database.transact(
        lambda db: db.execute("UPDATE pauses SET waiting = ?", (pause_tables.MOST_WAITING - 1,))
    )
    await pausing.send()
    assert pausing.harness.letters() == []
    await pausing.send()
    assert len(pausing.harness.letters()) == 1
    lost = pausing.harness.read(lambda db: history.judgements_of(db, TENANT, 2))
    paused = [one for one in lost if one.verdict == "paused"]
    assert {one.shadow for one in paused} == {True, False}
    assert all("this one is a dead letter" in one.detail for one in paused)


async def test_timers_of_a_paused_rule_wait_too(pausing) -> None:
    await apply(pausing.service, DEBOUNCED)
    await pausing.send()
    await pausing.pause()
    pausing.harness.clock.now_ms += 60_000
    while await pausing.harness.worker.tick():
        pass
    assert pausing.decided() == []
    await pausing.resume()
    await pausing.work_off()
    while await pausing.harness.worker.tick():
        pass
    assert len(pausing.decided()) == 1


async def test_events_beyond_the_bound_are_dead_letters(pausing) -> None:
    await pausing.pause()
    await pausing.send()
    await pausing.harness.database.transact(
        lambda db: db.execute("UPDATE pauses SET waiting = ?", (pause_tables.MOST_WAITING,))
    )
    await pausing.send()
    (letter,) = pausing.harness.letters()
    assert letter.rule == "r"
    assert "100,000 events wait" in letter.reason
    waits, lost = (
        pausing.harness.read(lambda db, at=at: history.judgements_of(db, TENANT, at))[-1]
        for at in (1, 2)
    )
    assert (waits.verdict, lost.verdict) == ("paused", "paused")
    assert "it waits for `homeport rules resume r`" in waits.detail
    assert "it waits for" not in lost.detail
    assert "this one is a dead letter" in lost.detail


async def test_events_that_pass_their_retention_while_they_wait_are_counted_as_lost(
    pausing,
) -> None:
    await pausing.pause()
    await pausing.send(3)
    gone = await pausing.harness.database.transact(
        lambda db: pause_tables.trim_events(db, TENANT, 2, 100)
    )
    assert gone == 2
    pause = (await pausing.rule()).pause
    assert (pause.waiting_events, pause.lost_events) == (1, 2)
    await pausing.resume()
    await pausing.work_off()
    assert pausing.decided() == [3]


async def test_a_retired_rule_gives_up_what_waits(pausing) -> None:
    await pausing.pause()
    await pausing.send(2)
    await pausing.service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    with pytest.raises(Refused, match="nothing to pause"):
        await pausing.pause()
    await pausing.work_off()
    await apply(pausing.service, document("r"))
    await pausing.send()
    assert pausing.decided() == [3]


async def test_a_rule_that_is_not_there_says_so(pausing) -> None:
    for request, method in (
        (pb.PauseRuleRequest(rule_id="q"), pausing.service.PauseRule),
        (pb.ResumeRuleRequest(rule_id="q"), pausing.service.ResumeRule),
    ):
        with pytest.raises(NotFound):
            await method(request, OPERATOR)


MOVES = st.lists(
    st.sampled_from(["send", "pause", "resume", "work", "undone", "restart"]), max_size=25
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=MOVES)
async def test_every_event_is_decided_once_and_in_order_whatever_happens(
    tmp_path_factory, moves: list[str]
) -> None:
    """Over pauses, resumes, transactions that are undone and restarts."""
    async with decision_harness(tmp_path_factory.mktemp("pauses")) as harness:
        registry = rule_registry(harness, Catalogues())
        pausing = Pausing(harness, rule_service(harness, registry), registry)
        await apply(pausing.service, document("r"))
        for move in moves:
            if move == "send":
                await pausing.send()
            elif move == "pause":
                await pausing.pause()
            elif move == "resume":
                await pausing.resume()
            elif move == "work":
                await pausing.pauses.work_off()
            elif move == "restart":
                harness.worker.forget()
                registry.in_force.load()
            else:
                await undone(pausing)
            assert pausing.decided() == list(range(1, len(pausing.decided()) + 1))
        await pausing.resume()
        await pausing.work_off()
        assert pausing.decided() == list(range(1, pausing.sent + 1))


async def undone(pausing: Pausing) -> None:
    """What waits is decided, and the transaction that did it is undone."""

    def work(db: object) -> None:
        pausing.pauses._some(db, tenant=TENANT, rule_id="r")  # type: ignore[arg-type]
        raise StoreUnavailable("the disk is full")

    with pytest.raises(StoreUnavailable):
        await pausing.harness.database.transact(work)
