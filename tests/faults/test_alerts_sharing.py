"""Alerts of data sharing on a real server with real platforms: each is made to happen, and what
its runbook says ends it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import grpc
import pytest

from tests.support.prometheus import PROGRAM, ends, fires
from tests.support.sharing_alert_harness import WatchedSharing, all_the_while, watched_sharing
from tests.support.small_disk import fill, small_disk
from tests.support.submissions import COFFEE, SPEED, coffee, traffic
from tests.support.wasm_guests import wat

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

FASTER = 90  # a quarter of an hour is ten seconds
DISK_BYTES = 24 << 20
LARGEST = "x" * 60_000
LARGE = "x" * 5_000  # of such events a transaction takes some thirty
PUBLISHERS = 24  # of a hundred such events each, always: more than five seconds of deciding


def rule(name: str, when: str, cups: int = 2, **more: str) -> str:
    """One that has coffee brewed."""
    settings = "".join(f"    {key}: {value}\n" for key, value in more.items())
    return f"""
  - rule: {name}
    watch: {{t: {{feed: {SPEED}}}}}
    when: {when}
{settings}    do:
      - invoke:
          application: coffee
          action: brew
          config: {{cups: "{cups}"}}
          deadline: DEADLINE
"""


def rules(*those: str, deadline: str = "1h") -> str:
    return "rules:" + "".join(those).replace("DEADLINE", deadline)


def breaks_at_three_cups() -> bytes:
    """A program that answers as the coffee machine does to two cups, and traps where it finds
    three."""
    answer = b'{"performed":"brew","cups":2}'
    three = int.from_bytes(b's":3', "little")
    return wat(
        "(local $at i32)"
        "(i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 1024))"
        "(drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
        "(loop $next"
        f" (if (i32.eq (i32.load offset=4096 (local.get $at)) (i32.const {three}))"
        "   (then unreachable))"
        " (local.set $at (i32.add (local.get $at) (i32.const 1)))"
        " (br_if $next (i32.lt_u (local.get $at) (i32.const 1024))))"
        "(i32.store (i32.const 0) (i32.const 1024))"
        f"(i32.store (i32.const 4) (i32.const {len(answer)}))"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
        answer,
    )


@pytest.mark.fires("HomeportRulesParked", "HomeportDeadLettersGrowing")
async def test_a_rule_that_fails_is_told_until_it_is_mended(tmp_path: Path) -> None:
    async with watched_sharing(tmp_path, faster=FASTER) as on:
        parked, growing = "HomeportRulesParked", "HomeportDeadLettersGrowing"
        await on.submit(traffic())
        failing = rule("poison", "has(t.data.note) && int(t.data.note) > 0", park_after="2")
        await on.apply(rules(failing))
        await on.publish(4)
        await on.scraped("homeport_decisions_failed_total")
        assert not {parked, growing} & on.prometheus.firing()
        await on.publish(8, note="none")
        # At once: what grew is forgotten after twenty seconds.
        await asyncio.gather(fires(on.prometheus, parked), fires(on.prometheus, growing))
        shown = await on.operate("rules", "show", "poison")
        assert shown["parked_scopes"][0]["key"] == "A1"
        letters = (await on.operate("dlq", "list"))["dead_letters"]
        assert len(letters) == 8
        await on.apply(rules(failing.replace("int(t.data.note) > 0", 't.data.note == "none"')))
        await ends(on.prometheus, parked)
        assert (await on.operate("dlq", "redrive", letters[0]["id"]))["redriven"] is not None
        await ends(on.prometheus, growing)


@pytest.mark.fires("HomeportRulesParked")
async def test_a_rule_that_a_producer_parks_is_told_until_it_is_tried_again(
    tmp_path: Path,
) -> None:
    async with watched_sharing(tmp_path, faster=FASTER) as on:
        await on.submit(traffic())
        await on.apply(rules(rule("poison", "has(t.data.note) && int(t.data.note) > 0",
                                  park_after="2")))  # fmt: skip
        await on.publish(2, note="none")
        await fires(on.prometheus, "HomeportRulesParked")
        await on.operate("rules", "retry", "poison")
        await on.publish(note="1")  # its producer is mended
        await ends(on.prometheus, "HomeportRulesParked")


@pytest.mark.fires("HomeportRulesFull")
async def test_a_rule_without_room_is_told_until_it_is_retired(tmp_path: Path) -> None:
    alert, limits = "HomeportRulesFull", ("--memory-limits", '{"rule_keys": 3}')
    async with watched_sharing(tmp_path, faster=FASTER, arguments=limits) as on:
        await on.submit(traffic())
        await on.apply(rules(rule("once", "t.data.speed_kmh > 0.0", cooldown="1h")))
        for road in ("A1", "A2", "A3", "A4"):
            await on.publish(road=road)
        await on.scraped("homeport_rules_full_events_total")
        roads = iter(range(1_000_000))

        async def publish() -> None:
            await on.publish(road=f"B{next(roads)}")

        async with all_the_while(publish, every_s=0.2):
            await fires(on.prometheus, alert)
        (shown,) = (await on.operate("rules", "list"))["rules"]
        assert shown["memory"]["keys"] == 3
        assert "as many as it may" in shown["memory"]["full"]
        await on.publish(road="A1")  # known, and as ever
        await on.operate("rules", "retire", "once")
        async with all_the_while(publish, every_s=0.2):
            await ends(on.prometheus, alert)


@pytest.mark.fires("HomeportInstructionsOverdue")
async def test_instructions_that_nobody_performs_are_told_until_a_platform_does(
    tmp_path: Path,
) -> None:
    alert = "HomeportInstructionsOverdue"
    async with watched_sharing(tmp_path, faster=10 * FASTER) as on:
        await on.submit(traffic())
        await on.submit(coffee(), COFFEE)
        await on.apply(rules(rule("slow", "t.data.speed_kmh < 30")))
        assert alert not in on.prometheus.firing()
        await on.publish(speed_kmh=10)
        await fires(on.prometheus, alert)
        assert (await on.operate("platforms", "list"))["platforms"] == []
        await on.platform()
        await ends(on.prometheus, alert)
        assert [one["state"] for one in await on.instructions()] == ["done"]


@pytest.mark.fires("HomeportApprovalsWaiting")
async def test_what_nobody_approves_is_told_until_somebody_decides(tmp_path: Path) -> None:
    alert = "HomeportApprovalsWaiting"
    async with watched_sharing(tmp_path, faster=10 * FASTER) as on:
        await on.submit(traffic())
        await on.submit(coffee(), COFFEE)
        asking = rules(rule("slow", "t.data.speed_kmh < 30"))
        await on.apply(asking.replace("deadline: 1h", "deadline: 1h\n          approval: {}"))
        assert alert not in on.prometheus.firing()
        await on.publish(speed_kmh=10)
        await fires(on.prometheus, alert)
        (asked,) = (await on.operate("approvals", "list"))["approvals"]
        await on.operate("approvals", "reject", asked["instruction"]["id"])
        await ends(on.prometheus, alert)


@pytest.mark.fires("HomeportInstructionsOverdue")
async def test_instructions_that_a_platform_holds_are_told_until_it_is_started_again(
    tmp_path: Path,
) -> None:
    alert = "HomeportInstructionsOverdue"
    async with watched_sharing(tmp_path, faster=FASTER) as on:
        await on.submit(traffic())
        await on.submit(coffee(), COFFEE)
        await on.apply(rules(rule("slow", "t.data.speed_kmh < 30"), deadline="3s"))
        hanging = await on.platform()
        os.kill(hanging.process.pid, signal.SIGSTOP)
        await on.publish(2, speed_kmh=10)
        await fires(on.prometheus, alert)
        hanging.kill()
        await on.platform()
        await ends(on.prometheus, alert)


@pytest.mark.fires("HomeportSandboxFailures")
async def test_an_application_that_traps_is_told_until_its_developer_has_mended_it(
    tmp_path: Path,
) -> None:
    alert = "HomeportSandboxFailures"
    broken = breaks_at_three_cups()
    runtime = {"kind": "wasi-command", "sha256": hashlib.sha256(broken).hexdigest()}
    async with watched_sharing(tmp_path, faster=FASTER, platform=True) as on:
        await on.submit(traffic())
        await on.submit(coffee(runtime=runtime), broken)
        await on.apply(rules(rule("few", "t.data.speed_kmh < 50"),
                             rule("many", "t.data.speed_kmh < 30", cups=3)))  # fmt: skip
        await on.platform()
        async with all_the_while(lambda: on.publish(2, speed_kmh=40), every_s=0.5):
            await asyncio.sleep(3.0)
            assert alert not in on.prometheus.firing()
        async with all_the_while(lambda: on.publish(speed_kmh=10), every_s=0.5):
            await fires(on.prometheus, alert)
            statuses = {one["outcome"]["status"] for one in await on.instructions()
                        if one["outcome"]}  # fmt: skip
            assert statuses == {"done", "trapped"}
            await on.submit(coffee(version="1.0.1"), COFFEE)
            await ends(on.prometheus, alert)


@pytest.mark.fires("HomeportDatabaseAway")
async def test_a_database_that_cannot_be_written_is_told_until_its_disk_has_room(
    tmp_path: Path,
) -> None:
    alert = "HomeportDatabaseAway"
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        async with watched_sharing(tmp_path, server_folder=disk, faster=FASTER) as on:
            await on.submit(traffic())
            await on.publish(10)
            assert alert not in on.prometheus.firing()
            ballast = disk / "ballast"
            fill(ballast)
            codes = list[grpc.StatusCode]()

            async def try_to_publish() -> None:
                try:
                    await on.publish(note=LARGEST)
                except grpc.aio.AioRpcError as refused:
                    codes.append(refused.code())

            async with all_the_while(try_to_publish, every_s=0.2):
                await fires(on.prometheus, alert)
            assert set(codes) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}
            await asyncio.sleep(5.0)  # nobody publishes, and nothing has changed
            assert alert in on.prometheus.firing()
            ballast.unlink()
            await ends(on.prometheus, alert)  # nobody has to publish before it is so
            await on.publish(10)


@pytest.mark.fires("HomeportSharingLagging")
async def test_events_that_wait_for_a_costly_rule_are_told_until_it_is_retired(
    tmp_path: Path,
) -> None:
    alert = "HomeportSharingLagging"
    numbers = list(range(90))
    costly = f"!{numbers}.all(a, {numbers}.all(b, t.data.speed_kmh + double(a * b) >= 0.0))"
    async with watched_sharing(tmp_path, faster=FASTER) as on:
        await on.submit(traffic())
        await on.apply(rules(rule("costly", f"'{costly}'")))
        await on.publish(10)
        assert alert not in on.prometheus.firing()
        async with asyncio.TaskGroup() as group:
            publishing = [group.create_task(publish_on(on)) for _ in range(PUBLISHERS)]
            await fires(on.prometheus, alert)
            assert [one["id"] for one in (await on.operate("rules", "list"))["rules"]] == ["costly"]
            await on.operate("rules", "retire", "costly")
            await ends(on.prometheus, alert)
            for one in publishing:
                one.cancel()


async def publish_on(on: WatchedSharing) -> None:
    """For ever, a hundred large events at a time."""
    while True:
        await on.publish(100, note=LARGE)
