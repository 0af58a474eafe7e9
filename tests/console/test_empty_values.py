"""What is given and empty is refused before anybody is asked, and never means the default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.cli.common_options import with_common_options
from console.cli.empty_values import takes_empty
from console.cli.main import app
from tests.support.command_line import CommandLine

NOBODY = "127.0.0.1:1"


def leaves(command: Any, *above: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(above), command
        return
    for name, child in children.items():
        yield from leaves(child, *above, name)


COMMANDS = [
    (words, command)
    for words, command in leaves(with_common_options(app))
    if not command.context_settings.get("ignore_unknown_options")
]
OPTIONS = [
    pytest.param(words, param.opts[0], id=f"{words} {param.opts[0]}")
    for words, command in COMMANDS
    for param in command.params
    if param.opts[0].startswith("--")
    and not getattr(param, "is_flag", False)
    and not takes_empty(param)
]


def test_where_empty_is_a_value_is_known() -> None:
    """Of each the help says what it means."""
    found = {(words, one.opts[0]) for words, command in COMMANDS for one in command.params
             if takes_empty(one)}  # fmt: skip
    assert found == {("apps deprecate", "--reason")}


def test_there_are_many_options() -> None:
    assert len(OPTIONS) > 400


@pytest.mark.parametrize(("words", "option"), OPTIONS[::7])
def test_an_option_that_is_empty_exits_with_two(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: str, option: str
) -> None:
    """Of every seventh; the next test sees to the others."""
    monkeypatch.setenv("HOMEPORT_SERVER", NOBODY)
    monkeypatch.setenv("HOMEPORT_DATA_SERVER", NOBODY)
    ran = cli(*words.split(), f"{option}=")
    assert (ran.code, ran.out) == (2, "")
    assert "it is empty; give it a value" in " ".join(ran.err.replace("│", " ").split())
    assert option in ran.err


def test_every_option_and_argument_is_checked() -> None:
    unchecked = [
        (words, param.opts[0])
        for words, command in COMMANDS
        for param in command.params
        if not takes_empty(param) and getattr(param.process_value, "func", None) is None
    ]
    assert unchecked == []


@pytest.mark.parametrize(
    "words",
    [
        ["get", ""],
        ["units", "show", ""],
        ["geo", "lookup", ""],
        ["rules", "apply", ""],
        ["provision", "alice", "--label", "a=b", "--server", ""],
    ],
    ids=lambda words: " ".join(words),
)
def test_an_argument_that_is_empty_exits_with_two(cli: CommandLine, words: list[str]) -> None:
    ran = cli(*words)
    assert (ran.code, ran.out) == (2, "")


def test_an_environment_variable_that_is_empty_counts_as_not_set(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config" / "homeport" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'default_profile = "a"\n[profiles.a]\nserver = "{NOBODY}"\n')
    command = dict(COMMANDS)["get"]
    named = {str(one.envvar) for one in command.params if one.envvar}
    assert {"HOMEPORT_CLI_CONFIG", "HOMEPORT_SERVER", "HOMEPORT_TOKEN_FILE"} <= named
    for name in named:
        monkeypatch.setenv(name, "")
    assert NOBODY in cli("get", "alice").err
