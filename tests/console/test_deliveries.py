"""`homeport deliveries`: without a server, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine

RECIPIENT = """
addresses:
  - {channel: mail, address: anna@mail.example}
  - {channel: in_app}
quiet_hours: {from: 22:00, to: 07:00, time_zone: Europe/London}
active: {in_app: 2026-11-28T11:59:30Z}
"""
RULES = """
rules:
  - name: no strangers
    when: "!sender.contact"
    then: {withhold: true}
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {"message": "class: chat", "recipient": RECIPIENT, "rules": RULES}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in contents}


AT = ("--at", "2026-11-28T12:00:00Z")


def test_a_plan_is_shown_to_people(cli: CommandLine, files: dict[str, str]) -> None:
    words = ("deliveries", "route", files["message"], "--recipient", files["recipient"])
    ran = cli(*words, *AT)
    assert ran.code == 0
    assert "anna@mail.example" in ran.out
    assert "on in_app 30 s ago" in ran.out


def test_a_plan_is_shown_to_programs(cli: CommandLine, files: dict[str, str]) -> None:
    words = ("deliveries", "route", "-f", files["message"], "--recipient", files["recipient"])
    ran = cli(*words, "--at", "2026-11-28T23:00:00Z", "-o", "json")
    assert [one["channel"] for one in ran.document["steps"]] == ["mail", "in_app"]
    assert ran.document["steps"][0]["at"] == "2026-11-29T07:00:00Z"
    assert ran.document["no_route"] is None


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_what_a_rule_withholds_exits_with_four(
    cli: CommandLine, files: dict[str, str], output: str
) -> None:
    words = ("deliveries", "route", files["message"], "--recipient", files["recipient"])
    ran = cli(*words, "--rules", files["rules"], *AT, "-o", output)
    assert ran.code == 4
    assert "withheld" in ran.out
    assert "no strangers" in ran.out


@pytest.mark.parametrize("name", ["message", "recipient", "rules"])
def test_a_fault_names_the_file_and_the_place(
    cli: CommandLine, files: dict[str, str], name: str
) -> None:
    Path(files[name]).write_text("colour: red")
    words = ("deliveries", "route", files["message"], "--recipient", files["recipient"])
    ran = cli(*words, "--rules", files["rules"])
    assert (ran.code, ran.out) == (2, "")
    assert f"{files[name]}: {name.replace('recipient', 'profile')}: " in ran.err


def test_stdin_is_one_file_only(cli: CommandLine) -> None:
    ran = cli("deliveries", "route", "-", "--recipient", "-")
    assert ran.code == 2
    assert "stdin can be only one" in ran.err


def test_what_is_said_of_a_channel_cannot_control_the_terminal(
    cli: CommandLine, files: dict[str, str]
) -> None:
    Path(files["recipient"]).write_text(
        'addresses: [{channel: mail, address: "a\\u001b[2J\\u202eb"}]'
    )
    ran = cli("deliveries", "route", files["message"], "--recipient", files["recipient"], *AT)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_content_is_shown_as_a_channel_would(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_text(f"html: '<p>{'roast ' * 60}</p>'")
    words = (
        "deliveries",
        "convert",
        str(file),
        "--for",
        "text",
        "--link",
        "https://talk.example/m",
    )
    ran = cli(*words, "-o", "json")
    assert ran.code == 0
    assert len(ran.document["messages"]["segments"]) == 1
    assert ran.document["lost"] == ["formatting", "length"]
    shown = cli(*words)
    assert "https://talk.example/m" in shown.out
    assert "lost: formatting, length" in shown.out


def test_content_that_a_channel_cannot_show_exits_with_two(
    cli: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "content"
    file.write_text(f"text: {'x' * 200}")
    ran = cli("deliveries", "convert", "-f", str(file), "--for", "text")
    assert (ran.code, ran.out) == (2, "")
    assert "link: the text does not fit into 1 text message without one" in ran.err
