"""Files and stdin that commands read: bounded, and `-` wherever a file can be named."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import STDIN, check_stdin_once, read_text
from control_plane.fleet import file as fleet_file
from control_plane.yaml_files import MOST_BYTES
from tests.support.command_line import CommandLine

NOBODY = "127.0.0.1:1"
UNIT = """
units:
  - {id: eu, position: {latitude: 53, longitude: -6}, country: IE, capacity: 9, endpoint: "e.x:443"}
"""
RULES = "rules: [{rule: r, watch: {a: {feed: x}}, when: 'true', do: []}]"
# Every command that reads whole files, with stdin in the place of each.
FROM_STDIN = [
    ["units", "apply", "-f", "-"],
    ["units", "apply", "-"],
    ["rules", "apply", "-"],
    ["rules", "apply", "-f", "-"],
    ["rules", "test", "-", __file__],
    ["rules", "test", __file__, "--manifest", "-", __file__],
    ["rules", "backtest", "-"],
    ["rules", "backtest", __file__, "--plan", "-"],
    ["plans", "create", "-"],
    ["plans", "create", "--file", "-"],
    ["apps", "submit", "-"],
    ["apps", "submit", __file__, "--artifact", "-"],
]


def test_a_text_is_read_to_its_bound_and_no_further(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("é" * 50)
    assert read_text(file, most_bytes=100) == "é" * 50
    with pytest.raises(CommandFailed, match="larger than 99 bytes") as failed:
        read_text(file, most_bytes=99)
    assert failed.value.code is ExitCode.USAGE


def test_what_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(CommandFailed, match="/dev/zero is larger"):
        read_text(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff", "stdin cannot be read: it is not UTF-8"), (b"x" * 9, "stdin is larger than 8")],
)
def test_stdin_is_called_that(content: bytes, words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        read_text(STDIN, most_bytes=8, stdin=io.BytesIO(content))


def test_a_process_without_stdin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CommandFailed, match="no stdin"):
        read_text(STDIN)


def test_stdin_can_be_one_file_alone(cli: CommandLine) -> None:
    check_stdin_once([STDIN, Path("a")])
    with pytest.raises(CommandFailed, match="only one"):
        check_stdin_once([STDIN, Path("a"), STDIN])
    assert cli("rules", "test", "-", "-").code == 2
    assert cli("rules", "backtest", "-", "--plan", "-").code == 2


@pytest.mark.parametrize("words", FROM_STDIN, ids=" ".join)
def test_stdin_above_the_bound_is_wrong_usage(cli: CommandLine, words: list[str]) -> None:
    ran = cli(*words, stdin=b"x" * (300 << 20 if "--artifact" in words else 9 << 20))
    assert (ran.code, ran.out) == (2, "")
    assert "stdin is larger than" in ran.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["units", "apply", "-f", "-", "--server", NOBODY], UNIT),
        (["rules", "apply", "-", "--server", NOBODY], RULES),
        (["rules", "backtest", "-", "--server", NOBODY], RULES),
        (["plans", "create", "-f", "-", "--server", NOBODY], "plan: x"),
        (["apps", "submit", "-", "--server", NOBODY], "application: x"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_what_stdin_says_is_brought_to_the_service(
    cli: CommandLine, words: list[str], text: str
) -> None:
    """There is none: so it was read, and was not at fault."""
    ran = cli(*words, stdin=text.encode())
    assert ran.code == 5, ran.err


def test_a_fault_in_stdin_names_it(cli: CommandLine) -> None:
    ran = cli("units", "apply", "-f", "-", stdin=b"units: 3")
    assert ran.code == 2
    assert "stdin: needs a list" in ran.err


@pytest.mark.parametrize("words", [["units", "apply"], ["rules", "apply"], ["plans", "create"]])
def test_the_file_is_given_once(cli: CommandLine, words: list[str]) -> None:
    assert "which file" in cli(*words).err
    ran = cli(*words, __file__, "-f", __file__)
    assert ran.code == 2
    assert "once" in ran.err


def test_a_fleet_file_above_the_bound_is_not_read(tmp_path: Path) -> None:
    """Servers and agents read fleet files by themselves."""
    large = tmp_path / "fleet.yaml"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(fleet_file.BadFleetFile, match="larger than"):
        fleet_file.read_fleet(large)
