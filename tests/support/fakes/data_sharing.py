"""A DataSharing in memory: a feed log that drops repeats, and an application that answers by a
function, once for each event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from control_plane.errors import ServiceError
from deployment_units.services.applications.port import (
    DONE,
    FeedEvent,
    InstructionOutcome,
    OutcomePage,
    PublishedCause,
)

Answer: TypeAlias = Callable[[FeedEvent], Any]
"""The output of the action that an event has performed; None: no action is."""
PAGE = 3  # outcomes


class FakeDataSharing:
    """accounts: applications by account. failing: raised by the next publishing, one each;
    kept_though_failing: whether what is published then is kept all the same."""

    def __init__(self, accounts: Mapping[str, str], answer: Answer = lambda event: None) -> None:
        self.accounts = dict(accounts)
        self.answer = answer
        self.log: dict[tuple[str, str], FeedEvent] = {}
        self.outcome_log: list[InstructionOutcome] = []
        self.failing: list[ServiceError] = []
        self.kept_though_failing = False
        self.refused: dict[str, str] = {}  # by id of the event
        self.trimmed = False
        self._came = asyncio.Event()

    async def addresses(self, tenant: str) -> Mapping[str, str]:
        await asyncio.sleep(0)
        return dict(self.accounts)

    async def publish(self, tenant: str, events: Sequence[FeedEvent]) -> list[str]:
        await asyncio.sleep(0)
        failure = self.failing.pop() if self.failing else None
        if failure is not None and not self.kept_though_failing:
            raise failure
        for event in events:
            if event.id in self.refused or (event.source, event.id) in self.log:
                continue
            self.log[event.source, event.id] = event
            self._perform(event)
        if failure is not None:
            raise failure
        return [self.refused.get(event.id, "") for event in events]

    def _perform(self, event: FeedEvent) -> None:
        output = self.answer(event)
        if output is not None:
            self.say(event.data["application"], f"i-{event.id}", output, event)

    def say(
        self, application: str, instruction: str, output: Any, event: FeedEvent | None = None,
        *, status: str = DONE,
    ) -> None:  # fmt: skip
        """An outcome comes."""
        self.outcome_log.append(
            InstructionOutcome(
                application=application,
                instruction=instruction,
                rule=f"answers.{application}.click",
                status=status,
                time_ms=1_800_000_000_000 + len(self.outcome_log),
                output=output,
                causes=(PublishedCause(source=event.source, id=event.id),) if event else (),
            )
        )
        self._came.set()

    async def outcomes(
        self, tenant: str, *, after: int | None, from_ms: int
    ) -> AsyncGenerator[OutcomePage]:
        at = after or 0
        while True:
            self._came.clear()
            page = self.outcome_log[at : at + PAGE]
            at += len(page)
            yield OutcomePage(outcomes=tuple(page), position=at, trimmed=self.trimmed)
            if len(self.outcome_log) == at:
                async with asyncio.timeout(30.0):
                    await self._came.wait()

    def of(self, feed: str) -> list[FeedEvent]:
        """What is in a feed, in order."""
        return [one for one in self.log.values() if one.type == feed]
