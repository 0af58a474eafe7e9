"""`homeport apps build` from a shell: what it prints, and its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from console.cli.failure import ExitCode
from console.cli.main import main

SAMPLE = Path(__file__).parents[2] / "data-sharing" / "applications" / "coffee"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_folder_without_an_application_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("apps", "build", str(tmp_path)) != ExitCode.DONE
    assert "application.py" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is missing")
def test_it_says_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = tmp_path / "coffee.wasm"
    code = run("apps", "build", str(SAMPLE), "--into", str(into), "--output", "json")
    printed = capsys.readouterr()
    if "rustup target add" in printed.err:
        pytest.skip("Rust's target wasm32-wasip1 is missing")
    assert code == ExitCode.DONE
    said = json.loads(printed.out)
    assert (said["kind"], said["language"], said["fresh"]) == ("wasi-command", "rust", True)
    assert said["size_bytes"] == into.stat().st_size
