"""The stack of `make demo-decisions`: a data-sharing server and two platforms, on one clock; or two
servers of one partition on NATS, of which one can be killed.

Real processes that talk over gRPC, real sandboxes, a fresh data folder. Only the clock is
simulated: a file that all three map, so that a morning passes in seconds. What a clock cannot
hurry, deciding, sending, running and recording, takes the time it takes.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from console.cli.calls.data_sharing import DataSharingCalls
from console.cli.calls.decisions import DecisionCalls
from console.cli.failure import CommandFailed
from console.cli.input.submission import read_submission
from console.cli.profile import Target
from console.local.child import Child
from console.local.etcd_member import free_ports
from console.local.stack_plan import Program, ReportedValue, feeds_on
from console.local.stack_security import StackSecurity, TokenHolder, make_security
from control_plane.auth.credentials import TOKEN_BYTES
from control_plane.printable import number_of
from control_plane.private_files import private_folder
from data_sharing.clock import SimulatedClock
from data_sharing.runtimes.builder import build
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import decision_pb2, plan_pb2
from homeport.api.datasharing.v1 import feed_pb2 as feeds

ROOT = Path(__file__).resolve().parents[2] / "data-sharing"
APPLICATIONS = ROOT / "applications"
SCENARIO = ROOT / "scenarios" / "morning"
TENANT = "default"
BUILT = ("alarm", "heating")
SUBMITTED = ("traffic", "weather", "calendar", "alarm", "coffee", "heating")
PLATFORMS = {"bedside-hub": "alarm,coffee", "car": "heating"}
T = TypeVar("T")
WORKERS = ("server", "second")  # the second one only where feeds are on NATS
WITHIN_S = 120.0
POLL_S = 0.05


class DecisionsStack:
    """A context manager: inside it, everything runs. `folder` is emptied first."""

    def __init__(
        self,
        folder: Path,
        *,
        starts_at_ms: int,
        on_step: Callable[[str], None] = lambda _: None,
        feeds: str = "",
    ) -> None:
        """feeds: `nats`: everything is kept on a NATS server, and there are two workers; empty: on
        the one server's disk."""
        shutil.rmtree(folder, ignore_errors=True)
        private_folder(folder)
        self._folder = folder
        self._feeds = feeds
        self._on_step = on_step
        self.clock = SimulatedClock(folder / "clock", starts_at_ms=starts_at_ms)
        self._children: list[Child] = []
        self._published = 0

    def __enter__(self) -> DecisionsStack:
        try:
            self._start()
        except BaseException:  # Ctrl-C too: no child may be left
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.stop()

    def _start(self) -> None:
        for name in BUILT:
            self._on_step(f"building {name}, a Python application, as a wasm component")
            build(APPLICATIONS / name)
        security = self._secured()
        if self._feeds:
            self.servers = self._start_workers(security)
        else:
            self._on_step("starting the data-sharing server")
            self.servers = (self._start_server(security, "server", "127.0.0.1:0"),)
        token = security.operator_token()
        self._target = Target(servers=self.servers, tenant=TENANT, token=token, ca=str(security.ca))
        for name in SUBMITTED:
            self._on_step(f"submitting {name}: schemas, samples, its actions in the sandbox")
            self._submit(name)
        for name, applications in PLATFORMS.items():
            self._on_step(f"starting platform {name} with {applications}")
            self._child(
                name,
                "data_sharing.platforms",
                f"--name={name}",
                f"--applications={applications}",
                f"--data-dir={self._folder / name}",
                f"--server={','.join(self.servers)}",
                f"--tenant={TENANT}",
                f"--ca={security.ca}",
                f"--config={security.settings(name)}",
            )
        with self.calls() as calls:
            calls.create_plan(TENANT, (SCENARIO / "plan.yaml").read_text())
            calls.apply_rules(TENANT, (SCENARIO / "rules.yaml").read_text())

    def _start_server(self, security: StackSecurity, name: str, listen: str, *more: str) -> str:
        """host:port at which it serves."""
        facts = self._child(name, "data_sharing", *self._serving(security, name, listen), *more)
        return str(facts["grpc"])

    def _serving(self, security: StackSecurity, name: str, listen: str) -> tuple[str, ...]:
        return (
            f"--data-dir={self._folder / name}",
            f"--listen={listen}",
            "--http-listen=",
            "--metrics-listen=",
            *security.serving(name),
            f"--tokens={security.tokens}",
        )

    def _start_workers(self, security: StackSecurity) -> tuple[str, ...]:
        """Two of one partition, of which one has it and the other one waits. Where they serve."""
        self._on_step("starting a NATS server")
        facts = self._child(
            "nats", "console.local.nats_child", f"--folder={self._folder / 'nats'}", alone=True
        )
        feeds = [f"{one.prefix}{facts[one.key]}" if isinstance(one, ReportedValue) else one
                 for one in feeds_on("nats")]  # fmt: skip
        listens = tuple(f"127.0.0.1:{port}" for port in free_ports(len(WORKERS)))
        self._on_step("starting two workers, of which one has the partition")
        self._start_server(security, WORKERS[0], listens[0], *feeds)
        waiting = self._begin(
            WORKERS[1], "data_sharing", *self._serving(security, WORKERS[1], listens[1]), *feeds
        )
        self._worker, self._waiting = self._children[-2], waiting
        return listens

    def kill_worker(self) -> None:
        """The one that has the partition is killed (-9); returns once the other one serves."""
        self._worker.kill()
        self.until("the other worker to take over", lambda: self._ready(self._waiting))
        # Streams go to the first server named.
        self._target = replace(self._target, servers=self.servers[::-1])

    @property
    def has_two_workers(self) -> bool:
        return bool(self._feeds)

    def _secured(self) -> StackSecurity:
        """A CA, a certificate for the server, and tokens for the operator and each platform."""
        security = StackSecurity(folder=self._folder / "security")
        make_security(
            security,
            programs=WORKERS,
            holders=[
                TokenHolder(
                    name=name,
                    given={"roles": ["platform"], "tenant": TENANT, "platform": name},
                )
                for name in PLATFORMS
            ],
            now=datetime.now(UTC),
            random=partial(secrets.token_bytes, TOKEN_BYTES),
        )
        return security

    def _child(
        self, name: str, module: str, *arguments: str, alone: bool = False
    ) -> Mapping[str, object]:
        """What it reports once it serves."""
        child = self._begin(name, module, *arguments, alone=alone)
        return self.until(f"{name} to be ready", lambda: self._ready(child))

    def _begin(self, name: str, module: str, *arguments: str, alone: bool = False) -> Child:
        """A child that was started. alone: it is none of the programs on the stack's clock."""
        ready_file = self._folder / f"{name}.json"
        program = Program(
            name=name,
            module=module,
            arguments=(),
            ready_file=ready_file,
            log=self._folder / f"{name}.log",
            ready_within_s=WITHIN_S,
            stop_within_s=30.0,
        )
        child = Child(program)
        self._children.append(child)
        shared = [
            # What the server compiled to try it need not be compiled again by platforms.
            f"--compiled-dir={self._folder / 'compiled'}",
            f"--clock-file={self._folder / 'clock'}",
        ]
        child.start([*arguments, *([] if alone else shared), f"--ready-file={ready_file}"])
        return child

    def _ready(self, child: Child) -> Mapping[str, object] | None:
        if child.exit_code is not None:
            raise CommandFailed(f"{child.program.name} {child.end()}:\n{child.last_words()}")
        return child.ready()

    def _submit(self, name: str) -> None:
        text, artifact = read_submission(APPLICATIONS / name / "manifest.yaml", None)
        with DataSharingCalls(self._target) as service:
            verdict = service.submit_application(TENANT, text, artifact, dry_run=False)
        if verdict.WhichOneof("result") != "accepted":
            faults = "; ".join(f"{one.path}: {one.message}" for one in verdict.refused.faults)
            raise CommandFailed(f"{name} is not accepted: {faults}")

    def calls(self) -> DecisionCalls:
        """To be opened."""
        return DecisionCalls(self._target)

    def publish(
        self, application: str, feed: str, data: Mapping[str, Any], *, subject: str = ""
    ) -> int:
        """An event of a producer application; its position. Answered once it is decided."""
        self._published += 1
        event = cloudevents_pb2.CloudEvent(
            id=f"{self._published:04}",
            source=f"/{application}",
            spec_version="1.0",
            type=feed,
            text_data=json.dumps(data),
        )
        event.attributes["datacontenttype"].ce_string = "application/json"
        if subject:
            event.attributes["subject"].ce_string = subject
        batch = feeds.PublishBatchRequest(tenant=TENANT, events=[event])
        with DataSharingCalls(self._target) as service:
            (answer,) = service.publish_events(iter([batch]))
        result = answer.results[0]
        if result.HasField("error"):
            raise CommandFailed(f"{application}'s event is refused: {result.error.message}")
        return result.position

    def plan(self) -> plan_pb2.Plan:
        with self.calls() as calls:
            return calls.get_plan(TENANT, "anna-work")

    def instructions(self) -> list[decision_pb2.Instruction]:
        """All there are, oldest first."""
        with self.calls() as calls:
            return calls.list_instructions(TENANT)[::-1]

    def performed(self, count: int) -> list[decision_pb2.Instruction]:
        """Waits until so many instructions have their outcome; all of them, oldest first."""

        def look() -> list[decision_pb2.Instruction] | None:
            found = self.instructions()
            done = [one for one in found if one.HasField("outcome")]
            return done if len(done) >= count else None

        return self.until(number_of(count, "outcome"), look)

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` gives as soon as that is something. Raises CommandFailed."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(POLL_S)
        raise CommandFailed(f"waited {WITHIN_S:.0f} s for {what}; see {self._folder}/*.log")
