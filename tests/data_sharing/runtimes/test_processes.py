"""A process runs isolated, or not at all. Where this machine cannot isolate, what needs it is
skipped, with the reason."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, Refused
from data_sharing.runtimes.port import (
    MIB,
    Artifact,
    ArtifactKind,
    Capabilities,
    InvocationStatus,
    Limits,
)
from data_sharing.runtimes.processes import InstalledProcess, ProcessRuntime
from tests.support.wasm_guests import asks

GRANTED = Capabilities(clock=True, random=True)
LIMITS = Limits(cpu_s=1, wall_s=20, memory_bytes=256 * MIB, output_bytes=10_000)
TRUE = Artifact.of(ArtifactKind.PROCESS, b"#!/bin/true\n")


def install(folder: Path, script: str, limits: Limits = LIMITS) -> InstalledProcess:
    artifact = Artifact.of(ArtifactKind.PROCESS, b"#!/bin/bash\n" + script.encode())
    try:
        return ProcessRuntime(folder).install(artifact, limits, GRANTED)
    except Refused as error:
        pytest.skip(error.message)


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
        pytest.param("x=$(head -c 1000000000 /dev/zero | tr '\\0' x); echo 1",
                     InvocationStatus.OUT_OF_MEMORY, "268435456 bytes", id="takes-all-memory"),
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


def test_without_bubblewrap_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="install the package bubblewrap"):
        ProcessRuntime(tmp_path, bwrap="no-such-bwrap").install(TRUE, Limits(), GRANTED)


def test_where_namespaces_are_forbidden_it_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(Refused, match="No permissions to create new namespace"):
        ProcessRuntime(tmp_path, bwrap=str(fake)).install(TRUE, Limits(), GRANTED)


def test_what_cannot_be_withheld_must_be_granted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="grant both"):
        ProcessRuntime(tmp_path).install(TRUE, Limits(), Capabilities())
