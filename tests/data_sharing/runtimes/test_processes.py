"""A process runs isolated, or not at all. Where this machine cannot isolate, what needs it is
skipped, with the reason."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, Refused
from data_sharing.runtimes.cgroups import Cgroups
from data_sharing.runtimes.port import (
    MIB,
    Artifact,
    ArtifactKind,
    Capabilities,
    FileGrant,
    InvocationStatus,
    Limits,
)
from data_sharing.runtimes.processes import ProcessPolicy, ProcessRuntime
from tests.support.processes import GRANTED, LIMITS, OPEN, install
from tests.support.wasm_guests import asks

TRUE = Artifact.of(ArtifactKind.PROCESS, b"#!/bin/true\n")
ROOT = 0
ANYWHERE = ProcessPolicy(allowed=True, as_root=True, without_cgroup=True)


def test_json_comes_in_and_goes_out(tmp_path: Path) -> None:
    outcome = install(tmp_path, "cat").invoke(asks([1]))
    assert outcome.value == {"action": "act", "key": "k-1", "input": [1]}


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        pytest.param("while :; do :; done", InvocationStatus.TIMED_OUT, "of CPU", id="loops"),
        pytest.param("head -c 50000000 /dev/zero", InvocationStatus.BAD_OUTPUT, "larger than 10000",
                     id="prints-megabytes"),
        pytest.param("echo junk", InvocationStatus.BAD_OUTPUT, "not one JSON", id="prints-junk"),
        pytest.param("exit 4", InvocationStatus.FAILED, "exit code 4", id="exits-with-a-code"),
        pytest.param("kill -SEGV $$", InvocationStatus.TRAPPED, "signal 11", id="crashes"),
    ],
)  # fmt: skip
def test_bad_behaviour_has_its_outcome(
    tmp_path: Path, script: str, status: InvocationStatus, message: str
) -> None:
    outcome = install(tmp_path, script, LIMITS).invoke(asks())
    assert outcome.status is status, outcome
    assert message in outcome.message


def test_what_sleeps_is_stopped(tmp_path: Path) -> None:
    limits = Limits(wall_s=0.5, memory_bytes=256 * MIB)
    outcome = install(tmp_path, "sleep 100 & sleep 100", limits).invoke(asks())
    assert outcome.status is InvocationStatus.TIMED_OUT


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("touch /usr/x", id="writing-the-system"),
        pytest.param("ls /root /home", id="reading-homes"),
        pytest.param("cat /etc/passwd", id="reading-etc"),
        pytest.param("echo > /dev/tcp/127.0.0.1/22", id="connecting"),
        pytest.param("test -n \"$HOMEPORT_TEST\"", id="the-environment"),
        pytest.param("test $(grep -c : /proc/net/dev) -gt 1", id="a-network-device"),
    ],
)  # fmt: skip
def test_nothing_is_there(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPORT_TEST", "leaked")
    outcome = install(tmp_path, f"{script} && echo 1").invoke(asks())
    assert outcome.status is InvocationStatus.FAILED, outcome


def test_its_tmp_is_its_own_and_gone_afterwards(tmp_path: Path) -> None:
    installed = install(tmp_path, "ls /tmp | wc -l; touch /tmp/left")
    assert [installed.invoke(asks()).value for _ in range(2)] == [0, 0]


def test_what_takes_all_memory_runs_out_of_it(tmp_path: Path) -> None:
    patient = Limits(cpu_s=20, wall_s=60, memory_bytes=256 * MIB)
    outcome = install(tmp_path, "x=$(head -c 1000000000 /dev/zero | tr '\\0' x); echo 1", patient)
    ended = outcome.invoke(asks())
    assert ended.status is InvocationStatus.OUT_OF_MEMORY, ended
    assert "268435456 bytes" in ended.message


def test_nothing_runs_as_a_process_unless_an_operator_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--allow-processes"):
        ProcessRuntime(tmp_path).install(TRUE, LIMITS, GRANTED)


def test_a_host_that_is_root_runs_nothing_unless_its_operator_says_so(tmp_path: Path) -> None:
    runtime = ProcessRuntime(
        tmp_path, ProcessPolicy(allowed=True, without_cgroup=True), user=lambda: ROOT
    )
    with pytest.raises(Refused, match=r"runs as root.*--allow-root-sandbox"):
        runtime.install(TRUE, LIMITS, GRANTED)


def test_a_host_that_is_root_grants_no_files(tmp_path: Path) -> None:
    files = (FileGrant(host_path=str(tmp_path), guest_path="/data"),)
    wanted = Capabilities(clock=True, random=True, files=files)
    with pytest.raises(Refused, match="no files can be granted"):
        ProcessRuntime(tmp_path, OPEN, user=lambda: ROOT).install(TRUE, LIMITS, wanted)


def no_groups() -> Cgroups:
    raise Refused("the control group /x was not given memory")


def test_without_control_groups_it_is_refused_with_the_reason(tmp_path: Path) -> None:
    policy = ProcessPolicy(allowed=True, as_root=True)
    runtime = ProcessRuntime(tmp_path, policy, find_groups=no_groups)
    with pytest.raises(Refused, match=r"was not given memory; .*--allow-processes-without-cgroup"):
        runtime.install(TRUE, LIMITS, GRANTED)


def test_without_control_groups_resource_limits_bound_it_where_that_is_allowed(
    tmp_path: Path,
) -> None:
    script = "for i in $(seq 100); do sleep 5 & done 2>/dev/null; jobs -r | wc -l"
    installed = install(tmp_path, script, find_groups=no_groups)
    outcome = installed.invoke(asks())
    assert outcome.cpu_s == 0.0, "nobody counts it"
    assert outcome.status is not InvocationStatus.DONE or outcome.value < 100, outcome


def test_without_bubblewrap_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="install the package bubblewrap"):
        ProcessRuntime(tmp_path, ANYWHERE, bwrap="no-such-bwrap").install(TRUE, Limits(), GRANTED)


def test_where_namespaces_are_forbidden_it_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # where nobody can look, too
        os.chmod(folder, 0o755)
        fake = Path(folder, "bwrap")
        fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespace' >&2\nexit 1\n")
        fake.chmod(0o755)
        runtime = ProcessRuntime(Path(folder, "kept"), ANYWHERE, bwrap=str(fake))
        with pytest.raises(Refused, match="No permissions to create namespace"):
            runtime.install(TRUE, Limits(), GRANTED)


def test_what_cannot_be_withheld_must_be_granted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="grant both"):
        ProcessRuntime(tmp_path, ANYWHERE).install(TRUE, Limits(), Capabilities())
