"""Observer: memory of each program, disk, and clients, looked at now and then while others work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bench.suite.memory import read_status
from console.cli.failure import CommandFailed
from homeport.errors import HomeportError

EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """at_s: since the observer began; phase: what was done then; by program: anonymous_mib and
    resident_mib, without and with mapped files, and processor_s, used so far; disk_mib: of the data
    folder; clients: with a home; -1: nobody answered."""

    at_s: float
    phase: str
    anonymous_mib: Mapping[str, float]
    resident_mib: Mapping[str, float]
    processor_s: Mapping[str, float]
    disk_mib: float
    clients: int


def disk_mib(folder: Path) -> float:
    """What the files in a folder take on the disk."""
    taken = 0
    for path in folder.rglob("*"):
        try:
            taken += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue  # it is gone by now
    return taken / (1 << 20)


class Observer:
    """A context manager: inside it, it looks. pids: of the programs, by name, as they are now;
    clients: how many there are; may
    raise where nobody answers."""

    def __init__(
        self, folder: Path, pids: Callable[[], Mapping[str, int]], clients: Callable[[], int]
    ) -> None:
        self._folder = folder
        self._pids = pids
        self._clients = clients
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.phase = "start"
        self.looks: list[Look] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> Look:
        """How it is now; kept."""
        anonymous, resident, processor = {}, {}, {}
        for name, pid in self._pids().items():
            try:
                sizes, times = read_status(pid), psutil.Process(pid).cpu_times()
            except (FileNotFoundError, psutil.NoSuchProcess):
                continue
            processor[name] = round(times.user + times.system, 2)
            anonymous[name] = round(sizes.get("RssAnon", 0.0) + sizes.get("VmSwap", 0.0), 1)
            resident[name] = round(sizes.get("VmRSS", 0.0), 1)
        try:
            clients = self._clients()
        except (HomeportError, CommandFailed, OSError, ValueError, KeyError):  # it is being started
            clients = -1
        made = Look(
            at_s=round(time.monotonic() - self._began_s, 1),
            phase=self.phase,
            anonymous_mib=anonymous,
            resident_mib=resident,
            processor_s=processor,
            disk_mib=round(disk_mib(self._folder), 1),
            clients=clients,
        )
        self.looks.append(made)
        return made

    def document(self) -> list[dict[str, Any]]:
        """All looks, in their order."""
        return [asdict(one) for one in self.looks]

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()
