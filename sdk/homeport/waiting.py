"""WaitingClients: the waiting tokens of clients that were told to come again, to be sent along.

By such a token a server knows since when a client waits for room within a cap in latency. One per
client object; threads may share it.
"""

from __future__ import annotations

import threading

MOST_KEPT = 10_000  # those that were told last


class WaitingClients:
    """Tokens by client id."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def token(self, client_id: str) -> str:
        """Empty: the client waits for nothing."""
        return self._kept.get(client_id, "")

    def waits(self, client_id: str, token: str) -> None:
        """The client was told this last."""
        with self._lock:
            self._kept.pop(client_id, None)
            self._kept[client_id] = token
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def has_home(self, client_id: str) -> None:
        """It waits no more."""
        if client_id in self._kept:
            with self._lock:
                self._kept.pop(client_id, None)
