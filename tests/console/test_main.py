"""The command tree, and what a process of it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Typer

from console.cli.common_options import with_common_options
from console.cli.main import app
from provisioner.geo.database import bundled_path
from tests.support.command_line import CommandLine, run_process

HEAVY = ("grpc", "google.protobuf", "numpy", "matplotlib", "cryptography", "pydantic", "yaml")


def test_the_tree_is_built_without_what_commands_work_with() -> None:
    """`homeport --help` stays quick because none of this is imported for it."""
    code = f"import console.cli.main, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def commands_of(typer_app: Typer, *above: str) -> Iterator[tuple[str, ...]]:
    """The words of each command that explains itself. Those that pass everything on become
    another program, whose --help it is; called here they would end the tests with it."""
    for command in typer_app.registered_commands:
        settings = command.context_settings or {}
        if not settings.get("ignore_unknown_options"):
            yield (*above, str(command.name))


def every_command() -> list[tuple[str, ...]]:
    """The words of each command of the tree."""
    commands = list(commands_of(app))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        commands += commands_of(group.typer_instance, str(group.name))
    return commands


@pytest.mark.parametrize("words", sorted(every_command()), ids=" ".join)
def test_a_command_explains_itself(cli: CommandLine, words: tuple[str, ...]) -> None:
    ran = cli(*words, "--help")
    assert ran.code == 0
    assert f"Usage: homeport {' '.join(words)}" in ran.out


def test_no_two_parameters_of_a_command_share_a_name() -> None:
    """Values are kept by name: of two the later would be the value of both."""

    def check(command: Any, *words: str) -> None:
        names = [param.name for param in command.params]
        assert len(names) == len(set(names)), (words, names)
        for name, child in getattr(command, "commands", {}).items():
            check(child, *words, name)

    check(with_common_options(app))


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_a_command_is_in_the_reference(words: tuple[str, ...]) -> None:
    reference = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
    assert f"homeport {' '.join(words)}" in reference.read_text()


@pytest.mark.parametrize("program", ["serve", "agent", "share"])
def test_a_wrapped_program_shows_its_own_help(program: str) -> None:
    ran = run_process(program, "--help")
    assert ran.code == 0
    assert f"homeport {program}" in ran.out
    assert "--listen" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["frobnicate"], id="an unknown command"),
        pytest.param(["get"], id="a missing argument"),
        pytest.param(["get", "alice", "--colour", "red"], id="an unknown option"),
        pytest.param(["units"], id="a group without a command"),
    ],
)
def test_wrong_usage_exits_with_two(cli: CommandLine, arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert ran.code == 2


def test_a_reader_that_has_seen_enough_is_no_traceback() -> None:
    """`homeport … | head -1` closes the pipe early."""
    command = [sys.executable, "-m", "console.cli.main", "geo", "info", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err


def test_version_names_what_is_installed(cli: CommandLine) -> None:
    assert set(cli("version", "-o", "json").document) == {"homeport", "python", "grpcio", "modules"}


def test_geo_needs_no_server(cli: CommandLine) -> None:
    """And shows the attribution that the database's licence asks for."""
    found = cli("geo", "lookup", "8.8.8.8", "-o", "json").document
    assert (found["source"], found["country"]) == ("database", "US")
    assert "db-ip.com" in found["attribution"]
    assert "db-ip.com" in cli("geo", "lookup", "8.8.8.8").out
    info = cli("geo", "info", "-o", "json").document
    assert info["ip_version"] == 6
    assert info["locations"] > 1_000


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param(["lookup", "8.8.8"], 2, "not an IPv4 or IPv6 address", id="no address"),
        pytest.param(["info", "--geo", "/nonexistent"], 2, "cannot be read", id="no such file"),
        pytest.param(["info", "--geo", __file__], 2, "not a MaxMind", id="another kind of file"),
    ],
)
def test_geo_says_what_is_wrong(
    cli: CommandLine, arguments: list[str], code: int, complaint: str
) -> None:
    ran = cli("geo", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert complaint in ran.err


def test_doctor_tells_why_metrics_are_not_to_be_had_without_pythons_words(
    cli: CommandLine,
) -> None:
    said = cli("doctor", "--server", "127.0.0.1:1", "--metrics", "127.0.0.1:1").out
    assert "nothing usable at http://127.0.0.1:1: Connection refused" in " ".join(said.split())


def test_doctor_without_a_server_fails_and_says_what_to_do(cli: CommandLine) -> None:
    ran = cli("doctor", "--server", "127.0.0.1:1", "-o", "json")
    assert ran.code == 1
    assert ran.document["healthy"] is False
    checks = {check["check"]: check for check in ran.document["checks"]}
    assert checks["server"]["outcome"] == "fail"
    assert "homeport up" in checks["server"]["next_step"]


@pytest.mark.parametrize("built_at", [0, 1_790_000_000_000, 2**64 - 1])
def test_a_geo_database_with_an_odd_time_of_build_is_described(
    cli: CommandLine, tmp_path: Path, built_at: int
) -> None:
    file = tmp_path / "own.mmdb"
    raw = bundled_path().read_bytes()
    begin = raw.rindex(b"build_epoch") + len(b"build_epoch")
    kind, size = raw[begin : begin + 2], raw[begin] & 31
    number = built_at.to_bytes((built_at.bit_length() + 7) // 8, "big")
    assert kind[0] >> 5 == 0
    file.write_bytes(raw[:begin] + bytes([len(number), kind[1]]) + number + raw[begin + 2 + size :])
    ran = cli("geo", "info", "--geo", str(file), "-o", "json")
    assert ran.code == 0
    assert (ran.document["built"], ran.document["age_days"]) == (None, None)
    assert "not a time in seconds" in ran.document["build_epoch_fault"]
    assert "Traceback" not in cli("geo", "info", "--geo", str(file)).err
