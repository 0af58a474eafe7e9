"""Exchange with a process: its input, its output, and the limits that are noticed meanwhile."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time

from data_sharing.runtimes.cgroups import Cgroup
from data_sharing.runtimes.output import StderrTail, read
from data_sharing.runtimes.port import InvocationStatus, Limits, Outcome

CHUNK = 65536
LOOK_S = 0.1  # how often the CPU used is looked at
OUT_OF_MEMORY_WORDS = ("memoryerror", "cannot allocate", "memory allocation of", "bad_alloc")


class Exchange:
    """Feeds stdin, drains stdout and stderr, and notices limits while doing so."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        limits: Limits,
        began: float,
        group: Cgroup | None,
    ) -> None:
        """began: monotonic seconds; group None: the machine counts neither CPU nor memory."""
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        self._pending, self._limits, self._began = memoryview(stdin), limits, began
        self._printed, self._tail = bytearray(), StderrTail()
        self._group = group
        self._late = self._overflowed = self._spent = False

    def run(self) -> None:
        """Until it closed its outputs, or a limit."""
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._in, selectors.EVENT_WRITE)
            selector.register(self._out, selectors.EVENT_READ)
            selector.register(self._err, selectors.EVENT_READ)
            while {self._out, self._err} & {key.fileobj for key in selector.get_map().values()}:
                left_s = self._began + self._limits.wall_s - time.monotonic()
                if left_s <= 0:
                    self._late = True
                    return
                if self._group is not None:
                    self._spent = (self._group.cpu_s() or 0.0) >= self._limits.cpu_s
                    if self._spent:
                        return
                for key, _ in selector.select(min(left_s, LOOK_S)):
                    if key.fileobj is self._in:
                        if self._feed():
                            selector.unregister(self._in)
                            self._in.close()
                    elif not self._drain(key.fd):
                        selector.unregister(key.fileobj)
                if self._overflowed:
                    return

    def _feed(self) -> bool:
        """Whether there is nothing more to write."""
        try:
            written = os.write(self._in.fileno(), self._pending[:CHUNK])
        except BlockingIOError:
            return False
        except BrokenPipeError:  # it does not read; that is its affair
            return True
        self._pending = self._pending[written:]
        return not self._pending

    def _drain(self, descriptor: int) -> bool:
        """Whether there may be more."""
        data = os.read(descriptor, CHUNK)
        if descriptor == self._err.fileno():
            self._tail.write(data)
        else:
            self._printed += data
            self._overflowed = len(self._printed) > self._limits.output_bytes
        return bool(data)

    def close(self) -> None:
        """All pipes."""
        for pipe in (self._in, self._out, self._err):
            with contextlib.suppress(OSError):
                pipe.close()

    def outcome(self, code: int) -> Outcome:
        """What the end of the process means. Without a group the CPU used stays unknown:
        bubblewrap ends without waiting for what ran in its namespace, so the kernel never adds
        it up."""
        limits, stderr, group = self._limits, self._tail.text(), self._group
        wall_s = time.monotonic() - self._began
        output, value, message = "", None, ""
        # bubblewrap reports a signal of its child as a shell does.
        killed = {128 + signal.SIGXCPU, 128 + signal.SIGKILL}
        if self._overflowed:
            status = InvocationStatus.BAD_OUTPUT
            message = f"its output is larger than {limits.output_bytes} bytes"
        elif self._late:
            status, message = (
                InvocationStatus.TIMED_OUT,
                f"stopped: it ran for its {limits.wall_s:g} s",
            )
        elif group is not None and group.ran_out_of_memory():
            status = InvocationStatus.OUT_OF_MEMORY
            message = f"it needed more than its {limits.memory_bytes} bytes of memory"
        elif self._spent or (code in killed and wall_s >= limits.cpu_s):
            status, message = (
                InvocationStatus.TIMED_OUT,
                f"stopped: it used its {limits.cpu_s:g} s of CPU",
            )
        elif code != 0 and any(word in stderr.lower() for word in OUT_OF_MEMORY_WORDS):
            status = InvocationStatus.OUT_OF_MEMORY
            message = f"it needed more than its {limits.memory_bytes} bytes of memory"
        elif code > 128:
            status, message = InvocationStatus.TRAPPED, f"ended by signal {code - 128}"
        elif code != 0:
            status, message = InvocationStatus.FAILED, f"it ended with exit code {code}"
        else:
            got = read(bytes(self._printed), limits.output_bytes)
            status, output, value, message = got.status, got.output, got.value, got.message
        return Outcome(
            status=status, output=output, value=value, message=message, stderr_tail=stderr,
            wall_s=wall_s, cpu_s=(group.cpu_s() or 0.0) if group is not None else 0.0,
        )  # fmt: skip
