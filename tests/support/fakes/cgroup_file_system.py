"""A file system of control groups (version 2) in a folder, as far as this code uses one.

Files come and go with their group, controllers reach a group only where its parent hands them
down, a group with processes of its own hands nothing down, and one with processes is not removed.
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

FILES = {
    "memory": {"memory.max": "max\n", "memory.swap.max": "max\n", "memory.events": "oom_kill 0\n"},
    "pids": {"pids.max": "max\n"},
    "cpu": {"cpu.max": "max 100000\n"},
}


class CgroupFileSystem:
    """`proc`: what stands in for /proc/self of a process in the group `own`."""

    def __init__(self, folder: Path, own: str, controllers: str = "cpu memory pids") -> None:
        self.mount, self.proc = folder / "cgroup", folder / "proc"
        self.own = self.mount / own.strip("/")
        self.own.mkdir(parents=True)
        self.proc.mkdir()
        (self.proc / "mountinfo").write_text(
            f"30 23 0:26 / {self.mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
        )
        (self.proc / "cgroup").write_text(f"0::{own}\n")
        self._fill(self.own, controllers)

    def _fill(self, group: Path, controllers: str) -> None:
        files = {"cgroup.controllers": f"{controllers}\n", "cgroup.subtree_control": "",
                 "cgroup.procs": "", "cgroup.type": "domain\n",
                 "cpu.stat": "usage_usec 1500000\nuser_usec 1\n"}  # fmt: skip
        for name in controllers.split():
            files |= FILES.get(name, {})
        for name, content in files.items():
            (group / name).write_text(content)

    def make(self, group: Path) -> None:
        """mkdir."""
        group.mkdir()
        handed = (group.parent / "cgroup.subtree_control").read_text()
        self._fill(group, handed.replace("+", "").strip())

    def remove(self, group: Path) -> None:
        """rmdir."""
        if (group / "cgroup.procs").read_text().strip():
            raise OSError(errno.EBUSY, "Device or resource busy", str(group))
        shutil.rmtree(group)
