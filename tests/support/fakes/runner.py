"""Runner: applications that do what a test says, in place of sandboxes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
)

ARTIFACT = Artifact.of(ArtifactKind.WASI_COMMAND, b"\0asm")


@dataclass
class FakeInstalled:
    """An installed application that answers by itself."""

    answer: Callable[[Invocation], Outcome]
    artifact: Artifact = ARTIFACT
    limits: Limits = field(default_factory=Limits)
    invocations: list[Invocation] = field(default_factory=list)

    def invoke(self, invocation: Invocation) -> Outcome:
        self.invocations.append(invocation)
        return self.answer(invocation)


def echo(invocation: Invocation) -> Outcome:
    """DONE, with the input as output."""
    value: Any = json.loads(invocation.input)
    return Outcome(status=InvocationStatus.DONE, output=invocation.input, value=value)


class FakeRunner:
    """Runs at once; while `hold` is cleared, once it is set."""

    def __init__(self, capacity: int = 2) -> None:
        self.capacity = capacity
        self.hold = asyncio.Event()
        self.hold.set()
        self.at_once = 0
        self.most_at_once = 0

    async def invoke(self, installed: Any, invocation: Invocation) -> Outcome:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.hold.wait()
            outcome: Outcome = installed.invoke(invocation)
            return outcome
        finally:
            self.at_once -= 1
