"""OpenCalls: streams end soon after what let them begin has ended.

A call is checked when it begins, and a stream may stand for weeks. `run`, a task of the owner's,
goes over those that stand every two seconds, and ends with UNAUTHENTICATED those whose credential
was revoked, has expired, or makes somebody else of its bearer by now. Each credential is looked at
once a round, however many streams it has, and a round lets others work in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.errors import PermissionDenied, Unauthenticated
from control_plane.serving.peer_identity import PeerIdentity

PERIOD_S = 2.0
AT_ONCE = 200  # streams looked at before others get their turn
ENDED = "this credential does not count any more, or for somebody else; connect anew"


class Evidence(NamedTuple):
    """What a call was let in by. shown: its authorization metadata."""

    method: str
    shown: tuple[tuple[str, str | bytes], ...]
    identity: PeerIdentity | None


@dataclass(eq=False, slots=True)
class _Call:
    """One that stands. ended: by us."""

    evidence: Evidence
    caller: Caller
    task: asyncio.Task[Any] | None
    ended: bool = False


class OpenCalls:
    """One for each server. ended: how many calls were, since the start."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control
        self._calls: set[_Call] = set()
        self.ended = 0

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def while_open(self, evidence: Evidence, caller: Caller) -> Iterator[None]:
        """While a call stands, in its own task. Raises Unauthenticated out of it when its
        caller's credential ends."""
        call = _Call(evidence, caller, asyncio.current_task())
        self._calls.add(call)
        try:
            yield
        except asyncio.CancelledError:
            if call.ended and call.task is not None and call.task.uncancel() == 0:
                raise Unauthenticated(ENDED) from None
            raise  # the caller has left
        finally:
            self._calls.discard(call)

    async def run(self) -> None:
        """Looks after them for ever."""
        while True:
            await asyncio.sleep(PERIOD_S)
            await self.look()

    async def look(self) -> None:
        """One round."""
        if self._control.open:
            return
        known: dict[Evidence, Caller | None] = {}
        for number, call in enumerate(list(self._calls)):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if call.ended or call.task is None:
                continue
            if call.evidence not in known:
                known[call.evidence] = self._caller_now(call.evidence)
            if known[call.evidence] != call.caller and call in self._calls:
                call.ended = True
                self.ended += 1
                call.task.cancel()

    def _caller_now(self, evidence: Evidence) -> Caller | None:
        try:
            return self._control.admit(evidence.method, evidence.shown, evidence.identity)
        except (Unauthenticated, PermissionDenied):
            return None
