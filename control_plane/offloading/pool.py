"""ProcessPool: does tasks in child processes, within limits, fair between tenants.

Each worker is one child process (see `child`), which forks a process for each task. A task that
goes past its limits costs whoever submitted it an error that says so, and nobody anything else; a
child that is stuck or gone is started anew. With more than one worker, no tenant has all of them.
Where tasks are rare, a child can be started with each and ended after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from control_plane.errors import ServiceError, Unavailable
from control_plane.offloading.fair_queue import FairQueue
from control_plane.offloading.messages import (
    ASKED,
    DEFECT,
    DONE,
    FAILED,
    HEADER_BYTES,
    NO_CPU,
    NO_MEMORY,
    TOO_LARGE,
    error_of,
    frame,
    unframed,
)
from control_plane.offloading.port import Answer, TaskLimits, TooCostly

log = logging.getLogger(__name__)

START_S = 60.0  # until a child has imported everything, on a busy machine
WAITING_OF_TENANT = 32
WAITING_OF_ALL = 1_024
MOST_MESSAGE_BYTES = 64 << 20


class _ChildGone(Exception):
    """The child process ended, or said what is no message."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One task that waits or runs."""

    task: str
    message: bytes
    limits: TaskLimits
    subject: str
    answer: Answer | None
    result: asyncio.Future[Any]


class ProcessPool:
    """tasks: "module:table", which children import. limits: of tasks by name, where they are not
    the default ones. on_demand: a child is started with each task, and ended after it. of_tenant:
    how many tasks of one may wait. Does nothing until `run` does."""

    def __init__(
        self,
        tasks: str,
        *,
        workers: int,
        limits: Mapping[str, TaskLimits] | None = None,
        default: TaskLimits | None = None,
        on_demand: bool = False,
        of_tenant: int = WAITING_OF_TENANT,
    ) -> None:
        self._on_demand = on_demand
        self._tasks = tasks
        self._workers = workers
        self._limits = dict(limits or {})
        self._default = default or TaskLimits()
        self._queue: FairQueue[_Entry] = FairQueue(
            at_once=max(1, workers - 1), of_tenant=of_tenant, of_all=WAITING_OF_ALL
        )
        self._changed = asyncio.Condition()
        self.counts: dict[str, int] = dict.fromkeys((DONE, FAILED, "too-costly", "broken"), 0)
        """Tasks by how they ended, for metrics."""

    async def run(self) -> None:
        """Until it is cancelled; then what waits is Unavailable."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"offload worker {number}")
        finally:
            while (taken := self._queue.take()) is not None:
                tenant, entry = taken
                self._queue.done(tenant)
                _fail(entry, Unavailable("this server is shutting down; go on at another one"))

    @property
    def waiting(self) -> int:
        """Tasks that no worker has taken."""
        return len(self._queue)

    async def offload(
        self, task: str, arguments: Any, *, tenant: str, subject: str, answer: Answer | None = None
    ) -> Any:
        """See Offload.offload."""
        limits = self._limits.get(task, self._default)
        message = frame([task, arguments, asdict(limits)])
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = _Entry(task, message, limits, subject, answer, result)
        self._queue.add(tenant, entry)
        try:
            async with self._changed:
                self._changed.notify()
            return await result
        except asyncio.CancelledError:
            self._queue.discard(tenant, entry)  # the tenant may have another one wait
            raise

    # -- workers -----------------------------------------------------------------------

    async def _work(self) -> None:
        child = None if self._on_demand else await self._start()
        try:
            while True:
                tenant, entry = await self._take()
                try:
                    if entry.result.cancelled():  # whoever submitted it has left
                        continue
                    child = await self._do(child, entry)
                    if self._on_demand and child is not None:
                        await _kill(child)
                        child = None
                finally:
                    self._queue.done(tenant)
                    async with self._changed:  # another one of the tenant may be taken now
                        self._changed.notify_all()
        finally:
            if child is not None:
                await _kill(child)

    async def _take(self) -> tuple[str, _Entry]:
        async with self._changed:
            while (taken := self._queue.take()) is None:
                await self._changed.wait()
            return taken

    async def _do(
        self, child: asyncio.subprocess.Process | None, entry: _Entry
    ) -> asyncio.subprocess.Process | None:
        """Does a task and answers it; the child to go on with, None: the next task starts one."""
        try:
            if child is None or child.returncode is not None:  # it ended since the last one
                child = await self._start()
        except (TimeoutError, _ChildGone, OSError) as error:
            self.counts["broken"] += 1
            log.error("offloaded task %s: its process did not start: %s", entry.task, error)
            _fail(entry, Unavailable("this server could not start a process for it; try again"))
            return None
        except BaseException:  # cancelled: whoever waits hears of it
            _fail(entry, Unavailable("this server is shutting down; go on at another one"))
            raise
        try:
            async with asyncio.timeout(entry.limits.wall_s):
                kind, value = await _exchange(child, entry)
        except (TimeoutError, _ChildGone) as error:
            self.counts["broken"] += 1
            said = "did not end in time" if isinstance(error, TimeoutError) else str(error)
            log.error("offloaded task %s: %s; its process is started anew", entry.task, said)
            _fail(entry, Unavailable("this server could not check it in time; try again later"))
            await _kill(child)
            return await self._start()
        except BaseException:  # cancelled too: whoever waits hears of it
            _fail(entry, Unavailable("this server is shutting down; go on at another one"))
            raise
        if kind == DONE:
            self.counts[DONE] += 1
            if not entry.result.done():
                entry.result.set_result(value)
        else:
            _fail(entry, self._failure(entry, kind, value))
        return child

    def _failure(self, entry: _Entry, kind: str, value: Any) -> Exception:
        if kind == FAILED:
            self.counts[FAILED] += 1
            return error_of(value)
        subject, limits = entry.subject, entry.limits
        costly = {
            NO_CPU: f"takes longer than {limits.cpu_s:g} s to check",
            NO_MEMORY: f"takes more than {limits.memory_bytes >> 20:,} MiB of memory to check, or "
            "is nested too deep",
            TOO_LARGE: f"has a result of more than {limits.result_bytes >> 20:,} MiB",
        }.get(kind)
        if costly is not None:
            self.counts["too-costly"] += 1
            return TooCostly(subject, f"{subject}: {costly}; make it smaller or simpler")
        self.counts["broken"] += 1
        log.error("offloaded task %s failed: %s", entry.task, value if kind == DEFECT else kind)
        return ServiceError("internal error; see the server's log")

    async def _start(self) -> asyncio.subprocess.Process:
        """A child that is ready. Raises _ChildGone."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control_plane.offloading.child", self._tasks,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that it can be killed with what it has forked
        )  # fmt: skip
        try:
            async with asyncio.timeout(START_S):
                await _read(child)
        except BaseException:  # cancelled too: no child may be left
            await _kill(child)
            raise
        return child


