"""SideProcess: one side of an exact simulation in a process of its own, next to the other.

The two sides of a comparison know nothing of each other, so two processors do them in half the
time. The process is forked, so that it has all that was read and made by then; what it is told
afterwards are clients, chunk by chunk, and classes that were added. It ends with `close`, and with
its parent: its pipe is closed then.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control_plane.errors import Unavailable
from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy
from simulation.policy.decisions import Decisions
from simulation.policy.exact import ExactRun

END_S = 10.0
_GONE = (
    "the process of one side of the simulation ended early; was there too little memory? Free some "
    "and simulate again"
)


class SideProcess:
    """As ExactRun over `decisions`, of which one chunk of clients at a time is begun and waited
    for."""

    def __init__(self, decisions: Decisions, pipe: Connection, process_id: int) -> None:
        self.process_id = process_id
        self._decisions = decisions
        self._pipe = pipe
        self._told = len(decisions)
        self._written = BytesIO()
        # One pickler for all: what was sent once stays the same object, as policies have to.
        self._pickler = _ByFields(self._written)
        capacities, room = decisions.simulated.capacities, decisions.simulated.room
        self.clients = [has - free for has, free in zip(capacities, room, strict=True)]
        self.rules: Sequence[str] = []

    def begin(self, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        """Has the clients of a chunk placed; shapes (count,). Raises Unavailable, as `placed`."""
        added = self._decisions.classes(self._told)
        self._told += len(added)
        self._written.seek(0)
        self._written.truncate()
        self._pickler.dump(added)
        try:
            self._pipe.send_bytes(self._written.getvalue())
            self._pipe.send((classes.astype(np.int32), slots.astype(np.int16)))
        except OSError as error:
            raise Unavailable(_GONE) from error

    def placed(self) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """As `ExactRun.place`, of the chunk that was begun. Raises Unavailable where the process
        is gone."""
        try:
            units, rules, self.clients, self.rules = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise Unavailable(_GONE) from error
        return units, rules


@contextmanager
def side_process(decisions: Decisions) -> Iterator[SideProcess]:
    """A process for one side, until the end of the block."""
    ours, theirs = get_context("fork").Pipe()
    child = get_context("fork").Process(target=_run, args=(decisions, theirs, ours), daemon=True)
    child.start()
    theirs.close()
    try:
        assert child.pid is not None
        yield SideProcess(decisions, ours, child.pid)
    finally:
        ours.close()
        child.join(END_S)
        if child.is_alive():
            child.kill()
            child.join(END_S)


def can_fork() -> bool:
    """Whether a second process gains anything here."""
    return hasattr(os, "fork") and len(os.sched_getaffinity(0)) > 1


class Heard:
    """What a side process hears of classes and clients."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._read = BytesIO()
        self._unpickler = pickle.Unpickler(self._read)

    def next(self, decisions: Decisions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next chunk's (classes, slots); the classes that it brings are added. Raises EOFError
        where there are no more."""
        told = self._pipe.recv_bytes()
        classes, slots = self._pipe.recv()
        self._read.seek(0)
        self._read.truncate()
        self._read.write(told)
        self._read.seek(0)
        added: list[tuple[Location, PlacementPolicy]] = self._unpickler.load()
        for location, policy in added:
            decisions.add(location, policy)
        return classes.astype(np.int64), slots.astype(np.int64)


class _ByFields(pickle.Pickler):
    """Dataclasses are made anew from their fields: those that are frozen cannot be filled in once
    they are there where their modules are compiled."""

    def reducer_override(self, told: Any) -> Any:
        if not is_dataclass(told) or isinstance(told, type):
            return NotImplemented
        values = {one.name: getattr(told, one.name) for one in fields(told)}
        return _from_fields, (type(told), values)


def _from_fields(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)


def _run(decisions: Decisions, pipe: Connection, others: Connection) -> None:
    others.close()  # so that it hears when the parent is gone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    run, heard = ExactRun(decisions), Heard(pipe)
    while True:
        try:
            classes, slots = heard.next(decisions)
        except EOFError:
            return
        units, rules = run.place(classes, slots)
        try:
            pipe.send((units, rules, run.clients, run.rules))
        except OSError:
            return
