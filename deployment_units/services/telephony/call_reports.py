"""CallReports: brings what became of calls to the homes of their accounts, and again until they
have it. Each report stands by itself, and says the same however often it is brought; what could not
be brought for ten minutes is dropped, and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.backoff import Backoff
from control_plane.errors import NotFound, ServiceError
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.call_peers import CallHomeFinder, CallPeers, CallReport
from deployment_units.services.telephony.port import CallRecord, EndCause

MOST_WAITING = 20_000
AT_ONCE = 32
KEPT_S = 600.0
BRING_S = 8.0
AGAIN = Backoff(first_s=0.5, most_s=20.0, jittered=0.5)


@dataclass(slots=True)
class _Waiting:
    record: CallRecord
    report: CallReport
    since_s: float
    due_s: float
    tries: int = 0


class CallReports:
    """Of one unit. `run` is a task of the owner's. clock: monotonic seconds; jitter: 0 to 1, new at
    each call. dropped: reports that nobody took."""

    def __init__(
        self,
        calls: AccountCalls,
        homes: CallHomeFinder,
        peers: CallPeers,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        most_waiting: int = MOST_WAITING,
        kept_s: float = KEPT_S,
        again: Backoff = AGAIN,
    ) -> None:
        self._calls = calls
        self._homes = homes
        self._peers = peers
        self._clock = clock
        self._jitter = jitter
        self._most_waiting = most_waiting
        self._kept_s = kept_s
        self._again = again
        self._waiting: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: CallRecord, report: CallReport) -> None:
        """One to be brought."""
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self.dropped += 1
        now_s = self._clock()
        self._waiting.append(_Waiting(record, report, now_s, now_s))
        self._more.set()

    async def run(self) -> None:
        """Brings them, for ever."""
        while True:
            self._more.clear()
            await self.bring_due()
            now_s = self._clock()
            pause_s = min((one.due_s - now_s for one in self._waiting), default=None)
            try:
                async with asyncio.timeout(None if pause_s is None else max(pause_s, 0.05)):
                    await self._more.wait()
            except TimeoutError:
                continue

    async def bring_due(self) -> None:
        """Brings those that are due, each once."""
        now_s = self._clock()
        due = [one for one in self._waiting if one.due_s <= now_s]
        for start in range(0, len(due), AT_ONCE):
            some = due[start : start + AT_ONCE]
            taken = await asyncio.gather(*(self._bring(one) for one in some))
            done = {id(one) for one, was in zip(some, taken, strict=True) if was}
            self._waiting = deque(one for one in self._waiting if id(one) not in done)

    async def _bring(self, one: _Waiting) -> bool:
        """Whether it is done with."""
        try:
            async with asyncio.timeout(BRING_S):
                await self._brought(one.record, one.report)
        except NotFound:
            return True  # the record, or the account, is gone
        except (ServiceError, TimeoutError):
            now_s = self._clock()
            if now_s - one.since_s >= self._kept_s:
                self.dropped += 1
                return True
            one.due_s = now_s + self._again.pause_s(one.tries, self._jitter())
            one.tries += 1
            return False
        return True

    async def _brought(self, record: CallRecord, report: CallReport) -> None:
        """Raises ServiceError."""
        for fresh in (False, True):
            home = await self._homes.of_account(record.tenant, record.account, fresh=fresh)
            if home is None:
                raise NotFound("there is no such account any more")
            try:
                if isinstance(home, Resident):
                    await self._kept(home, report)
                else:
                    await self._peers.report(home, report)
                return
            except StaleEpoch:
                if fresh:
                    raise

    async def _kept(self, resident: Resident, report: CallReport) -> None:
        if report.stage == "began":
            known = await self._calls.began(resident, report.record, report.at_ms)
        elif report.stage == "answered":
            known = await self._calls.answered(resident, report.record, report.at_ms)
        else:
            cause = report.cause or EndCause.LOST
            known = await self._calls.ended(resident, report.record, report.at_ms, cause)
        if not known:
            raise NotFound("the account has no such record, or not any more")
