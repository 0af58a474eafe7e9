"""`homeport up --with-directory`: what README says of names works when it is pasted."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.local_stack import Up

README = Path(__file__).resolve().parents[2] / "README.md"


def pasted() -> list[list[str]]:
    """The commands of the section, without the one that starts the stack."""
    section = README.read_text().partition("\n## Give clients names\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    \.venv/bin/homeport (.*)$", section, re.MULTILINE)
    return [shlex.split(line) for line in lines if not line.startswith("up ")]


def test_the_section_has_commands() -> None:
    assert ["accounts", "claim", "anna", "@anna"] in pasted()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_readme_says_of_names_works_when_it_is_pasted(tmp_path: Path) -> None:
    """Each command on the stack of two units, each with a process of its own, which take mail where
    a relay is named, also one that is not there."""
    outside = [
        "--mail-relay=127.0.0.1:9", "--mail-domain=talk.example",
        "--text-line=127.0.0.1:9", "--text-number=+442079460000",
    ]  # fmt: skip
    with Up(tmp_path / "data", "--with-directory", *outside) as up:
        assert set(up.ready["units"]) == {"eu-west", "eu-north"}
        assert set(up.ready["mail"]) == {"eu-west", "eu-north"}
        assert {"agent-eu-west", "agent-eu-north"} <= set(up.ready["pids"])
        environ = {k: v for k, v in os.environ.items() if not k.startswith("HOMEPORT_")}
        for command in pasted():
            done = subprocess.run(
                [sys.executable, "-m", "console.cli.main", *command],
                env={**environ, "HOMEPORT_SERVER": up.grpc},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert (command, done.returncode, done.stderr) == (command, 0, "")
    assert up.left_behind() == []
