"""The units of systemd: systemd itself reads them, they are hardened, and what they start takes
their command lines and example settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
MOST_EXPOSED = 2.0  # of systemd-analyze security: 0 is closed, 10 open
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


def test_there_is_one_of_each_service() -> None:
    names = {unit.stem.removeprefix("homeport-") for unit in UNITS}
    assert names == {"provisioner", "sharing", "agent", "platform"}
    assert names == {path.stem for path in (PACKAGING / "etc").glob("*.toml")}


@needs_systemd
@each_unit
def test_systemd_reads_it_without_a_complaint(unit: Path, tmp_path: Path) -> None:
    """The command is not installed here: one that is stands for it."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/bin/homeport", sys.executable))
    verified = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", copy)
    said = [line for line in verified.stderr.splitlines() if unit.stem in line]
    assert said == []


@needs_systemd
@each_unit
def test_it_is_hardened(unit: Path) -> None:
    analysed = run(
        "systemd-analyze", "security", "--offline=true", f"--threshold={int(MOST_EXPOSED * 10)}",
        "--no-pager", unit,
    )  # fmt: skip
    assert analysed.returncode == 0, analysed.stdout
    found = re.search(r"exposure level for .*: ([0-9.]+)", analysed.stdout)
    assert found is not None
    assert float(found[1]) <= MOST_EXPOSED


@each_unit
def test_what_it_starts_takes_its_words_and_the_example_settings(
    unit: Path, tmp_path: Path
) -> None:
    (before,), (start,) = values(unit, "ExecStartPre"), values(unit, "ExecStart")
    assert before == f"{start} --check-config"
    (credential,) = values(unit, "LoadCredential")
    name = credential.partition(":")[0]
    given = tmp_path / name
    issue = ("tokens", "issue", "ann", "--role", "admin", "--tokens", tmp_path / "tokens.toml")
    issued = run(sys.executable, "-m", "console.cli.main", *issue)
    assert issued.returncode == 0, issued.stderr
    if name == "token":
        given.touch(mode=0o600)
        given.write_text(issued.stdout)
    words = before.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path))
    settings = PACKAGING / "etc" / f"{unit.stem.removeprefix('homeport-')}.toml"
    # The units' own user may write where they keep things; whoever runs this need not.
    text = settings.read_text().replace("/var/lib/homeport/", f"{tmp_path / 'lib'}/")
    (tmp_path / settings.name).write_text(text)
    words = words.replace("/etc/homeport/", f"{tmp_path}/")
    program, *arguments = words.split()
    assert program == "/usr/bin/homeport"
    checked = run(sys.executable, "-m", "console.cli.main", *arguments)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    broken = run(sys.executable, "-m", "console.cli.main", *arguments, "--no-such-setting=1")
    assert broken.returncode == 2


@each_unit
def test_it_may_stop_for_longer_than_a_drain_takes(unit: Path) -> None:
    (stop,) = values(unit, "TimeoutStopSec")
    settings = (PACKAGING / "etc" / f"{unit.stem.removeprefix('homeport-')}.toml").read_text()
    drain = re.search(r"^drain_s = (\d+)$", settings, re.MULTILINE)
    assert float(stop) >= (float(drain[1]) if drain else 0.0) + 15
