"""`homeport identifiers explain`: without a server, for people and for programs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.command_line import CommandLine


def test_a_text_is_explained_to_people(cli: CommandLine) -> None:
    ran = cli("identifiers", "explain", "Anna")
    assert ran.code == 0
    assert "handle" in ran.out
    assert "@anna" in ran.out
    assert "capitals made small" in ran.out


def test_a_text_is_explained_to_programs(cli: CommandLine) -> None:
    ran = cli("identifiers", "explain", "020 7946 0018", "--region", "gb", "-o", "json")
    assert ran.code == 0
    assert ran.document["normal"] == "+442079460018"
    assert ran.document["uri"] == "tel:+442079460018"
    assert [one["name"] for one in ran.document["changes"]] == ["SEPARATORS", "NATIONAL"]


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_what_is_refused_says_why_and_exits_with_four(cli: CommandLine, output: str) -> None:
    ran = cli("identifiers", "explain", "аnna", "-o", output)
    assert ran.code == 4
    assert "MIXED_SCRIPTS" in ran.out
    assert ran.err == ""


def test_a_kind_can_be_given(cli: CommandLine) -> None:
    as_handle = cli("identifiers", "explain", "anna.com", "--as", "handle", "-o", "json")
    assert as_handle.document["kind"] == "handle"
    assert as_handle.document["not_claimable"]["reason"] == "LIKE_DOMAIN"
    assert cli("identifiers", "explain", "anna.com", "-o", "json").document["kind"] == "domain"
    assert cli("identifiers", "explain", "a@b.example", "--as", "sip", "-o", "json").code == 0


def test_accounts_at_own_hosts_are_handles(cli: CommandLine) -> None:
    words = ("identifiers", "explain", "acct:Anna@Talk.example", "-o", "json")
    assert cli(*words).document["kind"] == "acct"
    assert cli(*words, "--host", "TALK.example").document["kind"] == "handle"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["anna", "--region", "XX"], id="no region"),
        pytest.param(["anna", "--host", "localhost"], id="no host"),
        pytest.param(["anna", "--as", "pigeon"], id="no kind"),
        pytest.param([], id="no text"),
    ],
)
def test_faulty_options_exit_with_two(cli: CommandLine, words: list[str]) -> None:
    ran = cli("identifiers", "explain", *words)
    assert (ran.code, ran.out) == (2, "")


def test_what_controls_a_terminal_does_not_reach_it(cli: CommandLine) -> None:
    ran = cli("identifiers", "explain", "a\x1b[31m\u202eb")
    assert ran.code == 4
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_the_command_tree_does_not_load_the_libraries() -> None:
    code = (
        "import sys, console.cli.main; "
        "print([m for m in ('phonenumbers', 'precis_i18n', 'idna', 'publicsuffixlist',"
        " 'control_plane.identifiers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
