"""`homeport load` against a service in memory: what it shows, writes, and exits with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from simulation.load.report.page import held_result
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served
from tests.support.mmdb import flat_record, write_mmdb


@pytest.fixture
def small(tmp_path: Path) -> Sequence[str]:
    """A load that is over soon, of users in one network."""
    geo = tmp_path / "tiny.mmdb"
    geo.write_bytes(write_mmdb({"81.2.69.0/24": flat_record("GB", 51.5, -0.1)}, ip_version=6))
    return (
        "load", "--geo", str(geo), "--users", "40", "--rate", "40", "--duration", "1s",
        "--connections", "1", "--mix", "new=1, known=1, released=1",
    )  # fmt: skip


def test_a_load_is_shown_written_and_can_be_repeated(
    cli: CommandLine, service: Served, small: Sequence[str], tmp_path: Path
) -> None:
    report, junit = tmp_path / "load.html", tmp_path / "load.xml"
    ran = cli(
        *small, "--seed", "5", "--report", str(report), "--junit", str(junit),
        "--threshold", "errors<1%", "--threshold", "goodput>1000", "-o", "json",
    )  # fmt: skip
    assert ran.code == 1  # a threshold is broken, and everything is there all the same
    assert "thresholds are broken: goodput>1000" in ran.err
    told = ran.document
    calls = told["calls"]
    assert calls["good"] == calls["asked"] == calls["arrived"] > 0
    assert told["late_ms"]["max"] >= 0
    assert [one["held"] for one in told["thresholds"]] == [True, False]
    assert held_result(report.read_text()) == told
    suite = ElementTree.fromstring(junit.read_text())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")

    again = cli(*small[:3], "--from-report", str(report), "-o", "json")
    assert again.code == 0
    assert again.document["settings"] == told["settings"]
    assert again.document["calls"]["arrived"] == calls["arrived"]
    assert again.document["run"] != told["run"]
    arrived = {kind: one["arrived"] for kind, one in told["kinds"].items()}
    assert {kind: one["arrived"] for kind, one in again.document["kinds"].items()} == arrived


def test_people_are_told_in_sentences(
    cli: CommandLine, service: Served, small: Sequence[str]
) -> None:
    ran = cli(*small)
    assert ran.code == 0
    assert "100.0% of" in ran.out
    assert "users" in ran.out
    assert "released" in ran.out


def test_where_nobody_answers_it_says_so_before_anything_runs(
    cli: CommandLine, small: Sequence[str]
) -> None:
    ran = cli(*small, "--server", "127.0.0.1:1")
    assert ran.code == 5
    assert "no Homeport server answers at 127.0.0.1:1" in ran.err
    assert ran.out == ""


def test_exports_ask_nobody(cli: CommandLine, small: Sequence[str], tmp_path: Path) -> None:
    ghz, locust = tmp_path / "calls.json", tmp_path / "locustfile.py"
    ran = cli(
        *small, "--export-ghz", str(ghz), "--export-locust", str(locust),
        "--server", "127.0.0.1:1",
    )  # fmt: skip
    assert (ran.code, ran.out) == (0, "")
    config = json.loads(ghz.read_text())
    assert config["host"] == "127.0.0.1:1"
    assert config["data"][0]["address"].startswith("81.2.69.")
    compile(locust.read_text(), "locustfile.py", "exec")
    ran = cli(*small, "--scenario", "day", "--export-ghz", str(ghz))
    assert ran.code == 2
    assert "ghz has no day" in ran.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--group", "line"], "go together"),
        (["--forwarded"], "needs --group"),
        (["--rate", "1000000", "--duration", "24h"], "arrivals are more than"),
        (["--scenario", "herd", "--duration", "4s"], "more than half of the duration"),
        (["--users", "1", "--processes", "2"], "more processes than users"),
    ],
)
def test_what_does_not_fit_together_is_told(cli: CommandLine, words: list[str], why: str) -> None:
    ran = cli("load", *words, "--server", "127.0.0.1:1")
    assert ran.code == 2
    assert why in ran.err
