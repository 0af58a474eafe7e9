"""The process runtime: an executable in bubblewrap's namespaces, for where wasm does not serve.

No network, no capabilities, a root of the system's own programs and libraries only, read-only,
a private /tmp in memory, its own process tree which dies with it; CPU, memory, file size and
process count by rlimits. Weaker than wasm: the kernel's system calls are the boundary and no
seccomp filter narrows them. Where the machine cannot do this, installing is refused.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from pathlib import Path

from control_plane.errors import InvalidInput, Refused
from control_plane.files import replace_file
from data_sharing.runtimes.output import StderrTail, command_input, read
from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Capabilities,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
)

SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/sbin")  # programs and libraries, no /etc
PROGRAM = "/application"
TRY_S = 10.0
PROCESSES = 64  # of one user on the machine, so a bound on fork bombs more than a quota
CHUNK = 65536
OUT_OF_MEMORY_WORDS = ("memoryerror", "cannot allocate", "memory allocation of", "bad_alloc")


class ProcessRuntime:
    """Runs executables of this machine."""

    def __init__(self, folder: Path, *, bwrap: str = "bwrap") -> None:
        """Keeps the executables under `folder`; `bwrap` is bubblewrap's command."""
        self._folder = folder
        self._bwrap = bwrap

    def install(
        self,
        artifact: Artifact,
        limits: Limits = Limits(),  # noqa: B008, frozen
        capabilities: Capabilities = Capabilities(),  # noqa: B008, frozen
    ) -> InstalledProcess:
        """See Runtime.install. Clock and randomness cannot be withheld from a process, so
        they must have been granted."""
        if artifact.kind is not ArtifactKind.PROCESS:
            raise InvalidInput("runtime.kind", f"{artifact.kind} does not run as a process")
        if not (capabilities.clock and capabilities.random):
            raise InvalidInput(
                "capabilities",
                "a process always sees the clock and randomness; grant both, or use wasm",
            )
        if limits.fuel is not None:
            raise InvalidInput("limits.fuel", "fuel is counted in wasm only; limit cpu_s")
        bwrap = self._isolating()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / artifact.sha256
        replace_file(path, artifact.content, mode=0o500)
        return InstalledProcess(artifact, limits, capabilities, bwrap, path)

    def _isolating(self) -> str:
        """The way to bubblewrap, after it isolated a trial run. Raises Refused."""
        found = shutil.which(self._bwrap)
        if found is None:
            raise Refused(
                "this machine cannot isolate processes: bubblewrap is missing; "
                "install the package bubblewrap, or build the application as wasm"
            )
        trial = [*_sandbox(found, Capabilities()), "--", "/bin/true"]
        try:
            ran = subprocess.run(
                trial, capture_output=True, timeout=TRY_S, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"this machine cannot isolate processes: {error}") from None
        if ran.returncode != 0:
            why = ran.stderr.decode(errors="replace").strip() or f"exit code {ran.returncode}"
            raise Refused(
                f"this machine cannot isolate processes ({why}); "
                "allow user namespaces, or build the application as wasm"
            )
        return found


def _sandbox(bwrap: str, capabilities: Capabilities) -> list[str]:
    words = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
             "--clearenv", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
             "--hostname", "application", "--chdir", "/tmp"]  # fmt: skip
    for folder in SYSTEM_FOLDERS:
        words += ["--ro-bind-try", folder, folder]
    words += ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]
    for name, value in capabilities.environment:
        words += ["--setenv", name, value]
    for grant in capabilities.files:
        bind = "--bind" if grant.writable else "--ro-bind"
        words += [bind, grant.host_path, grant.guest_path]
    return words


class InstalledProcess:
    """One executable, ready to be run in a sandbox of its own each time."""

    def __init__(
        self, artifact: Artifact, limits: Limits, capabilities: Capabilities, bwrap: str, path: Path
    ) -> None:
        self.artifact, self.limits = artifact, limits
        sandbox = _sandbox(bwrap, capabilities)
        prlimit = shutil.which("prlimit") or "/usr/bin/prlimit"
        # Set inside the sandbox: bubblewrap itself needs room, and its children inherit.
        bounds = [f"--as={limits.memory_bytes}", f"--cpu={max(1, round(limits.cpu_s + 0.5))}",
                  f"--fsize={limits.memory_bytes}", f"--nproc={PROCESSES}", "--core=0",
                  "--nofile=64"]  # fmt: skip
        self._command = [*sandbox, "--ro-bind", str(path), PROGRAM, "--", prlimit, *bounds, PROGRAM]

    def invoke(self, invocation: Invocation) -> Outcome:
        """See Installed.invoke."""
        limits = self.limits
        if len(invocation.input) > limits.input_bytes:
            return Outcome(
                status=InvocationStatus.REFUSED,
                message=f"the input is larger than {limits.input_bytes} bytes",
            )
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(
                status=InvocationStatus.REFUSED, message=f"the sandbox did not start: {error}"
            )
        exchange = _Exchange(process, command_input(invocation), limits, began)
        try:
            exchange.run()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            exchange.close()
        return exchange.outcome(process.returncode)


class _Exchange:
    """Feeds stdin, drains stdout and stderr, and notices limits while doing so."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: bytes, limits: Limits, began: float
    ) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        self._pending, self._limits, self._began = memoryview(stdin), limits, began
        self._printed, self._tail = bytearray(), StderrTail()
        self._late = self._overflowed = False

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
                for key, _ in selector.select(left_s):
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
        """What the end of the process means. The CPU used stays unknown: bubblewrap ends
        without waiting for what ran in its namespace, so the kernel never adds it up."""
        limits, stderr = self._limits, self._tail.text()
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
        elif code in killed and wall_s >= limits.cpu_s:
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
            wall_s=wall_s,
        )  # fmt: skip
