"""Processes are isolated and bounded by a host that is not root, too: the tests of it, run as a
user without rights, in control groups that root has given to that user.

Where this machine does not let that be set up, each test says why it is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

USER = 64_001  # nobody's, on any machine that is in order
HERE = Path(__file__).parent
GROUPS = Path("/sys/fs/cgroup")
V1 = ("memory", "pids", "cpu", "cpuacct")
WITHIN_S = 300.0


def own_groups() -> Mapping[str, Path]:
    """Folder of this process's own group, by controller; v1 alone."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = GROUPS / controllers / path.lstrip("/")
    return found


@pytest.fixture
def delegated() -> Iterator[list[Path]]:
    """Groups of USER's own, empty."""
    if os.geteuid() != 0:
        pytest.skip("only root gives control groups away; this user is another one")
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv here (util-linux)")
    own = own_groups()
    missing = [name for name in V1 if name not in own]
    if missing:
        pytest.skip(f"not in control groups of version 1 here: {', '.join(missing)}")
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(own[name] for name in V1):
            group = folder / f"homeport-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError as error:
                pytest.skip(f"no control group can be made: {error}")
            made.append(group)
            for path in (group, *group.iterdir()):
                os.chown(path, USER, USER)
        yield made
    finally:
        for group in reversed(made):
            group.rmdir()


def as_user(folder: Path, groups: list[Path], *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Python as USER, in these groups."""
    folder.mkdir(exist_ok=True)
    os.chown(folder, USER, USER)
    joins = "".join(f"echo $$ > {group / 'cgroup.procs'} && " for group in groups)
    become = f"exec setpriv --reuid={USER} --regid={USER} --clear-groups --"
    return subprocess.run(
        ["/bin/sh", "-c", f'{joins}{become} "$@"', "sh", sys.executable, *command],
        env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


@pytest.mark.parametrize("file", ["test_cgroups.py", "test_processes.py"])
def test_a_host_that_is_not_root_isolates_and_bounds(delegated: list[Path], file: str) -> None:
    folder = Path(f"/tmp/homeport-user-{os.getpid()}")
    try:
        imports = as_user(folder, [], "-c", "import data_sharing.runtimes.processes, pytest")
        if imports.returncode:
            pytest.skip(f"user {USER} may not read this installation: {imports.stderr[-200:]}")
        ran = as_user(
            folder, delegated, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
            "-m", "not slow", "-o", "addopts=", str(HERE / file),
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ran.returncode == 0, ran.stdout[-4_000:] + ran.stderr[-2_000:]
    assert " passed" in ran.stdout
    assert "no control group can be made" not in ran.stdout, ran.stdout[-4_000:]
