"""AuditRecorder: writes what is asked before it is done, and its outcome after it.

What is asked raises where it cannot be written, and then nothing is changed. An outcome never
raises: the change is made by then. One that cannot be written now is written later, as long as
this server lives; until then what was asked stands there as open. `run` is a task of the owner's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from control_plane.audit.entry import AuditEntry
from control_plane.audit.port import TRIM_AT_ONCE, AuditLog
from control_plane.errors import OutcomeUnknown, ServiceError, StoreUnavailable, Unavailable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0  # for what others left open
TRIM_EVERY = 6  # looks
TRIMS_IN_A_ROW = 50  # 2,000 entries a minute
RETRY_S = 5.0
MOST_LATE = 10_000


class AuditRecorder:
    """One per server. wall_ms: Unix ms. keep_s and keep: entries older than that, and those not
    among the newest so many, are deleted. late: outcomes that wait to be written."""

    def __init__(
        self, audit_log: AuditLog, *, wall_ms: Callable[[], int], keep_s: float, keep: int
    ) -> None:
        self._log = audit_log
        self._wall_ms = wall_ms
        self._keep_s = keep_s
        self._keep = keep
        self._wake = asyncio.Event()
        self._under_way: set[int] = set()  # asked here, and no outcome written
        self.late: deque[AuditEntry] = deque(maxlen=MOST_LATE)
        self.written = 0  # entries
        self.failed = 0  # times that one could not be written

    async def asked(self, entry: AuditEntry) -> AuditEntry:
        """The entry with its sequence, once it is on disk. Raises Unavailable: nothing may be
        changed."""
        try:
            asked = replace(entry, sequence=await self._append(entry))
            self._under_way.add(asked.sequence)
            return asked
        except (StoreUnavailable, OutcomeUnknown) as error:
            raise Unavailable(
                f"the audit log cannot be written, and nothing was changed: {error.message}"
            ) from error

    async def ended(self, entry: AuditEntry) -> None:
        """Writes an outcome, now or later."""
        try:
            await self._append(entry)
            self._under_way.discard(entry.asked)
        except ServiceError as error:
            log.error("the outcome of audit entry %d is not written yet: %s", entry.asked, error)
            self.ended_later(entry)
        except asyncio.CancelledError:
            self.ended_later(entry)
            raise

    def ended_later(self, entry: AuditEntry) -> None:
        """Has `run` write an outcome; for where nothing can be waited for."""
        if len(self.late) == MOST_LATE:  # the oldest is given up, and found abandoned
            self._under_way.discard(self.late[0].asked)
        self.late.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Writes late outcomes, ends what servers left open that have gone, and trims the log, for
        ever."""
        looks = 0
        while True:
            if await self._write_late():
                await self._end_abandoned()
                if looks % TRIM_EVERY == 0:
                    await self._trim()
                looks += 1
            self._wake.clear()
            await _wait(self._wake, LOOK_EVERY_S)

    async def _append(self, entry: AuditEntry) -> int:
        try:
            sequence = await self._log.append(entry)
        except ServiceError:
            self.failed += 1
            raise
        self.written += 1
        return sequence

    async def _write_late(self) -> bool:
        """Whether all of them are written; after a pause where not."""
        while self.late:
            entry = self.late[0]
            try:
                await self._append(entry)
            except ServiceError:
                await asyncio.sleep(RETRY_S)
                self._wake.set()
                return False
            self._under_way.discard(entry.asked)
            if self.late and self.late[0] is entry:
                self.late.popleft()
        return True

    async def _end_abandoned(self) -> None:
        try:
            ended = await self._log.end_abandoned(self._under_way)
        except (ServiceError, TimeoutError) as error:
            log.warning("what is open in the audit log could not be looked at: %s", error)
            return
        if ended:
            log.warning("%d changes were asked of servers that ended before they told", ended)

    async def _trim(self) -> None:
        before_ms = self._wall_ms() - int(self._keep_s * 1_000)
        try:
            for _ in range(TRIMS_IN_A_ROW):
                if await self._log.trim(before_ms=before_ms, keep=self._keep) < TRIM_AT_ONCE:
                    return
        except (ServiceError, TimeoutError) as error:
            log.warning("the audit log could not be trimmed: %s", error)


async def _wait(event: asyncio.Event, most_s: float) -> None:
    try:
        async with asyncio.timeout(most_s):
            await event.wait()
    except TimeoutError:
        return
