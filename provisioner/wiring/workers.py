"""Workers: several servers of one host, each a process, sharing one port (SO_REUSEPORT).

Each is a provisioner of its own to the ledger, so nothing is shared but the port. The
parent serves nothing; it starts them, restarts one that dies, and passes signals on.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from control_plane.errors import InvalidInput, Unavailable
from control_plane.printable import why_failed
from control_plane.ready_file import read_ready_file, ready_file_fault, write_ready_file
from control_plane.service_manager import Watchdog
from control_plane.settings import takes_empty
from provisioner.settings import Settings

SHARE_PORT = "HOMEPORT_SHARE_PORT"  # set for workers by their parent, by nobody else
RESTART_AFTER_S = 1.0
START_WITHIN_S = 60.0
POLL_S = 0.05


def worker_arguments(
    settings: Settings, number: int, ports: Mapping[str, int], ready_file: Path
) -> list[str]:
    """The command line of worker `number` (from 0). ports: those that they share, by setting.
    Metrics ports follow each other."""
    shared = {
        name: f"{getattr(settings, name).rpartition(':')[0]}:{port}" for name, port in ports.items()
    }
    metrics = settings.metrics_listen
    if metrics and not metrics.endswith(":0"):
        metrics_host, _, metrics_port = metrics.rpartition(":")
        metrics = f"{metrics_host}:{int(metrics_port) + number}"
    given = settings.model_dump(mode="json", exclude_none=True)
    given |= {
        "workers": 1,
        **shared,
        "metrics_listen": metrics,
        "ready_file": str(ready_file),
    }
    if settings.snapshot is not None:
        given["snapshot"] = f"{settings.snapshot}.{number}"  # each writes what it has seen
    for name in settings.secrets:  # not for all to read: see worker_environment
        given.pop(name)
    words = {
        name: value
        for name, value in given.items()
        if value != "" or takes_empty(type(settings), name)
    }
    return [_word(name.replace("_", "-"), value) for name, value in words.items()]


def _word(option: str, value: object) -> str:
    """One argument, as the command line reads it: switches by name, lists and tables as JSON."""
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option}={json.dumps(value) if isinstance(value, list | dict) else value}"


def worker_environment(settings: Settings) -> dict[str, str]:
    """Ours, and the secrets that a worker does not read from a file itself."""
    environment = {**os.environ, SHARE_PORT: "1"}
    for name in settings.secrets:
        secret = getattr(settings, name)
        if secret and getattr(settings, f"{name}_file") is None:
            environment[f"{settings.model_config['env_prefix']}{name.upper()}"] = secret
    return environment


class Worker:
    """One child process and when it was started last."""

    def __init__(self, command: list[str], ready_file: Path, environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._ready_file = ready_file
        self.start()

    def start(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(self._command, env=self._environment)

    def ready(self) -> dict[str, object] | None:
        """What it wrote to its ready file, once it has."""
        return read_ready_file(self._ready_file)

    def fault(self) -> str:
        """What is wrong with that file, if anything is."""
        return ready_file_fault(self._ready_file)


def run_workers(settings: Settings) -> None:
    """Runs until a signal. Raises InvalidInput, Unavailable."""
    refuse_shared_embedded(settings)
    stopping = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    watchdog = Watchdog(time.monotonic)
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(reserve(getattr(settings, name), name)).getsockname()[1]
            for name in ("listen", "http_listen", "directory_http_listen")
            if getattr(settings, name)
        }
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homeport-")))
        workers = []
        for number in range(settings.workers):
            ready_file = folder / f"worker-{number}.json"
            words = worker_arguments(settings, number, ports, ready_file)
            command = [sys.executable, "-m", "provisioner", *words]
            workers.append(Worker(command, ready_file, worker_environment(settings)))
        try:
            while not stopping and not all(worker.ready() for worker in workers):
                if any(worker.process.poll() is not None for worker in workers):
                    raise Unavailable("a worker ended while starting; see the log above")
                if time.monotonic() - workers[0].started_at > START_WITHIN_S:
                    why = "".join(worker.fault() for worker in workers)
                    raise Unavailable(
                        f"the workers did not start within {START_WITHIN_S:.0f} s{why}"
                    )
                watchdog.turn()
                time.sleep(POLL_S)
            if not stopping:
                _announce(settings.ready_file, workers)
            while not stopping:
                for worker in workers:
                    dead = worker.process.poll() is not None
                    if dead and time.monotonic() - worker.started_at > RESTART_AFTER_S:
                        worker.start()
                watchdog.turn()
                time.sleep(POLL_S)
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                try:
                    worker.process.wait(settings.drain_s + 10.0)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()


def refuse_shared_embedded(settings: Settings) -> None:
    """Raises InvalidInput where several processes would open a store that serves one."""
    if settings.workers > 1 and settings.store.startswith("embedded:"):
        raise InvalidInput(
            "workers",
            "the embedded store serves one process; use --workers 1, or etcd as the store",
        )


def reserve(listen: str, setting: str = "listen") -> socket.socket:
    """A socket that holds the port without listening, so that workers can join it. Raises
    InvalidInput that names the setting where it cannot be had."""
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]")
    held = socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((bare, int(port)))
    except OSError as error:
        held.close()
        raise InvalidInput(setting, f"cannot listen on {listen}: {why_failed(error)}") from error
    return held


def _announce(path: Path | None, workers: list[Worker]) -> None:
    ready = [worker.ready() or {} for worker in workers]
    content = {
        "grpc": ready[0].get("grpc"),
        "http": ready[0].get("http"),
        "pages": ready[0].get("pages"),
        "metrics": ready[0].get("metrics"),
        "transport": ready[0].get("transport"),
        "pid": os.getpid(),
        "workers": ready,
    }
    write_ready_file(path, content)
