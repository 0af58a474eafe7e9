"""ReportQueue: what a platform has to tell the service with its next message: outcomes, refusals,
and that its applications have changed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

from data_sharing.instruction import Performed
from data_sharing.signing import InstructionRefusal

Report: TypeAlias = Performed | InstructionRefusal


class ReportQueue:
    """The host and the installer put in, the connection takes out."""

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()
        self._connected = False
        self._applications_changed = True
        self.changed = asyncio.Event()  # cleared by the connection, before it waits

    def __len__(self) -> int:
        return len(self._reports)

    def put(self, report: Report) -> None:
        """Goes out with the next message."""
        if isinstance(report, InstructionRefusal) and not self._connected:
            return  # the service has not heard; it will deliver again
        self._reports.append(report)
        self.changed.set()

    def pop(self) -> Report:
        """The oldest. Raises IndexError where there is none."""
        return self._reports.popleft()

    def applications_changed(self) -> None:
        """What is hosted here goes out with the next message."""
        self._applications_changed = True
        self.changed.set()

    def pop_applications_changed(self) -> bool:
        """Whether they have since the last call."""
        changed, self._applications_changed = self._applications_changed, False
        return changed

    def begin_stream(self) -> None:
        """Outcomes that still count are in the journal, and are put in again."""
        self._reports.clear()
        self._applications_changed = True

    def set_connected(self, connected: bool) -> None:
        """Whether the service knows this platform now."""
        self._connected = connected
