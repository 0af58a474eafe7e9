"""Control groups: real ones where this machine lets us make them, and version 2 on a file system
that behaves like the kernel's."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.errors import Refused
from data_sharing.runtimes.cgroups import Cgroup, Cgroups, GroupLimits
from tests.support.fakes.cgroup_file_system import CgroupFileSystem

LIMITS = GroupLimits(memory_bytes=64 << 20, processes=6, cpus=0.5)


@pytest.fixture
def group() -> Iterator[Cgroup]:
    try:
        made = Cgroups.find().make(LIMITS)
    except Refused as error:
        pytest.skip(error.message)
    yield made
    made.remove()
    assert not any(joined.parent.exists() for joined in made.joins)


def joined(group: Cgroup, script: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """A shell that joins the group and goes on there."""
    joins = "; ".join(f"echo $$ > {path}" for path in group.joins)
    return subprocess.run(
        ["bash", "-c", f"{joins}; {script}"], capture_output=True, text=True, timeout=timeout_s,
        check=False,
    )  # fmt: skip


def test_processes_are_counted(group: Cgroup) -> None:
    ran = joined(group, "for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait")
    assert "Resource temporarily unavailable" in ran.stderr


def test_memory_is_bounded_for_all_together(group: Cgroup) -> None:
    assert not group.ran_out_of_memory()
    hold = "(head -c 40000000 /dev/zero; sleep 3) | tail -c 40000000 > /dev/null & "
    joined(group, f"{hold} {hold} wait")
    assert group.ran_out_of_memory()


def test_cpu_is_counted_and_bounded(group: Cgroup) -> None:
    began = time.monotonic()
    joined(group, "timeout 1 bash -c 'while :; do :; done'")
    used_s, passed_s = group.cpu_s() or 0.0, time.monotonic() - began
    assert 0.0 < used_s < 0.5 * passed_s + 0.3


def test_removing_ends_what_is_in_it(group: Cgroup) -> None:
    joins = "; ".join(f"echo $$ > {path}" for path in group.joins)
    with subprocess.Popen(["bash", "-c", f"{joins}; echo in; exec sleep 60"],
                          stdout=subprocess.PIPE) as sleeper:  # fmt: skip
        assert sleeper.stdout
        assert sleeper.stdout.readline() == b"in\n"
        group.remove()
        assert sleeper.wait(10) == -9


def find(system: CgroupFileSystem) -> Cgroups:
    return Cgroups.find(system.proc, system.make, system.remove)


def test_in_version_2_the_host_makes_room_for_groups_and_limits_them(tmp_path: Path) -> None:
    system = CgroupFileSystem(tmp_path, "/system.slice/platform.service")
    made = find(system).make(LIMITS)
    (joins,) = made.joins
    assert joins.parent.parent == system.own
    assert (system.own / "homeport.host/cgroup.procs").read_text() == f"{os.getpid()}\n"
    assert (system.own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids\n"
    limits = {name: (joins.parent / name).read_text().split("\n")[0]
              for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max")}  # fmt: skip
    assert limits == {
        "memory.max": str(64 << 20), "memory.swap.max": "0",
        "pids.max": "6", "cpu.max": "50000 100000",
    }  # fmt: skip
    assert made.cpu_s() == 1.5
    assert not made.ran_out_of_memory()
    (joins.parent / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert made.ran_out_of_memory()
    made.remove()
    assert not joins.parent.exists()


def test_in_version_2_a_host_that_made_room_before_is_not_nested_deeper(tmp_path: Path) -> None:
    system = CgroupFileSystem(tmp_path, "/own")
    find(system)
    (system.proc / "cgroup").write_text("0::/own/homeport.host\n")
    (joins,) = find(system).make(LIMITS).joins
    assert joins.parent.parent == system.own


@pytest.mark.parametrize(
    ("controllers", "missing"),
    [("", "cpu, memory, pids"), ("hugetlb memory", "cpu, pids"), ("cpu io memory", "pids")],
)
def test_what_was_not_delegated_is_named(tmp_path: Path, controllers: str, missing: str) -> None:
    system = CgroupFileSystem(tmp_path, "/own", controllers)
    with pytest.raises(Refused, match=f"was not given {missing}; delegate them"):
        find(system)


def test_a_group_that_cannot_be_divided_is_said_to_be_that(tmp_path: Path) -> None:
    system = CgroupFileSystem(tmp_path, "/own")
    (system.own / "cgroup.subtree_control").unlink()
    with pytest.raises(Refused, match=r"cannot be divided .*Delegate=yes"):
        find(system)


@pytest.mark.parametrize(
    ("mountinfo", "membership", "said"),
    [
        pytest.param("", "", "are mounted", id="none"),
        pytest.param("30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", "0::/\n", "are mounted",
                     id="a-folder-without-any"),
        pytest.param("30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/b\n",
                     "not visible", id="another-container's"),
        pytest.param("garbage\n", "0::/\n", "no control groups", id="what-is-no-mount"),
    ],
)  # fmt: skip
def test_without_groups_the_reason_is_told(
    tmp_path: Path, mountinfo: str, membership: str, said: str
) -> None:
    (tmp_path / "mountinfo").write_text(mountinfo)
    (tmp_path / "cgroup").write_text(membership)
    with pytest.raises(Refused, match=said):
        Cgroups.find(tmp_path)


def test_a_place_without_proc_has_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no control groups"):
        Cgroups.find(tmp_path / "absent")


def test_groups_of_hosts_that_were_killed_are_removed(tmp_path: Path) -> None:
    system = CgroupFileSystem(tmp_path, "/own")
    find(system)
    system.make(system.own / "homeport-999999999-0")  # beyond the highest id there is
    system.make(system.own / f"homeport-{os.getpid()}-999")
    find(system)
    left = sorted(one.name for one in system.own.glob("homeport-*"))
    assert left == [f"homeport-{os.getpid()}-999"]
