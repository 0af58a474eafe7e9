"""An instruction as tests give it: the alarm is to ring, once."""

from __future__ import annotations

from data_sharing.instruction import Instruction
from tests.support.fakes.runner import ARTIFACT

NOW_MS = 1_800_000_000_000
RING = Instruction(
    id="i-1",
    tenant="acme",
    application="alarm",
    version="1.0.0",
    artifact=ARTIFACT.sha256,
    action="ring",
    configuration={"volume": 40},
    deadline_ms=NOW_MS + 60_000,
    idempotent=False,
    decided_at_ms=NOW_MS,
)


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms
