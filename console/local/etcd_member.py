"""One real etcd process: started, watched until healthy, killed, frozen, stopped.

`etcd_process` makes clusters of them. fsync stays on, always: what is measured and what is
promised is durable. Blocking; from a coroutine use asyncio.to_thread.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from console.local.etcd_program import (
    EtcdFailed,
    EtcdVersion,
    etcd_version,
    own_environment,
    progress_setting,
)
from control_plane.private_files import open_private, private_folder

_POLL_S = 0.02
_LOG_LINES = 12

FREEZE_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTls:
    """Certificates for clients of etcd, PEM files. `client_ca`: clients must show one signed
    by it. Members talk to each other over loopback without TLS."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class EtcdMember:
    """One etcd process with a fixed name, folder and ports, which can be started again."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        program: Path,
        arguments: Sequence[str] = (),
        progress_every: str = "5s",
        client_port: int = 0,
    ) -> None:
        """client_port: 0: any free one, as the others."""
        self.name = name
        self.folder = folder
        self.log = folder / "etcd.log"
        free_port, self.peer_port, self.metrics_port = free_ports(3)
        self.client_port = client_port or free_port
        self._program = program
        self._arguments = list(arguments)
        self._progress_every = progress_every
        self._version: EtcdVersion | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tls = False

    @property
    def endpoint(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and running else None

    def spawn(self, cluster: str, token: str, tls: EtcdTls | None) -> None:
        """Starts the process; `cluster` is etcd's --initial-cluster. Raises EtcdFailed where
        the program is no etcd."""
        self._version = self._version or etcd_version(self._program)
        self._tls = tls is not None
        private_folder(self.folder)
        scheme = "https" if tls else "http"
        url = f"{scheme}://{self.endpoint}"
        command = [
            str(self._program),
            f"--name={self.name}",
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={cluster}",
            f"--initial-cluster-token={token}",
            f"--listen-metrics-urls=http://127.0.0.1:{self.metrics_port}",
            "--logger=zap",
            progress_setting(self._version, self._progress_every),
            *self._arguments,
        ]
        if tls:
            command += [f"--cert-file={tls.certificate}", f"--key-file={tls.key}"]
            if tls.client_ca:
                command += [f"--trusted-ca-file={tls.client_ca}", "--client-cert-auth"]
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_private(self.log, flags), "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=own_environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop etcd after its clients
            )

    def wait_until_healthy(self, deadline: float) -> None:
        """Until the member has a leader and answers clients; `deadline` on time.monotonic's
        clock. Raises EtcdFailed."""
        while True:
            if self.pid is None:
                raise EtcdFailed(f"etcd {self.name} ended while starting; {self.last_words()}")
            if self._is_healthy() and self._answers_clients():
                return
            if time.monotonic() > deadline:
                raise EtcdFailed(f"etcd {self.name} is not healthy in time; {self.last_words()}")
            time.sleep(_POLL_S)

    def _is_healthy(self) -> bool:
        """What /health says; it is served without TLS, and reads through the leader."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=1.0)
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _answers_clients(self) -> bool:
        """Whether anything at all comes back from the client port. etcd listens there from
        the start, and is healthy before it serves: until its name is published it accepts
        connections and says nothing."""
        address = ("127.0.0.1", self.client_port)
        try:
            with socket.create_connection(address, timeout=1.0) as plain:
                if self._tls:
                    return _shakes_hands(plain)
                plain.sendall(b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n")
                return plain.recv(1) != b""
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a crash would be. Returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10.0)

    def freeze(self) -> None:
        """SIGSTOP: connections stand, nothing answers. Returns when every thread has
        stopped, where the system shows that (Linux); a busy one may run on for a moment."""
        self._signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.pid}/task")
        end = time.monotonic() + FREEZE_WITHIN_S
        while tasks.is_dir() and time.monotonic() < end:
            states = [_thread_state(task) for task in tasks.iterdir()]
            if all(state in "TtZX" for state in states):
                return
            time.sleep(0.001)

    def thaw(self) -> None:
        """SIGCONT: ends `freeze`."""
        self._signal(signal.SIGCONT)

    def stop(self, timeout_s: float = 10.0) -> None:
        """SIGTERM, and SIGKILL when it is still there after `timeout_s`. Idempotent."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.thaw()
            self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The end of the log, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"the end of {self.log}:\n" + "\n".join(lines[-_LOG_LINES:])

    def has_lost_a_port(self) -> bool:
        """Whether it ended because one of its ports was taken."""
        return self.pid is None and "address already in use" in self.last_words()

    def _signal(self, number: int) -> None:
        if self.pid is not None:
            os.kill(self.pid, number)


def _shakes_hands(plain: socket.socket) -> bool:
    """Whether somebody speaks TLS there. A refusal of our missing certificate counts; a
    request without TLS would not do: etcd 3.4 closes the connection on it without a word."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        with anyone.wrap_socket(plain):
            return True
    except ssl.SSLEOFError:
        return False
    except ssl.SSLError:
        return True


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now, all different."""
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports


def _thread_state(task: Path) -> str:
    """One letter of /proc/…/stat, as proc(5) has it; X for a thread that is gone."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"
