"""The body of `homeport load --events`: sets the tenant up, sees one event through to its outcome,
runs the load, and takes back what it set up."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from console.cli.calls.data_sharing import DataSharingCalls
from console.cli.calls.decisions import DecisionCalls
from console.cli.failure import CommandFailed, ExitCode
from console.cli.load_run import PreparedLoad, finish, play
from console.cli.output import Format, busy, note
from console.cli.profile import Target
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2
from homeport.endpoints import parse_servers
from homeport.errors import HomeportError
from simulation.load.calls import Callers
from simulation.load.connections import LoadServers
from simulation.load.events import tenant_setup
from simulation.load.events.event_kinds import WAYS, EventKind, EventSettings
from simulation.load.events.messages import Publishers
from simulation.load.events.outcomes import OUTCOMES
from simulation.load.events.publishing import EventJob
from simulation.load.processes import LoadJob
from simulation.load.result import result_document

OUTCOME_WITHIN_S = 60.0
HOSTED_WITHIN_S = 20.0
POLL_S = 0.25
PLANNED_AHEAD = timedelta(days=300)


def run(prepared: PreparedLoad, target: Target, output: Format) -> None:
    """Runs it. Raises CommandFailed with exit code 1 where a threshold is broken, after all is
    shown and written; with others, HomeportError and KeyboardInterrupt where it cannot run."""
    settings, options, events = prepared.settings, prepared.options, prepared.events
    assert events is not None
    began = datetime.now(UTC)
    publishers = Publishers(tenant=target.tenant, run=secrets.token_hex(4), token=target.token)
    http = parse_servers(options.http_server)[0] if options.http_server else ""
    with set_up(target, publishers, events, now=began) as after_position:
        played = play(
            LoadJob(
                settings=settings,
                servers=LoadServers(
                    addresses=target.servers,
                    ca=target.ca,
                    certificate=target.certificate,
                    key=target.certificate_key,
                ),
                callers=Callers(tenant=target.tenant, run=publishers.run),
                geo=options.geo,
                events=EventJob(
                    events=events, publishers=publishers, http=http, after_position=after_position
                ),
            ),
            options.metrics,
        )
    result = result_document(
        settings,
        played.seconds,
        prepared=0,
        homeless=0,
        about={
            "began": began.isoformat(timespec="seconds"),
            "servers": [*target.servers, *([http] if http else [])],
            "tenant": target.tenant,
            "as": "producer",
            "run": publishers.run,
            "interrupted": played.interrupted,
            "events": events.document(),
            "units": [],
            "filling": [],
        },
        words=WAYS,
    )
    finish(prepared, result, output)


@contextmanager
def set_up(
    target: Target, publishers: Publishers, events: EventSettings, *, now: datetime
) -> Iterator[int]:
    """Applications, rules and plans are there inside, and an event has led to an outcome; the
    position that all outcomes of the run are behind. Rules are retired and plans cancelled
    afterwards; the applications stay, since versions do."""
    tenant, run = publishers.tenant, publishers.run
    with DataSharingCalls(target) as calls, DecisionCalls(target) as decisions:
        with busy("submitting applications, rules and plans"):
            for manifest, artifact in (
                (tenant_setup.producer_manifest(), b""),
                (tenant_setup.effects_manifest(), tenant_setup.COMMAND),
            ):
                _submit(calls, tenant, manifest, artifact)
            _wait_for_host(decisions, tenant, time.monotonic)
        try:
            with busy("one event on its way to its outcome"):
                calls.apply_rules(tenant, tenant_setup.rules_document(events.rules), dry_run=False)
                at = (now + PLANNED_AHEAD).isoformat(timespec="seconds")
                for user in range(events.plans):
                    calls.create_plan(tenant, tenant_setup.plan_document(run, user, at=at))
                position = probe(calls, publishers, clock=time.monotonic)
            yield position
        finally:
            with busy("retiring rules and cancelling plans"):
                _take_back(calls, tenant, tenant_setup.rule_names(events.rules),
                           list(tenant_setup.plan_ids(run, events.plans)))  # fmt: skip


def probe(calls: DataSharingCalls, publishers: Publishers, *, clock: Callable[[], float]) -> int:
    """Publishes one event and waits for its outcome; the outcome's position. Raises
    CommandFailed."""
    source = f"{publishers.source}/probe"
    event = cloudevents_pb2.CloudEvent(
        id="probe", source=source, spec_version="1.0", type=tenant_setup.FEED,
        text_data=json.dumps({"does": tenant_setup.does(EventKind.INVOKING, 0), "step": 0}),
    )  # fmt: skip
    event.attributes["subject"].ce_string = tenant_setup.user_key(publishers.run, 0)
    request = feed_pb2.PublishBatchRequest(tenant=publishers.tenant, events=[event])
    (answer,) = calls.publish_events(iter([request]))
    (result,) = answer.results
    if result.HasField("error"):
        raise CommandFailed(f"an event is refused: {result.error.message}")
    position, end = result.position, clock() + OUTCOME_WITHIN_S
    while clock() < end:
        asked = feed_pb2.TailRequest(
            tenant=publishers.tenant, feeds=[OUTCOMES], after_position=position
        )
        for page in calls.tail(asked):
            for one in page.events:
                if source in (one.event.text_data or one.event.binary_data.decode()):
                    return one.position
            position = max(position, page.position)
        time.sleep(POLL_S)
    raise CommandFailed(
        f"the outcome of one event did not come within {OUTCOME_WITHIN_S:.0f} s; `homeport "
        "decisions explain` and `homeport dlq list` say why",
        ExitCode.UNAVAILABLE,
    )


def _wait_for_host(decisions: DecisionCalls, tenant: str, clock: Callable[[], float]) -> None:
    """Until a platform has what was submitted just now. Raises CommandFailed."""
    end = clock() + HOSTED_WITHIN_S
    while True:
        for platform in decisions.list_platforms(tenant):
            if any(one.application == tenant_setup.APPLICATION for one in platform.applications):
                return
        if clock() > end:
            raise CommandFailed(
                f"no platform hosts {tenant_setup.APPLICATION}, so no outcome can follow; run one: "
                f"homeport platforms run --name load --applications {tenant_setup.APPLICATION} "
                "--data-dir FOLDER",
                ExitCode.UNAVAILABLE,
            )
        time.sleep(POLL_S)


def _submit(calls: DataSharingCalls, tenant: str, manifest: str, artifact: bytes) -> None:
    verdict = calls.submit_application(tenant, manifest, artifact, dry_run=False)
    if verdict.WhichOneof("result") != "accepted":
        raise CommandFailed(f"an application of the load is not taken: {verdict}")


def _take_back(calls: DataSharingCalls, tenant: str, rules: list[str], plans: list[str]) -> None:
    """As far as it goes; what is left is said."""
    try:
        for rule in rules:
            calls.retire_rule(tenant, rule)
        for plan in plans:
            calls.cancel_plan(tenant, plan)
    except HomeportError as error:
        note(f"rules and plans of the load are left in tenant {tenant}: {error}")
