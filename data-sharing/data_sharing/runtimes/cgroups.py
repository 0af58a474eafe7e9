"""Control groups: what all processes of one invocation together may use of the machine.

A group has a limit of memory, of processes and of CPU, and knows what was used. Version 2 needs a
group that was delegated to this process (systemd: Delegate=yes); it moves itself into a subgroup,
because a group with subgroups for others may hold no processes of its own. Version 1 needs the
controllers' folders to be writable. Where neither is so, that is said, with the reason.
https://docs.kernel.org/admin-guide/cgroup-v2.html, …/cgroup-v1/
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import Refused

CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
EMPTY_WITHIN_S = 5.0
_OWN = "homeport.host"  # the subgroup into which the host moves itself
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """memory_bytes: pages of files in memory included; cpus: how many processors' worth of time."""

    memory_bytes: int
    processes: int
    cpus: float = 1.0


class Cgroup:
    """One group. A process joins it by writing its id into each of `joins`."""

    def __init__(
        self, folders: Mapping[str, Path], remove_folder: Callable[[Path], None] = Path.rmdir
    ) -> None:
        """Its folder by controller; one and the same for all in version 2."""
        self._folders = folders
        self._remove_folder = remove_folder
        self.joins = tuple(folder / "cgroup.procs" for folder in dict.fromkeys(folders.values()))

    def cpu_s(self) -> float | None:
        """Processor time used by all that ever was in it; None where that is not counted."""
        accounted = self._folders.get("cpuacct")
        if accounted is not None:
            used = _read(accounted / "cpuacct.usage")
            return int(used) / 1e9 if used else None
        used_us = _field(self._folders["cpu"] / "cpu.stat", "usage_usec")
        return None if used_us is None else used_us / 1e6

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of it for want of memory."""
        folder = self._folders["memory"]
        for name in ("memory.events", "memory.oom_control"):
            if _field(folder / name, "oom_kill"):
                return True
        return False

    def remove(self) -> None:
        """Ends what is in it still, and removes it. Raises OSError where it does not end."""
        deadline_s = time.monotonic() + EMPTY_WITHIN_S
        for folder in dict.fromkeys(self._folders.values()):
            while folder.is_dir():
                for line in _read(folder / "cgroup.procs").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(line), signal.SIGKILL)
                try:
                    self._remove_folder(folder)
                except OSError:
                    if time.monotonic() > deadline_s:
                        raise
                    time.sleep(0.002)


class Cgroups:
    """Where this process may make groups: the folder of its own group, by controller."""

    def __init__(
        self,
        parents: Mapping[str, Path],
        make_folder: Callable[[Path], None] = Path.mkdir,
        remove_folder: Callable[[Path], None] = Path.rmdir,
    ) -> None:
        """make_folder, remove_folder: as the kernel's file system of control groups does it,
        where files come and go with their folder."""
        self._parents = parents
        self._make_folder = make_folder
        self._remove_folder = remove_folder

    @classmethod
    def find(
        cls,
        proc: Path = Path("/proc/self"),
        make_folder: Callable[[Path], None] = Path.mkdir,
        remove_folder: Callable[[Path], None] = Path.rmdir,
    ) -> Cgroups:
        """Of this process, as `proc` tells. Raises Refused with the reason where it may make
        none that limit memory, processes and CPU."""
        try:
            mounts, memberships = _mounts(proc), _memberships(proc)
        except (OSError, ValueError, IndexError) as error:
            raise Refused(f"there are no control groups: {error}") from None
        if all(name in mounts and name in memberships for name in CONTROLLERS):
            counted = [name for name in ("cpuacct",) if name in mounts and name in memberships]
            parents = {
                name: _inside(*mounts[name], memberships[name]) for name in (*CONTROLLERS, *counted)
            }
        elif "" in mounts and "" in memberships:
            own = _inside(*mounts[""], memberships[""])
            parents = dict.fromkeys(CONTROLLERS, _delegated(own, make_folder))
        else:
            raise Refused("no control groups for memory, pids and cpu are mounted")
        found = cls(parents, make_folder, remove_folder)
        found._remove_left()
        found.make(GroupLimits(memory_bytes=1 << 26, processes=8)).remove()
        return found

    def _remove_left(self) -> None:
        """Removes the empty groups of hosts that were killed."""
        for parent in set(self._parents.values()):
            for folder in parent.glob("homeport-*-*"):
                owner = folder.name.split("-")[1]
                if owner.isdigit() and not Path("/proc", owner).exists():
                    with contextlib.suppress(OSError):
                        self._remove_folder(folder)

    def make(self, limits: GroupLimits) -> Cgroup:
        """A new, empty group. Raises Refused with the reason."""
        name = f"homeport-{os.getpid()}-{next(_numbers)}"
        folders = {controller: parent / name for controller, parent in self._parents.items()}
        group = Cgroup(folders, self._remove_folder)
        try:
            for joined in group.joins:
                self._make_folder(joined.parent)
            quota_us = round(limits.cpus * CPU_PERIOD_US)
            memory, pids, cpu = (folders[controller] for controller in CONTROLLERS)
            _write(pids / "pids.max", limits.processes)
            if memory == cpu:
                _write(memory / "memory.max", limits.memory_bytes)
                _write_where_there(memory / "memory.swap.max", 0)
                _write(cpu / "cpu.max", f"{quota_us} {CPU_PERIOD_US}")
            else:
                _write(memory / "memory.limit_in_bytes", limits.memory_bytes)
                _write_where_there(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
                _write(cpu / "cpu.cfs_period_us", CPU_PERIOD_US)
                _write(cpu / "cpu.cfs_quota_us", quota_us)
        except OSError as error:
            with contextlib.suppress(OSError):
                group.remove()
            raise Refused(
                f"no control group can be made: {error.filename}: {error.strerror}"
            ) from None
        return group


def _mounts(proc: Path) -> dict[str, tuple[str, Path]]:
    """Root within the hierarchy and mount point, by controller; "" for version 2."""
    found: dict[str, tuple[str, Path]] = {}
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            found.setdefault("", (root, Path(point)))
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, (root, Path(point)))
    return found


def _memberships(proc: Path) -> dict[str, str]:
    """The group of this process within the hierarchy, by controller; "" for version 2."""
    found: dict[str, str] = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _inside(root: str, point: Path, path: str) -> Path:
    """The folder of a group. Raises Refused where what is mounted does not show it."""
    below = os.path.relpath(path, root)
    if below.startswith(".."):
        raise Refused(f"the control group {path} is not visible at {point}")
    return point / below


def _delegated(own: Path, make_folder: Callable[[Path], None]) -> Path:
    """The group below which groups can be made, its controllers switched on for them. Raises
    Refused."""
    parent = own.parent if own.name == _OWN else own
    missing = set(CONTROLLERS) - set(_read(parent / "cgroup.controllers").split())
    if missing:
        raise Refused(
            f"the control group {parent} was not given {', '.join(sorted(missing))}; "
            "delegate them (systemd: Delegate=yes)"
        )
    off = set(CONTROLLERS) - set(_read(parent / "cgroup.subtree_control").split())
    if off:
        try:
            if (parent / "cgroup.type").exists():  # not the root of all, which may hold processes
                with contextlib.suppress(FileExistsError):
                    make_folder(parent / _OWN)
                _write(parent / _OWN / "cgroup.procs", os.getpid())
            _write(parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(off)))
        except OSError as error:
            raise Refused(
                f"the control group {parent} cannot be divided ({error.strerror}); give this "
                "process one of its own (systemd: Delegate=yes)"
            ) from None
    return parent


def _read(path: Path) -> str:
    """Empty where there is nothing to be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _field(path: Path, name: str) -> int | None:
    for line in _read(path).splitlines():
        if line.split()[0] == name:
            return int(line.split()[1])
    return None


def _write(path: Path, value: int | str) -> None:
    handle = os.open(path, os.O_WRONLY)  # never creates: these files come with the folder
    try:
        os.write(handle, f"{value}\n".encode())
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(handle)


def _write_where_there(path: Path, value: int | str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _write(path, value)
