"""Help of commands in a terminal of 80 columns: no word of it is cut."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from console.cli.common_options import with_common_options
from console.cli.main import app
from tests.support.command_line import leaves

# Those with the longest names; the slow suite has all.
FEW = ("organisations apply", "up", "compose", "tokens issue")


def cut_words(words: str, command: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What ends in dots in the terminal and not in the texts of the command."""
    context = typer.Context(command, info_name=words)
    capsys.readouterr()
    print(command.get_help(context))
    said = [str(getattr(one, name, "")) for one in command.params for name in ("help", "metavar")]
    own = set(" ".join([command.help or "", *said]).split())
    shown = capsys.readouterr().out.replace("│", " ").split()
    return [one for one in shown if one.endswith("…") and one not in own and one[:-1]]


def helps() -> list[tuple[str, Any]]:
    return [
        (words, command)
        for words, command in leaves(with_common_options(app))
        if not command.context_settings.get("ignore_unknown_options")
    ]


def check(
    commands: list[tuple[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = {words: cut_words(words, command, capsys) for words, command in commands}
    assert {words: cut for words, cut in found.items() if cut} == {}


def test_no_word_of_long_helps_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [one for one in helps() if one[0] in FEW]
    assert len(few) == len(FEW)
    check(few, capsys, monkeypatch)


@pytest.mark.slow
def test_no_word_of_any_help_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(helps(), capsys, monkeypatch)
