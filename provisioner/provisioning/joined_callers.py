"""Joined callers: several that ask for one client at one time, and who of them is told what.

They share one way through the use case, and one answer, if each proves to be the client. Who tells
other attributes of it than the one under way comes after that one, so that nothing told is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from control_plane.errors import ServiceError
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.provisioning.client_proof import ClientProof, client_denied
from provisioner.provisioning.pending import AnyPending


class BeginningFlow(Protocol):
    """What is needed of the use case."""

    def begin(self, pending: AnyPending, /) -> None:
        """Puts a client on its way. Raises Unavailable."""
        ...


def proven(
    asked: Sequence[AnyPending], proves: Callable[[ClientProof], bool]
) -> tuple[list[AnyPending], int]:
    """Those whose proof holds; the others, so many, are denied."""
    found = []
    for one in asked:
        if proves(one.proof):
            found.append(one)
        else:
            one.fail(client_denied())
    return found, len(asked) - len(found)


def told_of(pending: AnyPending, record: AssignmentRecord) -> tuple[AnyPending | None, int]:
    """Whom to answer of those who asked, with the others joined to it: all who prove to be the
    client with this record; the others, so many, are denied. None: all of them."""
    if pending.joined is None and (pending.proof.vouched or pending.proof.proves(record)):
        return pending, 0
    found, denied = proven([pending, *(pending.joined or ())], lambda proof: proof.proves(record))
    if not found:
        return None, denied
    first = found[0]
    first.joined = found[1:]
    return first, denied


class ComeAfter:
    """Those who begin once the one under way for their client is answered, each in turn."""

    def __init__(self, flow: BeginningFlow) -> None:
        self._flow = flow
        self.waiting: dict[bytes, deque[AnyPending]] = {}

    def add(self, pending: AnyPending) -> None:
        self.waiting.setdefault(pending.key, deque()).append(pending)

    def answered(self, key: bytes) -> None:
        """Of this client nobody is under way any more: the next one begins, in a turn of its
        own."""
        if key in self.waiting:
            asyncio.get_running_loop().call_soon(self._begin_next, key)

    def _begin_next(self, key: bytes) -> None:
        waiting = self.waiting.get(key)
        while waiting:
            one = waiting.popleft()
            if not waiting:
                del self.waiting[key]
            try:
                self._flow.begin(one)
            except ServiceError as error:
                one.fail(error)
            else:
                return
