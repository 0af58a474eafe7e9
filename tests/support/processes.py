"""Applications of kind process for tests: scripts in the sandbox as operators switch it on.

Tests may run as root, so the host may be, too (its applications are nobody then). Where this
machine cannot isolate or bound processes, what needs it is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane.errors import Refused
from data_sharing.runtimes.cgroups import Cgroups
from data_sharing.runtimes.port import MIB, Artifact, ArtifactKind, Capabilities, Limits
from data_sharing.runtimes.processes import InstalledProcess, ProcessPolicy, ProcessRuntime

OPEN = ProcessPolicy(allowed=True, as_root=True)
GRANTED = Capabilities(clock=True, random=True)
LIMITS = Limits(cpu_s=1, wall_s=20, memory_bytes=256 * MIB, output_bytes=10_000)


def install(
    folder: Path,
    script: str,
    limits: Limits = LIMITS,
    *,
    interpreter: str = "/bin/bash",
    find_groups: Callable[[], Cgroups] | None = None,
) -> InstalledProcess:
    """A script, ready to run. find_groups: of the machine's own; given: control groups are not
    asked for."""
    artifact = Artifact.of(ArtifactKind.PROCESS, f"#!{interpreter}\n{script}".encode())
    runtime = ProcessRuntime(folder, OPEN)
    if find_groups is not None:
        policy = ProcessPolicy(allowed=True, as_root=True, without_cgroup=True)
        runtime = ProcessRuntime(folder, policy, find_groups=find_groups)
    try:
        return runtime.install(artifact, limits, GRANTED)
    except Refused as error:
        pytest.skip(error.message)
