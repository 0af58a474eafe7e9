"""Real NATS servers with JetStream on loopback: started, watched until ready, killed, frozen,
stopped; one, or several that keep each stream on all of them.

Every write is synced, always: what is measured and what is promised is durable. Blocking; from a
coroutine use asyncio.to_thread.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from console.local.etcd_process import free_ports
from control_plane.errors import Unavailable
from control_plane.private_files import open_private, private_folder

_POLL_S = 0.02
_LOG_LINES = 12
READY_S = 30.0
STOP_S = 10.0


class NatsFailed(Unavailable):
    """A NATS server did not start, or there is none."""

    reason = "NATS_FAILED"


def nats_program() -> Path:
    """Where nats-server is: beside Python, or on the path. Raises NatsFailed."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NatsFailed(
            "there is no nats-server; install homeport-server[local], or put it on the PATH"
        )
    return Path(found)


class NatsMember:
    """One nats-server with a fixed name, folder and ports, which can be started again."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        port: int = 0,
        sync_always: bool = True,
        settings: Sequence[str] = (),
    ) -> None:
        """port: for clients; 0: any free one; settings: further lines of its file."""
        self._settings = settings
        self._sync = ", sync_interval: always" if sync_always else ""
        self.name = name
        self.folder = folder
        self.log = folder / "nats.log"
        free, self.cluster_port, self.monitoring_port = free_ports(3)
        self.port = port or free
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitoring(self) -> str:
        """What is asked how it syncs."""
        return f"http://127.0.0.1:{self.monitoring_port}"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and running else None

    def spawn(self, routes: list[str]) -> None:
        """Starts the process. routes: of the cluster; none: it is alone."""
        private_folder(self.folder)
        lines = [
            f"server_name: {self.name}",
            f"listen: 127.0.0.1:{self.port}",
            f"http: 127.0.0.1:{self.monitoring_port}",
            f'jetstream {{ store_dir: "{self.folder}"{self._sync} }}',
        ]
        lines += self._settings
        if routes:
            lines.append(
                f"cluster {{ name: homeport, listen: 127.0.0.1:{self.cluster_port},"
                f" routes: [{', '.join(routes)}] }}"
            )
        settings = self.folder / "nats.conf"
        settings.write_text("\n".join(lines) + "\n")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_private(self.log, flags), "ab") as log:
            self._process = subprocess.Popen(
                [str(nats_program()), "-c", str(settings)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_until_ready(self, deadline: float) -> None:
        """Until JetStream takes requests; `deadline` on time.monotonic's clock. Raises
        NatsFailed."""
        while not self._is_ready():
            if self.pid is None:
                raise NatsFailed(f"NATS {self.name} ended while starting; {self.last_words()}")
            if time.monotonic() > deadline:
                raise NatsFailed(f"NATS {self.name} is not ready in time; {self.last_words()}")
            time.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.monitoring_port, timeout=1.0)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL, as a crash would be. Returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    def freeze(self) -> None:
        """SIGSTOP: connections stand, nothing answers."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: ends `freeze`."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it is still there. Idempotent."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.thaw()
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The end of the log, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"the end of {self.log}:\n" + "\n".join(lines[-_LOG_LINES:])


class NatsCluster:
    """Members that know each other. A context manager; outside of it call `start` and `stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        members: int = 1,
        port: int = 0,
        sync_always: bool = True,
        settings: Sequence[str] = (),
    ) -> None:
        """port: of the only member, for clients. sync_always False: for tests of who asks.
        settings: further lines of their files."""
        mark = secrets.token_hex(3)  # servers of two clusters must not be called the same
        self.members = [
            NatsMember(
                f"n{number}-{mark}",
                folder / f"n{number}",
                port=port,
                sync_always=sync_always,
                settings=settings,
            )
            for number in range(1, members + 1)
        ]

    def __enter__(self) -> NatsCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def urls(self) -> list[str]:
        """Of all members, for clients."""
        return [one.url for one in self.members]

    def start(self) -> None:
        """All members. Raises NatsFailed."""
        try:
            for one in self.members:
                one.spawn(self._routes())
            deadline = time.monotonic() + READY_S
            for one in self.members:
                one.wait_until_ready(deadline)
        except BaseException:  # Ctrl-C too: none may be left
            self.stop()
            raise

    def restart(self, member: NatsMember) -> None:
        """One that has ended, on its ports and with what it had. Raises NatsFailed."""
        member.spawn(self._routes())
        member.wait_until_ready(time.monotonic() + READY_S)

    def stop(self) -> None:
        """All of them."""
        for one in self.members:
            one.stop()

    def _routes(self) -> list[str]:
        if len(self.members) == 1:
            return []
        return [f"nats-route://127.0.0.1:{one.cluster_port}" for one in self.members]
