"""Actions of plans fall due once and are performed once, whoever is killed on the way; a worker
that was away says how late it was, or that it was too late."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from data_sharing.clock import SimulatedClock
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import (
    decision_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    registry_pb2_grpc,
)
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.platforms import PlatformProcess
from tests.support.submissions import COFFEE, coffee, text, traffic

WAIT_S = 60.0
NINE_MS = 1_796_029_200_000  # a Monday, 09:00 in UTC
MINUTE_MS = 60_000


def plan(name: str, *, late: str = "5m") -> str:
    """Coffee at nine."""
    action = {"application": "coffee", "action": "brew", "config": {"cups": 2}, "late": late}
    return json.dumps(
        {"plan": name, "owner": "anna", "at": "2026-11-30T09:00:00", "actions": {"brew": action}}
    )


class Kitchen:
    """A server, which can be killed and started, a platform with the coffee machine, and the
    clock of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SimulatedClock(folder / "clock", starts_at_ms=NINE_MS - 10 * MINUTE_MS)
        self.server = self._serve(None)
        self.port = int(self.server.address.rpartition(":")[2])
        with grpc.insecure_channel(self.server.address) as channel:
            registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
            for manifest, artifact in ((traffic(), b""), (coffee(), COFFEE)):
                answer = registry.SubmitApplication(
                    submission(text(manifest), artifact), timeout=WAIT_S
                )
                assert answer.WhichOneof("result") == "accepted", answer
        self.platform: PlatformProcess | None = None

    def _serve(self, environment: dict[str, str] | None) -> SharingServer:
        arguments = [f"--clock-file={self.folder / 'clock'}"]
        if hasattr(self, "port"):
            arguments.append(f"--listen=127.0.0.1:{self.port}")
        return SharingServer(self.folder, *arguments, environment=environment).__enter__()

    def restart(self, fault_point: str = "") -> None:
        if self.server.process.poll() is None:
            self.server.__exit__()
        environment = {"HOMEPORT_FAULT_POINT": fault_point} if fault_point else None
        self.server = self._serve(environment)

    def host(self) -> None:
        self.platform = PlatformProcess(
            self.folder, self.port, f"--clock-file={self.folder / 'clock'}"
        )
        self.until(lambda: self.platform.ready_file.exists())

    def create(self, spec: str) -> None:
        with grpc.insecure_channel(self.server.address) as channel:
            plan_pb2_grpc.PlanServiceStub(channel).CreatePlan(
                plan_pb2.CreatePlanRequest(spec=spec), timeout=WAIT_S
            )

    def decisions(self) -> list[pb.Decision]:
        with grpc.insecure_channel(self.server.address) as channel:
            stub = decision_pb2_grpc.DecisionServiceStub(channel)
            return list(stub.ListDecisions(pb.ListDecisionsRequest(), timeout=WAIT_S).decisions)

    def instructions(self) -> list[pb.Instruction]:
        with grpc.insecure_channel(self.server.address) as channel:
            stub = decision_pb2_grpc.DecisionServiceStub(channel)
            answer = stub.ListInstructions(pb.ListInstructionsRequest(), timeout=WAIT_S)
            return list(answer.instructions)

    def outcomes(self) -> list[tuple[Any, ...]]:
        """Outcomes as the feeds have them."""
        with sqlite3.connect(self.folder / "data" / "sharing.db") as db:
            return db.execute(
                "SELECT id FROM feed_events WHERE type = 'homeport.instruction.outcome'"
            ).fetchall()

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, self.server.log()
            time.sleep(0.02)

    def dies(self) -> None:
        assert self.server.process.wait(WAIT_S) == -9

    def close(self) -> None:
        if self.platform is not None and self.platform.process.poll() is None:
            self.platform.kill()
        if self.server.process.poll() is None:
            self.server.__exit__()


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    made = Kitchen(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    "point",
    [
        "decide.timers.after",
        "dispatch.outcome.before",
        pytest.param("decide.timers.before", marks=pytest.mark.slow),
        pytest.param("dispatch.claim.after", marks=pytest.mark.slow),
        pytest.param("dispatch.outcome.after", marks=pytest.mark.slow),
    ],
)
def test_coffee_is_brewed_once_whoever_is_killed(kitchen: Kitchen, point: str) -> None:
    kitchen.create(plan("breakfast"))
    kitchen.restart(point)
    kitchen.host()
    kitchen.clock.go_to(NINE_MS)
    kitchen.dies()
    kitchen.restart()
    kitchen.until(lambda: [one.state for one in kitchen.instructions()] == [
        pb.INSTRUCTION_STATE_DONE
    ])  # fmt: skip
    (one,) = kitchen.instructions()
    assert (one.outcome.status, one.outcome.attempt) == (pb.OUTCOME_STATUS_DONE, 1)
    assert [decision.kind for decision in kitchen.decisions()] == [pb.DECISION_KIND_PLANNED]
    assert kitchen.outcomes() == [(f"{one.instruction_id}/1",)]


def test_a_worker_that_was_away_says_how_late_it_is(kitchen: Kitchen) -> None:
    kitchen.create(plan("wanted", late="1h"))
    kitchen.create(plan("not-wanted", late="5m"))
    kitchen.server.kill()
    kitchen.clock.go_to(NINE_MS + 20 * MINUTE_MS)
    kitchen.restart()
    kitchen.until(lambda: len(kitchen.decisions()) == 2)
    kinds = {one.plan_id: one.kind for one in kitchen.decisions()}
    assert kinds == {
        "wanted": pb.DECISION_KIND_PLANNED,
        "not-wanted": pb.DECISION_KIND_MISSED,
    }
    assert all(one.late_ms >= 20 * MINUTE_MS for one in kitchen.decisions())
    assert [one.plan_id for one in kitchen.instructions()] == ["wanted"]
