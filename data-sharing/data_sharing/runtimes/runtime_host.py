"""RuntimeHost: installs and invokes applications in whichever runtime fits, off the event loop.

Invocations run in a bounded set of threads (wasmtime and waiting for a process release the
interpreter's lock), so that an application that spins holds one thread until its limit, and
neither the event loop nor its neighbours.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from control_plane.data_folder import DataFolder
from control_plane.histogram import Histogram
from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Capabilities,
    Installed,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
    Runtime,
)
from data_sharing.runtimes.processes import ProcessPolicy, ProcessRuntime
from data_sharing.runtimes.wasm import WasmRuntime

# What runs as native code is compiled here: whoever else could write in it could run anything.
COMPILED_FOLDER = DataFolder(flag="--compiled-dir", parts=("wasm", "processes"))


class InvocationCounts:
    """Invocations of a process, from all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.started = 0
        self.running = 0
        self.ended: dict[InvocationStatus, int] = dict.fromkeys(InvocationStatus, 0)
        self.seconds = Histogram()

    def begin(self) -> None:
        """One begins."""
        with self._lock:
            self.started += 1
            self.running += 1

    def end(self, status: InvocationStatus, seconds: float) -> None:
        """One has ended."""
        with self._lock:
            self.running -= 1
            self.ended[status] += 1
            self.seconds.observe(seconds)


class RuntimeHost:
    """All runtimes of this machine. Close it, or use it in a `with`."""

    def __init__(
        self,
        cache_folder: Path,
        *,
        threads: int | None = None,
        processes: ProcessPolicy = ProcessPolicy(),  # noqa: B008, frozen
    ) -> None:
        """`cache_folder` keeps compiled code and may be shared by processes of one user;
        `threads` bounds the invocations that run at once (default: two per core); `processes`:
        whether applications of that kind are run, by default not."""
        self.capacity = threads or 2 * (os.cpu_count() or 1)
        wasm = WasmRuntime(cache_folder / "wasm")
        self._wasm = wasm
        self._runtimes: dict[ArtifactKind, Runtime] = {
            ArtifactKind.WASI_COMMAND: wasm,
            ArtifactKind.COMPONENT: wasm,
            ArtifactKind.PROCESS: ProcessRuntime(cache_folder / "processes", processes),
        }
        self.counts = InvocationCounts()
        self._threads = ThreadPoolExecutor(self.capacity, thread_name_prefix="application")

    def install(
        self,
        artifact: Artifact,
        limits: Limits | None = None,
        capabilities: Capabilities | None = None,
    ) -> Installed:
        """Blocks, seconds where it compiles. Raises as Runtime.install does."""
        runtime = self._runtimes[artifact.kind]
        return runtime.install(artifact, limits or Limits(), capabilities or Capabilities())

    async def install_soon(
        self,
        artifact: Artifact,
        limits: Limits | None = None,
        capabilities: Capabilities | None = None,
    ) -> Installed:
        """`install` without blocking the event loop."""
        return await asyncio.to_thread(self.install, artifact, limits, capabilities)

    async def invoke(self, installed: Installed, invocation: Invocation) -> Outcome:
        """Waits for a thread, then runs one action there. Never raises for what the
        application does. A caller that is cancelled stops waiting; the application runs to
        its limits."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._invoke, installed, invocation)

    def _invoke(self, installed: Installed, invocation: Invocation) -> Outcome:
        counts, began = self.counts, time.monotonic()
        counts.begin()
        outcome = None
        try:
            outcome = installed.invoke(invocation)
            return outcome
        finally:
            status = outcome.status if outcome is not None else InvocationStatus.REFUSED
            counts.end(status, time.monotonic() - began)

    def close(self) -> None:
        """Ends once the applications that run have ended, by their limits at the latest."""
        self._threads.shutdown(cancel_futures=True)
        self._wasm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
