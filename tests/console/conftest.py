"""A command line without surroundings, and a service for it to talk to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.main import main
from tests.support.command_line import CommandLine, Ran
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served, serving


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> CommandLine:
    """Runs `homeport` in this process: no profile, no HOMEPORT_ variables, 80 columns."""
    for name in ("SERVER", "TENANT", "TOKEN", "PROFILE"):
        monkeypatch.delenv(f"HOMEPORT_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=told.out, err=told.err)

    return run


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> Iterator[Served]:
    """A provisioning service in memory, which `cli` asks without being told."""
    with serving(FakeProvisioning()) as served:
        monkeypatch.setenv("HOMEPORT_SERVER", served.address)
        yield served
