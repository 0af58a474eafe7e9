"""Tasks that are what no server wants to do on its event loop, for tests of offloading."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control_plane.errors import InvalidInput, NotFound
from control_plane.offloading.port import Ask, Task

REMEMBERED: list[Any] = []


def echo(arguments: Any, ask: Ask) -> Any:
    return arguments


def question(arguments: Any, ask: Ask) -> Any:
    return [ask(one) for one in arguments]


def parent(arguments: Any, ask: Ask) -> Any:
    """The child that it was forked of."""
    return os.getppid()


def spin(arguments: Any, ask: Ask) -> Any:
    while True:
        pass


def spin_while(arguments: Any, ask: Ask) -> Any:
    """Until a file is there, but for that like `spin`."""
    while not Path(arguments).exists():
        pass


def hoard(arguments: Any, ask: Ask) -> Any:
    held = []
    while True:
        held.append(bytes(1 << 20))


def hoard_in_c(arguments: Any, ask: Ask) -> Any:
    """As a library does that cannot raise MemoryError."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    while libc.malloc(1 << 20):
        pass
    libc.abort()


def recurse(arguments: Any, ask: Ask) -> Any:
    return recurse(arguments, ask)


def large(arguments: Any, ask: Ask) -> Any:
    return "x" * arguments


def invalid(arguments: Any, ask: Ask) -> Any:
    raise InvalidInput("rules.r.when", "rules.r.when: is wrong")


def missing(arguments: Any, ask: Ask) -> Any:
    raise NotFound("there is none")


def defect(arguments: Any, ask: Ask) -> Any:
    raise KeyError("a defect")


def die(arguments: Any, ask: Ask) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)


def kill_parent(arguments: Any, ask: Ask) -> Any:
    os.kill(os.getppid(), signal.SIGKILL)
    spin(arguments, ask)


def chatter(arguments: Any, ask: Ask) -> Any:
    """Prints, as libraries do."""
    print("not a message")
    os.write(2, b"")
    return "said"


def remember(arguments: Any, ask: Ask) -> Any:
    """What is remembered from before."""
    before = list(REMEMBERED)
    REMEMBERED.append(arguments)
    return before


TASKS: Mapping[str, Task] = {
    one.__name__: one
    for one in (
        echo, question, spin, spin_while, hoard, hoard_in_c, recurse, large, invalid, missing,
        defect, die, kill_parent, chatter, remember, parent,
    )
}  # fmt: skip
