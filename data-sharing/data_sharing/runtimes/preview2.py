"""What a component may import: the little of WASI 0.2 that is written here, and traps.

wasmtime's own WASI 0.2 comes whole or not at all, with clocks, randomness and sleeping that no
grant could withhold, so it is not used. An interface that nobody granted or that is not here
(files, sockets, streams) is linked to functions that trap when called: an application that
merely carries such an import runs, one that uses it is stopped. `homeport apps build` makes
components without any import.

Ending itself is written here: most languages' libraries import it, and a program that calls it
before it has answered fails with its exit code, as a command does.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component, Linker

from data_sharing.runtimes.port import Capabilities
from data_sharing.runtimes.preview1 import ended

RANDOM_BYTES_A_CALL = 65536
FIXED_RANDOM = hashlib.shake_128(b"homeport").digest(RANDOM_BYTES_A_CALL)
Functions = dict[str, Callable[..., Any]]


class Instant:
    """wasi:clocks/wall-clock's record datetime."""

    def __init__(self, ns: int) -> None:
        self.seconds, self.nanoseconds = divmod(ns, 10**9)


def linker(engine: Engine, component: Component, capabilities: Capabilities) -> Linker:
    """Satisfies every import of the component, within its grants."""
    made = Linker(engine)
    interfaces = _interfaces(capabilities)
    for name in _imports(engine, component):
        functions = interfaces.get(name.partition("@")[0])
        if functions is None:
            continue
        with made.root() as root, root.add_instance(name) as instance:
            for function, does in functions.items():
                instance.add_func(function, does)
    made.define_unknown_imports_as_traps(component)
    return made


def _imports(engine: Engine, component: Component) -> Iterable[str]:
    return component.type.imports(engine)


def _interfaces(capabilities: Capabilities) -> dict[str, Functions]:
    def random_bytes(_store: object, size: int) -> bytes:
        if size > RANDOM_BYTES_A_CALL:
            # Of all exceptions only this one does not pass through wasmtime-py's global.
            raise WasmtimeError(f"at most {RANDOM_BYTES_A_CALL} random bytes a call")
        return os.urandom(size) if capabilities.random else FIXED_RANDOM[:size]

    def random_u64(store: object) -> int:
        return int.from_bytes(random_bytes(store, 8), "little")

    def wall_now(_store: object) -> Instant:
        return Instant(time.time_ns() if capabilities.clock else 10**9)

    def leave(_store: object, status: Any) -> None:
        raise WasmtimeError(ended(0 if status.tag == "ok" else 1))

    def leave_with_code(_store: object, code: int) -> None:
        raise WasmtimeError(ended(code))

    return {
        "wasi:cli/exit": {"exit": leave, "exit-with-code": leave_with_code},
        "wasi:cli/environment": {
            "get-environment": lambda _store: list(capabilities.environment),
            "get-arguments": lambda _store: [],
            "initial-cwd": lambda _store: None,
        },
        "wasi:clocks/wall-clock": {
            "now": wall_now,
            "resolution": lambda _store: Instant(1 if capabilities.clock else 10**9),
        },
        "wasi:random/random": {"get-random-bytes": random_bytes, "get-random-u64": random_u64},
        "wasi:random/insecure": {
            "get-insecure-random-bytes": random_bytes,
            "get-insecure-random-u64": random_u64,
        },
        "wasi:random/insecure-seed": {
            "insecure-seed": lambda store: (random_u64(store), random_u64(store)),
        },
    }
