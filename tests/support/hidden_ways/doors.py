"""Ways to a hidden field that lead through another door than the methods of the services: HTTP,
metrics, the server's log, the audit log."""

from __future__ import annotations

import logging
import time
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from control_plane.offloading.pool import ProcessPool
from data_sharing.api.audited_objects import audited_objects
from data_sharing.api.http_approvals import ROUTES
from data_sharing.api.http_methods import HttpMethods
from data_sharing.api.metrics import SharingMetrics
from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.event import Event
from data_sharing.feeds.intake import Intake
from data_sharing.feeds.port import Retention
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.retention import Retainer
from data_sharing.management.waiting_approvals import WaitingApprovals
from data_sharing.rules.results import EvaluationResult
from data_sharing.rules.ruleset import RuleSet
from data_sharing.signing import SigningKey
from homeport.api.datasharing.v1 import approval_pb2 as approval_pb
from homeport.api.datasharing.v1 import decision_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.governed_feed import CATALOGUE
from tests.support.hidden_ways.scene import Scene, at


async def metrics(scene: Scene) -> str:
    """Names, labels and values of everything that Prometheus is told."""
    harness = scene.made.harness
    feeds, recorder = OpenFeeds(CATALOGUE), OutcomeRecorder(lambda *_: None, wall_ms=harness.clock)
    dispatcher = Dispatcher(
        harness.database, SigningKey.of(b"k" * 32), recorder, partition="0", fence=1,
        wall_ms=harness.clock, jitter=lambda: 0.0,
    )  # fmt: skip
    waiting = WaitingApprovals(harness.database, wall_ms=harness.clock)
    waiting.look()
    collector = SharingMetrics(
        harness.database,
        harness.log,
        Publisher(Intake(feeds.find), harness.log, wall_ms=harness.clock, clock=time.monotonic),
        feeds,
        Retainer(harness.log, Retention(age_s=60.0, content_bytes=1 << 20), wall_ms=harness.clock),
        harness.worker,
        dispatcher,
        ProcessPool("tests.support.costly_tasks:TASKS", workers=1),
        waiting,
    )
    samples = [one for family in collector.collect() for one in family.samples]
    # Times and sizes are of this run, and may have any digits.
    rules = [one for one in samples if not one.name.endswith(("_sum", "_bytes", "_seconds"))]
    return str([(one.name, one.labels, one.value) for one in rules]).replace("'", '"')


async def approvals(scene: Scene) -> str:
    """The queue and each of it, as the HTTP port answers."""
    methods = HttpMethods(ROUTES, [scene.made.approvals.service()], [])
    application = web.Application(middlewares=[methods.middleware])
    asked = approval_pb.ListApprovalsRequest()
    listed = await scene.made.approvals.ListApprovals(asked, OPERATOR)
    paths = [""] + [f"/{one.instruction.instruction_id}" for one in listed.approvals]
    token = dict(OPERATOR.invocation_metadata())
    async with TestServer(application) as server, ClientSession(headers=token) as client:
        found = []
        for path in paths:
            url = server.make_url(f"/v1/tenants/home/approvals{path}")
            async with client.get(url) as answer:
                found.append(await answer.text())
                assert answer.status == 200, found
    return "\n".join(found)


async def audited(scene: Scene) -> str:
    """What entries of the audit log have of instructions and dead letters, before and after."""
    made, context, nothing = scene.made, OPERATOR, None
    objects = audited_objects(
        nothing, made.rules, scene.plans, made.decisions, made.service  # type: ignore[arg-type]
    )  # fmt: skip
    found: list[Any] = []
    for stored in made.harness.instructions():
        asked = approval_pb.ApproveApprovalRequest(instruction_id=stored.instruction.id)
        by_name = objects["/homeport.api.datasharing.v1.ApprovalService/ApproveApproval"]
        found.append(await by_name.before(asked, context))
    for letter in made.harness.letters():
        redrive = pb.RedriveDeadLetterRequest(dead_letter_id=letter.id)
        by_name = objects["/homeport.api.datasharing.v1.DecisionService/RedriveDeadLetter"]
        found.append(await by_name.before(redrive, context))
    return "\n".join(map(str, found))


class _Failing(RuleSet):
    """Rules whose code has a defect: its error quotes what it was about."""

    def decide(self, event: Event, **_: Any) -> EvaluationResult:
        raise LookupError(f"{event.data} {event.key} {event.subject}")


async def undecided(scene: Scene) -> str:
    """What the server's log says of a defect, and the dead letters of it."""
    harness, kept = scene.made.harness, _Kept()
    policies = harness.worker.rules.policies
    server = logging.getLogger("data_sharing")
    server.addHandler(kept)
    try:
        harness.worker.replace_rules(_Failing((), (), policies))
        await harness.publish(at(scene.place, 9))
    finally:
        server.removeHandler(kept)
    asked = pb.ListDeadLettersRequest(page_size=1)
    newest = await scene.made.decisions.ListDeadLetters(asked, OPERATOR)
    assert "LookupError" in str(newest)
    assert any("LookupError" in line for line in kept.lines)
    return "\n".join([*kept.lines, str(newest)])


class _Kept(logging.Handler):
    """All that is logged, with what is told of exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
