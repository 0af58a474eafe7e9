"""Starts and stops real etcd clusters on loopback, for `homeport up`, the tests and the bench.

One or three members: fresh ports, a fresh cluster token, one log file a member, all healthy
when `start` returns and gone when `stop` does. Blocking; from a coroutine use
asyncio.to_thread.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from console.local.etcd_member import EtcdMember, EtcdTls, free_ports
from console.local.etcd_program import EtcdFailed, find_etcd

__all__ = ["EtcdCluster", "EtcdFailed", "EtcdMember", "EtcdTls", "find_etcd", "free_ports"]

_START_TRIES = 5  # a port that was free when asked for may be taken when etcd wants it


class EtcdCluster:
    """One or three members on this machine. A context manager: inside it, they run."""

    def __init__(
        self,
        folder: Path,
        *,
        size: int = 1,
        tls: EtcdTls | None = None,
        quota_bytes: int = 8 << 30,
        compact_after: str = "1h",
        progress_every: str = "5s",
        arguments: Sequence[str] = (),
        program: Path | None = None,
        client_port: int = 0,
    ) -> None:
        """`folder` holds the data and the logs, and is kept. `quota_bytes`: etcd stops
        taking writes at this size. `compact_after`: history kept for watches;
        `progress_every`: how often a quiet watch is told the revision; both in etcd's
        notation. `arguments` go to each member; `program` is find_etcd() if not given."""
        self.folder = folder
        self._size = size
        self._tls = tls
        self._program = program
        self._progress_every = progress_every
        self._client_port = client_port
        self._token = secrets.token_hex(8)
        self._arguments = (
            f"--quota-backend-bytes={quota_bytes}",
            "--auto-compaction-mode=periodic",
            f"--auto-compaction-retention={compact_after}",
            # etcd keeps the entries since its last snapshot in memory. With 30 KB batches its
            # default of 100,000 is 3 GB.
            "--snapshot-count=10000",
            *arguments,
        )
        self.members: list[EtcdMember] = []

    @property
    def endpoints(self) -> list[str]:
        """host:port of each member."""
        return [member.endpoint for member in self.members]

    @property
    def url(self) -> str:
        """For control_plane.store.opening.open_store."""
        return f"{'etcds' if self._tls else 'etcd'}://{','.join(self.endpoints)}"

    def start(self, timeout_s: float = 30.0) -> Self:
        """Starts all members and waits until each is healthy. Raises EtcdFailed, having
        stopped what it started."""
        program = self._program or find_etcd()
        deadline = time.monotonic() + timeout_s
        fresh = not self.folder.exists()
        for attempt in range(1, _START_TRIES + 1):
            self.members = [
                EtcdMember(
                    f"etcd-{number}",
                    self.folder / f"etcd-{number}",
                    program=program,
                    arguments=self._arguments,
                    progress_every=self._progress_every,
                    client_port=self._client_port,
                )
                for number in range(1, self._size + 1)
            ]
            with ExitStack() as undo:
                undo.callback(self.stop)
                for member in self.members:
                    self.spawn(member)
                try:
                    for member in self.members:
                        member.wait_until_healthy(deadline)
                except EtcdFailed:
                    lost = any(member.has_lost_a_port() for member in self.members)
                    if not lost or attempt == _START_TRIES:
                        raise
                else:
                    undo.pop_all()
                    return self
            if fresh:  # else the members would remember the ports that did not work out
                shutil.rmtree(self.folder)
        raise AssertionError("the last attempt returns or raises")

    def spawn(self, member: EtcdMember) -> None:
        """Starts one member, again if it ran before; its ports and data stay."""
        cluster = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        member.spawn(cluster, self._token, self._tls)

    def restart(self, member: EtcdMember, timeout_s: float = 30.0) -> None:
        """`spawn`, and waits until the member is healthy."""
        self.spawn(member)
        member.wait_until_healthy(time.monotonic() + timeout_s)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stops all members; returns when they are gone. Idempotent."""
        for member in self.members:
            if member.pid is not None:
                member.thaw()
                os.kill(member.pid, signal.SIGTERM)
        for member in self.members:
            member.stop(timeout_s)

    def kill(self) -> None:
        """SIGKILL to all members; for data that nobody needs any more."""
        for member in self.members:
            member.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
