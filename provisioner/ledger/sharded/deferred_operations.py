"""DeferredOperations: operations of clients that no cluster may write while their shard changes
hands."""

from __future__ import annotations

from collections import deque

from control_plane.errors import Unavailable
from provisioner.ledger.operations import Operation


class DeferredOperations:
    """Use from one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Operation] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def defer(self, operation: Operation) -> None:
        """It waits until a map says who writes its client, or until it expires."""
        self._waiting.append(operation)

    def take_all(self) -> deque[Operation]:
        """Everything that waits; none of it waits any more."""
        waiting, self._waiting = self._waiting, deque()
        return waiting

    def drop_expired(self, now: float) -> None:
        """Answers those who waited too long. now: monotonic seconds."""
        for operation in self.take_all():
            if operation.expires_at < now:
                operation.failed(Unavailable("the client's shard is changing hands; try again"))
            else:
                self._waiting.append(operation)