async def _exchange(child: asyncio.subprocess.Process, entry: _Entry) -> tuple[str, Any]:
    """The reply to a task, its questions answered. Raises _ChildGone."""
    await _write(child, entry.message)
    while True:
        kind, value = await _read(child)
        if kind != ASKED or entry.answer is None:
            return kind, value
        answer = entry.answer(value)
        if inspect.isawaitable(answer):
            answer = await answer
        await _write(child, frame(answer))


async def _write(child: asyncio.subprocess.Process, message: bytes) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(message)
        await child.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        raise _ChildGone("it is gone") from None


async def _read(child: asyncio.subprocess.Process) -> tuple[str, Any]:
    assert child.stdout is not None
    try:
        header = await child.stdout.readexactly(HEADER_BYTES)
        size = int.from_bytes(header, "big")
        if size > MOST_MESSAGE_BYTES:
            raise _ChildGone(f"it says {size:,} bytes, which is no message")
        kind, value = unframed(await child.stdout.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        raise _ChildGone(f"it is gone, with exit code {child.returncode}") from None
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise _ChildGone(f"what it says is no message: {error}") from None
    return kind, value


async def _kill(child: asyncio.subprocess.Process) -> None:
    """It and what it has forked."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def _fail(entry: _Entry, error: Exception) -> None:
    if not entry.result.done():
        entry.result.set_exception(error)
