"""`python -m control_plane.offloading.child MODULE:TABLE`: does tasks one after another, each in a
process forked for it, within limits.

This process imports the tasks once, calls `prepare` of their module where there is one, and does
nothing else, so that it can fork: it has one thread.
A forked process sets its limits, does one task and ends; nothing that one tenant submitted is
there when the next one's is worked on. What kills it is told as what it is.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import traceback
from typing import Any, BinaryIO, NoReturn

from control_plane.errors import ServiceError
from control_plane.offloading.messages import (
    ASKED,
    DEFECT,
    DIED,
    DONE,
    FAILED,
    HEADER_BYTES,
    NO_CPU,
    NO_MEMORY,
    TOO_LARGE,
    error_value,
    frame,
    unframed,
)
from control_plane.offloading.port import Task

NICENESS = 5  # whoever serves goes first
MOST_LOGGED = 4_000  # characters of a traceback


def main() -> None:
    """Ends when there is nobody to read from any more."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever serves
    module, _, table = sys.argv[1].partition(":")
    imported = importlib.import_module(module)
    tasks = getattr(imported, table)
    getattr(imported, "prepare", lambda: None)()
    gc.freeze()  # so that collections in forked processes do not touch what they share
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    # What a library prints must not get between messages.
    sys.stdout = sys.stderr
    _send(replies, ["ready", None])
    while (request := _read(requests)) is not None:
        name, arguments, limits = request
        child = os.fork()
        if child == 0:
            _do(tasks[name], arguments, limits, requests, replies)
        died = _how_it_died(os.waitpid(child, 0)[1])
        if died:
            _send(replies, [died, None])


def _do(
    task: Task, arguments: Any, limits: dict[str, Any], requests: BinaryIO, replies: BinaryIO
) -> NoReturn:
    """One task, in a process of its own."""
    try:
        _limit(limits["cpu_s"], limits["memory_bytes"])
        reply = _outcome(task, arguments, limits, requests, replies)
        _send(replies, reply)
        code = 0
    except BaseException:  # noqa: BLE001  # the process ends here, whatever it was
        traceback.print_exc()
        code = 1
    os._exit(code)


def _outcome(
    task: Task, arguments: Any, limits: dict[str, Any], requests: BinaryIO, replies: BinaryIO
) -> list[Any]:
    asked = 0

    def ask(question: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > limits["questions"]:
            raise RuntimeError(f"a task asks more than {limits['questions']} questions")
        _send(replies, [ASKED, question])
        return _read(requests)

    try:
        result = [DONE, task(arguments, ask)]
        if len(frame(result)) > limits["result_bytes"]:
            return [TOO_LARGE, None]
        return result
    except ServiceError as error:
        return [FAILED, error_value(error)]
    except (MemoryError, RecursionError):
        return [NO_MEMORY, None]
    except Exception:  # noqa: BLE001  # told, and logged by whoever serves
        return [DEFECT, traceback.format_exc()[-MOST_LOGGED:]]


def _limit(cpu_s: float, memory_bytes: int) -> None:
    """Past `cpu_s` the process is killed by SIGPROF, which nothing catches; RLIMIT_CPU, in whole
    seconds, is for what would hold signals back."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    most_s = int(cpu_s) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    has = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115
    most = has + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _how_it_died(status: int) -> str:
    """Empty: it did not, and has replied."""
    if os.WIFSIGNALED(status):
        by = os.WTERMSIG(status)
        if by in (signal.SIGPROF, signal.SIGXCPU):
            return NO_CPU
        # What C, C++ and the kernel do where there is no memory, or no stack, left.
        out_of_memory = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL)
        return NO_MEMORY if by in out_of_memory else DIED
    return DIED if os.WEXITSTATUS(status) else ""


def _send(replies: BinaryIO, reply: list[Any]) -> None:
    replies.write(frame(reply))
    replies.flush()


def _read(requests: BinaryIO) -> Any:
    """None at the end."""
    header = requests.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    return unframed(requests.read(int.from_bytes(header, "big")))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
