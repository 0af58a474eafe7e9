"""The process runtime: an executable in a sandbox of its own each time, for where wasm does not
serve.

Weaker than wasm: what the system call filter leaves of the kernel is the boundary. So nothing
runs this way unless an operator says so, nor as root, nor without control groups, unless that is
said too. Where the machine cannot isolate, installing is refused with the reason.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import InvalidInput, Refused
from control_plane.files import replace_file
from control_plane.private_files import private_folder
from data_sharing.runtimes.cgroups import Cgroup, Cgroups, GroupLimits
from data_sharing.runtimes.output import command_input
from data_sharing.runtimes.port import (
    MIB,
    Artifact,
    ArtifactKind,
    Capabilities,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
)
from data_sharing.runtimes.process_exchange import Exchange
from data_sharing.runtimes.sandbox import (
    ANSWERS_WITHIN_S,
    PROCESSES,
    PROGRAM,
    Sandbox,
    Tools,
)
from data_sharing.runtimes.system_call_filter import filter_program

log = logging.getLogger(__name__)

OWN_BYTES = 16 * MIB  # what the sandbox's own programs use of a group's memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPolicy:
    """What the operator of this machine allows: processes at all, on a host that runs as root,
    and without control groups, by resource limits alone."""

    allowed: bool = False
    as_root: bool = False
    without_cgroup: bool = False


class ProcessRuntime:
    """Runs executables of this machine."""

    def __init__(
        self,
        folder: Path,
        policy: ProcessPolicy = ProcessPolicy(),
        *,
        bwrap: str = "bwrap",
        find_groups: Callable[[], Cgroups] = Cgroups.find,
        user: Callable[[], int] = os.geteuid,
    ) -> None:
        """Keeps the executables under `folder`; `bwrap` is bubblewrap's command; find_groups:
        raises Refused where this process may make no control groups; user: its own id."""
        self._folder = folder
        self._policy = policy
        self._bwrap = bwrap
        self._find_groups, self._user = find_groups, user
        self._groups: Cgroups | None = None
        self._warned = False

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
        if not self._policy.allowed:
            raise Refused(
                "applications of kind process are not taken here: they are isolated less well "
                "than wasm, so an operator has to switch them on (--allow-processes); "
                "build the application as wasm"
            )
        if not (capabilities.clock and capabilities.random):
            raise InvalidInput(
                "capabilities",
                "a process always sees the clock and randomness; grant both, or use wasm",
            )
        if limits.fuel is not None:
            raise InvalidInput("limits.fuel", "fuel is counted in wasm only; limit cpu_s")
        sandbox = self._isolating(limits, capabilities)
        private_folder(self._folder)
        path = self._folder / artifact.sha256
        replace_file(path, artifact.content, mode=0o500)
        return InstalledProcess(artifact, limits, sandbox, self._groups, path)

    def _isolating(self, limits: Limits, capabilities: Capabilities) -> Sandbox:
        """The sandbox, after it isolated a trial run. Raises Refused."""
        as_root = self._user() == 0
        if as_root and not self._policy.as_root:
            raise Refused(
                "this host runs as root, and no process of an application is started by root: "
                "run it as another user, or say --allow-root-sandbox (they run as nobody then)"
            )
        if as_root and capabilities.files:
            raise Refused(
                "this host runs as root and its applications as nobody, to whom its folders are "
                "closed: no files can be granted to a process; run the host as another user"
            )
        self._groups = self._groups or self._bounding()
        sandbox = Sandbox(
            tools=Tools.find(self._bwrap), limits=limits, capabilities=capabilities, as_root=as_root
        )
        with _started(sandbox, ["/bin/true"], None, self._groups) as (command, descriptors, _):
            try:
                ran = subprocess.run(
                    command, capture_output=True, timeout=ANSWERS_WITHIN_S,
                    stdin=subprocess.DEVNULL, check=False, pass_fds=descriptors,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Refused(f"this machine cannot isolate processes: {error}") from None
        if ran.returncode != 0:
            why = ran.stderr.decode(errors="replace").strip() or f"exit code {ran.returncode}"
            raise Refused(
                f"this machine cannot isolate processes ({why}); "
                "allow user namespaces, or build the application as wasm"
            )
        if as_root and not self._warned:
            self._warned = True
            log.warning(
                "this host runs as root (--allow-root-sandbox): applications run as nobody, but "
                "whoever takes over the host itself is root"
            )
        return sandbox

    def _bounding(self) -> Cgroups | None:
        """Raises Refused where there are no control groups and there must be."""
        try:
            return self._find_groups()
        except Refused as error:
            if not self._policy.without_cgroup:
                raise Refused(
                    f"this machine cannot bound processes: {error.message}; or say "
                    "--allow-processes-without-cgroup, and resource limits alone bound them"
                ) from None
            log.warning("processes run without a control group: %s", error.message)
            return None


class InstalledProcess:
    """One executable, ready to be run in a sandbox of its own each time."""

    def __init__(
        self,
        artifact: Artifact,
        limits: Limits,
        sandbox: Sandbox,
        groups: Cgroups | None,
        path: Path,
    ) -> None:
        self.artifact, self.limits = artifact, limits
        self._sandbox, self._groups, self._path = sandbox, groups, path

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
            with _started(self._sandbox, [PROGRAM], self._path, self._groups) as started:
                command, descriptors, group = started
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    pass_fds=descriptors,
                )
                exchange = Exchange(process, command_input(invocation), limits, began, group)
                try:
                    exchange.run()
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    exchange.close()
                return exchange.outcome(process.returncode)
        except (OSError, Refused) as error:
            return Outcome(
                status=InvocationStatus.REFUSED, message=f"the sandbox did not start: {error}"
            )


@contextmanager
def _started(
    sandbox: Sandbox, run: list[str], path: Path | None, groups: Cgroups | None
) -> Iterator[tuple[list[str], tuple[int, ...], Cgroup | None]]:
    """The command, the descriptors it inherits, and its group; which ends with everything in it.
    Raises Refused, OSError."""
    group = None
    descriptors: list[int] = []
    copied = path if sandbox.as_root else None
    if groups is not None:
        more = copied.stat().st_size if copied is not None else 0  # it counts as memory then
        group = groups.make(
            GroupLimits(
                memory_bytes=sandbox.limits.memory_bytes + OWN_BYTES + more, processes=PROCESSES
            )
        )
    try:
        descriptors.append(_readable(filter_program(platform.machine())))
        if copied is not None:
            descriptors.append(os.open(copied, os.O_RDONLY))
        command = sandbox.command(
            run,
            filter_fd=descriptors[0],
            program=path,
            program_fd=descriptors[1] if copied is not None else None,
            group=group,
        )
        yield command, tuple(descriptors), group
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
        if group is not None:
            try:
                group.remove()
            except OSError as error:
                log.error("the control group %s does not end: %s", group.joins[0].parent, error)


def _readable(content: bytes) -> int:
    """A descriptor from which `content` is read, less than a pipe holds."""
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
    finally:
        os.close(writing)
    return reading
