"""Sandbox of a process: the command that isolates it, of bubblewrap and util-linux.

Namespaces of its own for everything, no network, no capabilities; user and group nobody, and no
further user namespaces. Its root has the system's programs and libraries and nothing else and is
read-only, as are /proc and /dev; there is no /sys. /tmp is in memory and has a size. A system call
filter, and limits by prlimit and by a control group, where there is one. A host that runs as root
becomes nobody outside of the sandbox too, before anything else.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import Refused
from data_sharing.runtimes.cgroups import Cgroup
from data_sharing.runtimes.port import MIB, Capabilities, Limits

NOBODY = 65534
SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/sbin")  # programs and libraries, no /etc
PROGRAM = "/application"
ANSWERS_WITHIN_S = 10.0
PROCESSES = 64
MOST_TMP_BYTES = 64 * MIB
OPEN_FILES = 64
# Joins the groups named before --, then becomes what is named after it.
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 126; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Where the programs are. disables_userns: whether this bubblewrap can forbid further user
    namespaces (0.8 and later); the system call filter forbids them in any case."""

    bwrap: str
    prlimit: str
    setpriv: str
    shell: str
    disables_userns: bool

    @classmethod
    def find(cls, bwrap: str) -> Tools:
        """Blocks for a moment. Raises Refused where one is missing."""
        found = {}
        for name, package in ((bwrap, "bubblewrap"), ("prlimit", "util-linux"),
                              ("setpriv", "util-linux"), ("sh", "dash")):  # fmt: skip
            path = shutil.which(name) or shutil.which(name, path="/usr/bin:/bin")
            if path is None:
                raise Refused(
                    f"this machine cannot isolate processes: {Path(name).name} is missing; "
                    f"install the package {package}, or build the application as wasm"
                )
            found[name] = path
        try:
            said = subprocess.run(
                [found[bwrap], "--help"], capture_output=True, timeout=ANSWERS_WITHIN_S,
                stdin=subprocess.DEVNULL, check=False,
            ).stdout  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"this machine cannot isolate processes: {error}") from None
        return cls(
            bwrap=found[bwrap],
            prlimit=found["prlimit"],
            setpriv=found["setpriv"],
            shell=found["sh"],
            disables_userns=b"--disable-userns" in said,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How the processes of one application are isolated. as_root: whether the host is root."""

    tools: Tools
    limits: Limits
    capabilities: Capabilities
    as_root: bool

    def command(
        self,
        run: Sequence[str],
        *,
        filter_fd: int,
        program: Path | None = None,
        program_fd: int | None = None,
        group: Cgroup | None = None,
    ) -> list[str]:
        """Runs `run`; file descriptors must be inherited. filter_fd: where the system call filter
        is read from; program: what is put at PROGRAM; program_fd: the same, to be copied from,
        for a host whose folders nobody cannot look into."""
        words = []
        if group is not None:
            words += [self.tools.shell, "-c", _JOIN, "sh", *map(str, group.joins), "--"]
        if self.as_root:
            words += [self.tools.setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}",
                      "--clear-groups", "--no-new-privs", "--"]  # fmt: skip
        words += [self.tools.bwrap, *self._isolation(), "--seccomp", str(filter_fd)]
        if program_fd is not None:
            words += ["--perms", "0555", "--ro-bind-data", str(program_fd), PROGRAM]
        elif program is not None:
            words += ["--ro-bind", str(program), PROGRAM]
        # Last: what is read-only before cannot be put into.
        words += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
        return [*words, "--", self.tools.prlimit, *self._bounds(), *run]

    def _isolation(self) -> list[str]:
        words = ["--unshare-all", "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY),
                 "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
                 "--hostname", "application", "--proc", "/proc", "--dev", "/dev",
                 "--size", str(min(MOST_TMP_BYTES, self.limits.memory_bytes)), "--tmpfs", "/tmp",
                 "--chdir", "/tmp"]  # fmt: skip
        if self.tools.disables_userns:
            words.append("--disable-userns")
        for folder in SYSTEM_FOLDERS:
            words += ["--ro-bind-try", folder, folder]
        words += ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]
        for name, value in self.capabilities.environment:
            words += ["--setenv", name, value]
        for grant in self.capabilities.files:
            bind = "--bind" if grant.writable else "--ro-bind"
            words += [bind, grant.host_path, grant.guest_path]
        return words

    def _bounds(self) -> list[str]:
        """Set inside the sandbox: bubblewrap itself needs room, and its children inherit."""
        limits = self.limits
        return [f"--as={limits.memory_bytes}", f"--cpu={max(1, round(limits.cpu_s + 0.5))}",
                f"--fsize={limits.memory_bytes}", f"--nproc={PROCESSES}", "--core=0",
                f"--nofile={OPEN_FILES}"]  # fmt: skip
