"""Ready files: believed for as long as the process that wrote them runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.ready_file import (
    clear_ready_file,
    read_ready_file,
    ready_file_fault,
    started,
    write_ready_file,
)


def test_it_is_json_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ready.json"
    write_ready_file(path, {"grpc": "127.0.0.1:7700"})
    assert read_ready_file(path) == {
        "grpc": "127.0.0.1:7700", "pid": os.getpid(), "started": started(os.getpid()),
    }  # fmt: skip
    write_ready_file(None, {})
    assert [one.name for one in path.parent.iterdir()] == ["ready.json"]


def test_one_of_a_process_that_was_killed_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from control_plane.ready_file import write_ready_file\n"
        "write_ready_file(Path(sys.argv[1]), {}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert path.exists()
    assert read_ready_file(path) is None
    clear_ready_file(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("named", "believed"),
    [
        pytest.param({"pid": os.getpid(), "started": started(os.getpid())}, True, id="ours"),
        pytest.param({"pid": os.getpid(), "started": None}, True, id="its-start-is-not-known"),
        pytest.param({"pid": os.getpid(), "started": 1}, False, id="another-has-its-number-now"),
        pytest.param({"pid": 2**22 + 1, "started": 1}, False, id="no-such-process"),
        pytest.param({"pid": 2**70}, False, id="no-number-of-a-process"),
        pytest.param({"pid": -1}, False, id="everybody"),
        pytest.param({"pid": "12"}, False, id="not-a-number"),
        pytest.param({}, True, id="it-does-not-name-itself"),
    ],
)
def test_whom_it_names(tmp_path: Path, named: dict[str, object], believed: bool) -> None:
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(named))
    assert (read_ready_file(path) is not None) == believed


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "\xff",
        "\0" * 400,
        "[" * 100_000,
        '{"a":' * 100_000,
        f'{{"pid":{"9" * 5_000}}}',
    ],
    ids=["empty", "list", "half", "bytes", "zeros", "deep list", "deep object", "long number"],
)
def test_what_is_no_ready_file_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ready.json"
    assert read_ready_file(path) is None
    path.write_bytes(content.encode("latin-1"))
    assert read_ready_file(path) is None
    assert "no JSON object" in ready_file_fault(path)
    clear_ready_file(path)
    assert not path.exists()


def test_that_of_another_process_that_runs_stays(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    parent = os.getppid()
    path.write_text(json.dumps({"pid": parent, "started": started(parent)}))
    clear_ready_file(path)
    clear_ready_file(None)
    assert path.exists()


@pytest.mark.parametrize("length", range(len(b'{"grpc": "a:1"}')))
def test_a_ready_file_that_is_half_written_is_noticed(tmp_path: Path, length: int) -> None:
    """At whatever byte the writing has come: whoever waits waits on, and can say why."""
    path, whole = tmp_path / "ready.json", b'{"grpc": "a:1"}'
    assert read_ready_file(path) is None
    assert ready_file_fault(path) == ""
    path.write_bytes(whole[:length])
    assert read_ready_file(path) is None
    assert f"half written: {length} bytes" in ready_file_fault(path)
    path.write_bytes(whole)
    assert read_ready_file(path) == {"grpc": "a:1"}
    assert ready_file_fault(path) == ""


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'"x"', b"\xff\xfe", b"{}{}"])
def test_a_ready_file_that_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ready.json"
    path.write_bytes(content)
    assert read_ready_file(path) is None
    assert ready_file_fault(path)
