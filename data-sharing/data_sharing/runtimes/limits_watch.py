"""Limits of running invocations: CPU, wall time and output, for all instances of one engine.

wasmtime checks a counter, the epoch, in every loop and call; a small thread advances it while
anything runs, and each advance asks the invocation's `Watch`, in its own thread, whether it may
go on. So the limit on CPU counts the thread's own CPU time and not its neighbours'. A limit is
noticed up to one tick late, and not inside a host call; ours all return at once.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from typing import Any

from wasmtime import Engine, Store, WasmtimeError
from wasmtime import _bindings as ffi

TICK_S = 0.01
IDLE_TICKS = 100  # the thread rests after this many without anything running

CALLBACK: Any = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.POINTER(ffi.wasmtime_context_t),
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ffi.wasmtime_update_deadline_kind_t),
)
NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)()


class LimitsWatch:
    """One invocation's use of time and output, against its limits."""

    __slots__ = ("cpu_began_s", "cpu_s", "overflowed", "reason", "wall_began_s", "wall_s")

    def __init__(self, cpu_s: float, wall_s: float) -> None:
        """Counts from now, in this thread."""
        self.cpu_s, self.wall_s = cpu_s, wall_s
        self.cpu_began_s = time.thread_time()
        self.wall_began_s = time.perf_counter()
        self.overflowed = False  # printed more than it may
        self.reason = ""  # why it was stopped

    def must_stop(self) -> bool:
        """Whether a limit is reached; `reason` says which."""
        if self.overflowed:
            self.reason = "it printed more than it may"
        elif self.cpu_used_s() > self.cpu_s:
            self.reason = f"it used its {self.cpu_s:g} s of CPU"
        elif self.wall_used_s() > self.wall_s:
            self.reason = f"it ran for its {self.wall_s:g} s"
        return bool(self.reason)

    def cpu_used_s(self) -> float:
        """Of this thread, since the watch began."""
        return time.thread_time() - self.cpu_began_s

    def wall_used_s(self) -> float:
        """Since the watch began."""
        return time.perf_counter() - self.wall_began_s


_watches: dict[int, LimitsWatch] = {}  # by the number that wasmtime hands back to the callback
_numbers = itertools.count(1)


def _on_epoch(_context: Any, number: int, delta: Any, kind: Any) -> int:
    watch = _watches.get(number)
    if watch is None or watch.must_stop():
        error = WasmtimeError("stopped")._consume()
        return ctypes.cast(error, ctypes.c_void_p).value or 0
    delta[0] = 1
    kind[0] = 0  # WASMTIME_UPDATE_DEADLINE_CONTINUE
    return 0


_ON_EPOCH = CALLBACK(_on_epoch)


class EpochTicker:
    """Advances an engine's epoch while anything runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: set[int] = set()
        self._wake = threading.Event()
        self._resting = True
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="wasm-epoch", daemon=True)
        self._thread.start()

    def begin(self, store: Store, watch: LimitsWatch) -> int:
        """Has `watch` decide over the store's time. Give the number to `end`."""
        number = next(_numbers)
        _watches[number] = watch
        ffi.wasmtime_store_epoch_deadline_callback(
            store.ptr(), _ON_EPOCH, ctypes.c_void_p(number), NO_FINALIZER
        )
        store.set_epoch_deadline(1)
        with self._lock:
            self._running.add(number)
            if self._resting:
                self._resting = False
                self._wake.set()
        return number

    def end(self, number: int) -> None:
        """The invocation is over."""
        with self._lock:
            self._running.discard(number)
        _watches.pop(number, None)

    def close(self) -> None:
        """Stops the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        pause = threading.Event()
        idle = 0
        while not self._closed:
            with self._lock:
                idle = 0 if self._running else idle + 1
                if idle > IDLE_TICKS:
                    self._resting = True
                    self._wake.clear()
            if self._resting:
                self._wake.wait()
                idle = 0
                continue
            pause.wait(TICK_S)
            self._engine.increment_epoch()
