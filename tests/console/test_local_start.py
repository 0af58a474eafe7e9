"""Commands typed while `homeport up` is still starting wait for it, and say where it takes long."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from console.cli.failure import CommandFailed, ExitCode
from console.cli.local_start import wait_for_start
from control_plane.ready_file import write_ready_file

SERVER = "127.0.0.1:7700"


def record(folder: Path, *, starting: bool) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    content = {"addresses": [SERVER], "ca": "ca.pem", "token": "t", "starting": starting}
    write_ready_file(folder / "a.json", content, serves=not starting)


def test_a_command_waits_until_the_stack_serves(tmp_path: Path) -> None:
    folder, waited = tmp_path / "records", []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            record(folder, starting=False)

    record(folder, starting=True)
    wait_for_start([SERVER], folder, sleep=sleep)
    assert len(waited) == 3


@pytest.mark.parametrize("what", ["nothing", "one that serves", "another one", "one that is gone"])
def test_or_does_not_wait(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "records"
    if what != "nothing":
        record(folder, starting=what != "one that serves")
    if what == "one that is gone":
        path = folder / "a.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "started": 1}))
        os.chmod(path, 0o600)
    servers = ["127.0.0.1:7800"] if what == "another one" else [SERVER]
    wait_for_start(servers, folder, sleep=lambda seconds: pytest.fail("it waits"))


def test_one_that_takes_long_is_said(tmp_path: Path) -> None:
    folder, now = tmp_path / "records", [0.0]
    record(folder, starting=True)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(CommandFailed, match="still starting") as failed:
        wait_for_start([SERVER], folder, limit_s=2, clock=lambda: now[0], sleep=sleep)
    assert failed.value.code is ExitCode.UNAVAILABLE
