"""Invocations are counted by how they ended, also where the runtime itself fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_sharing.runtimes.metrics import SandboxMetrics
from data_sharing.runtimes.port import Invocation, InvocationStatus, Outcome
from data_sharing.runtimes.runtime_host import RuntimeHost


class Ending:
    """An application that ends like this."""

    def __init__(self, end: InvocationStatus | Exception) -> None:
        self._end = end

    def invoke(self, invocation: Invocation) -> Outcome:
        if isinstance(self._end, Exception):
            raise self._end
        return Outcome(status=self._end)


async def test_every_end_is_counted(tmp_path: Path) -> None:
    asked = Invocation(action="blink", input="{}")
    with RuntimeHost(tmp_path / "compiled", threads=2) as host:
        for status in InvocationStatus:
            await host.invoke(Ending(status), asked)
        with pytest.raises(RuntimeError):
            await host.invoke(Ending(RuntimeError("a defect")), asked)
        seen = {
            (one.name, *one.labels.values()): one.value
            for family in SandboxMetrics(host).collect()
            for one in family.samples
        }
    for status in InvocationStatus:
        expected = 2 if status is InvocationStatus.REFUSED else 1
        assert seen["homeport_sandbox_ended_total", status.value.replace("-", "_")] == expected
    assert seen["homeport_sandbox_starts_total",] == len(InvocationStatus) + 1
    assert seen["homeport_sandbox_running",] == 0
    assert seen["homeport_sandbox_duration_seconds_count",] == len(InvocationStatus) + 1
