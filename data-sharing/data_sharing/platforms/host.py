"""PlatformHost: performs signed instructions, each as often as it may be and no more.

Knows no network: tokens come in, reports go out through a function. Signature and deadline
are checked first, then what the journal knows; then the action runs in its sandbox, and its
outcome is on disk before it is reported. Bounded: what is more than the platform's capacity is
refused as busy, which is no outcome, so that the service may ask another platform.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from control_plane import faultpoints
from control_plane.errors import Unavailable
from control_plane.tracing.current import tracing
from control_plane.tracing.tracer import Span, SpanKind, Tracer
from data_sharing.instruction import Performance, Performed
from data_sharing.platforms.journal import EntryState, Journal
from data_sharing.platforms.reports import Report
from data_sharing.runtimes.port import Installed, Invocation, InvocationStatus, Outcome
from data_sharing.signing import Delivery, InstructionRefusal, InstructionVerifier, RefusalReason
from data_sharing.spans import begin_span

log = logging.getLogger(__name__)

DISK_RETRY_S = 1.0
_encode = msgspec.json.Encoder().encode
_PERFORMANCE = {status: Performance(status.value) for status in InvocationStatus}


class Runner(Protocol):
    """What runs an installed application: Hosting, or a fake."""

    capacity: int

    async def invoke(self, installed: Installed, invocation: Invocation) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedApplication:
    """An application that is ready here."""

    application: str
    version: str
    installed: Installed

    @property
    def sha256(self) -> str:
        return self.installed.artifact.sha256


class PlatformHost:
    """One platform. `report` gets outcomes and refusals; `wall_ms`: Unix ms."""

    def __init__(
        self,
        name: str,
        verifier: InstructionVerifier,
        journal: Journal,
        runner: Runner,
        *,
        capacity: int,
        wall_ms: Callable[[], int],
        report: Callable[[Report], None],
    ) -> None:
        self.name = name
        self.tracer: Tracer | None = None
        self.capacity = capacity  # instructions at once, those that wait for a thread included
        self._verifier = verifier
        self._journal = journal
        self._runner = runner
        self._threads = asyncio.Semaphore(runner.capacity)
        self._wall_ms = wall_ms
        self._report = report
        self._hosted: dict[tuple[str, str], HostedApplication] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._draining = False

    @property
    def hosted(self) -> tuple[HostedApplication, ...]:
        """What is ready here, by name and version."""
        return tuple(one for _, one in sorted(self._hosted.items()))

    @property
    def running(self) -> int:
        """Instructions accepted whose outcome is not reported yet."""
        return len(self._running)

    def add(self, hosted: HostedApplication) -> None:
        """From now on its actions can be performed."""
        self._hosted[hosted.application, hosted.version] = hosted

    def accept(self, token: str) -> None:
        """Performs one delivered instruction; what becomes of it is reported. Never raises."""
        checked = self._verifier.check(token, self._wall_ms())
        if isinstance(checked, InstructionRefusal):
            log.warning("an instruction is refused (%s): %s", checked.reason, checked.message)
            self._report(checked)
            return
        instruction = checked.instruction
        if instruction.id in self._running:
            return  # its outcome follows
        known = self._journal.admit(checked)
        if isinstance(known, Performed):
            self._report(replace(known, platform=self.name))
        elif isinstance(known, InstructionRefusal):
            self._report(known)
        elif known is EntryState.NEW:
            refusal = self._refusal(checked)
            if refusal is not None:
                self._report(refusal)
                return
            hosted = self._hosted[instruction.application, instruction.version]
            task = asyncio.create_task(self._run(checked, hosted), name=instruction.id)
            self._running[instruction.id] = task
            task.add_done_callback(_log_failure)

    def report_unrecorded(self) -> None:
        """Reports the outcomes that the service may not have: it may be a new one."""
        for performed in self._journal.unrecorded():
            if performed.instruction not in self._running:
                self._report(replace(performed, platform=self.name))

    async def drain(self, timeout_s: float) -> bool:
        """Accepts nothing more and waits for what runs; False where that did not end in time."""
        self._draining = True
        if not self._running:
            return True
        _, late = await asyncio.wait(self._running.values(), timeout=timeout_s)
        for task in late:
            task.cancel()
        return not late

    def _refusal(self, delivery: Delivery) -> InstructionRefusal | None:
        """Why this platform cannot perform it, though it is in order."""
        what = delivery.instruction
        hosted = self._hosted.get((what.application, what.version))
        if hosted is None:
            reason, why = (
                RefusalReason.NOT_HOSTED,
                f"{what.application} {what.version} is not installed here",
            )
        elif hosted.sha256 != what.artifact:
            reason = RefusalReason.NOT_HOSTED
            why = f"the artifact of {what.application} {what.version} here is another one"
        elif self._draining or len(self._running) >= self.capacity:
            reason, why = (
                RefusalReason.BUSY,
                "the platform has as much to do as it takes, or is leaving",
            )
        else:
            return None
        return InstructionRefusal(
            reason=reason, message=why, instruction=what.id, attempt=delivery.attempt
        )

    async def _run(self, delivery: Delivery, hosted: HostedApplication) -> None:
        """Performs it and reports, by when it does not count as running any more."""
        name = delivery.instruction.id
        try:
            report = await self._perform_traced(delivery, hosted)
        finally:
            del self._running[name]
        self._report(report)

    async def _perform_traced(self, delivery: Delivery, hosted: HostedApplication) -> Report:
        """With a span, where the delivery is of a trace."""
        span = begin_span(
            self.tracer,
            "perform instruction",
            delivery.trace,
            kind=SpanKind.CONSUMER,
            instruction=delivery.instruction.id,
            application=hosted.application,
            version=hosted.version,
            attempt=delivery.attempt,
        )
        if span is None:
            return await self._perform(delivery, hosted, None)
        failed = "interrupted"
        try:
            with tracing(span.ids):
                report = await self._perform(delivery, hosted, span)
            if isinstance(report, Performed):
                failed = "" if report.status is Performance.DONE else report.status.value
            else:
                failed = report.reason.value
        finally:
            span.end(failed)
        return report

    async def _perform(
        self, delivery: Delivery, hosted: HostedApplication, span: Span | None
    ) -> Report:
        what = delivery.instruction

        def refused(reason: RefusalReason, message: str) -> InstructionRefusal:
            return InstructionRefusal(
                reason=reason, message=message, instruction=what.id, attempt=delivery.attempt
            )

        async with self._threads:
            started_ms = self._wall_ms()
            if started_ms > what.deadline_ms:
                return refused(
                    RefusalReason.EXPIRED, "its deadline passed while it waited for its turn"
                )
            try:
                await self._journal.begin(delivery)
            except Unavailable as error:
                log.error("nothing can be run: %s", error)
                return refused(RefusalReason.BUSY, error.message)
            faultpoints.passing("platform.begin.after")
            running = None if span is None else span.child("sandbox")
            outcome = await self._runner.invoke(
                hosted.installed,
                Invocation(
                    action=what.action,
                    input=_encode(what.configuration).decode(),
                    key=what.id,
                ),
            )
        if running is not None:
            running.end("" if outcome.status is InvocationStatus.DONE else outcome.status.value)
        faultpoints.passing("platform.run.after")
        performed = Performed(
            instruction=what.id,
            attempt=delivery.attempt,
            status=_PERFORMANCE[outcome.status],
            platform=self.name,
            output=outcome.output,
            message=_message(outcome),
            started_at_ms=started_ms,
            ended_at_ms=self._wall_ms(),
        )
        await self._record(performed)
        faultpoints.passing("platform.end.after")
        return performed

    async def _record(self, performed: Performed) -> None:
        """Until the disk has it: an outcome that is reported and then lost would be run again."""
        while True:
            try:
                await self._journal.end(performed)
            except Unavailable as error:
                log.error("the outcome of %s waits for the disk: %s", performed.instruction, error)
                await asyncio.sleep(DISK_RETRY_S)
            else:
                return


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("performing %s failed", task.get_name(), exc_info=error)


def _message(outcome: Outcome) -> str:
    """Why it is not DONE, with the last the application printed."""
    if outcome.status is InvocationStatus.DONE:
        return ""
    tail = outcome.stderr_tail.strip()
    return f"{outcome.message} ({tail[-500:]})" if tail else outcome.message
