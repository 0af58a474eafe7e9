"""Exit code 2, whatever a server would say: every command that reads a file, where it is missing
or faulty, or cannot be written, and settings. Nobody is asked before all is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.cli.common_options import with_common_options
from console.cli.main import app
from control_plane.fleet.file import SAMPLE
from tests.support.command_line import CommandLine, leaves
from tests.support.unwritable_paths import FILES, unwritable

NOBODY = "127.0.0.1:1"
POLICY, CASES = (
    str(Path(__file__).parents[2] / "docs" / "examples" / "simulation" / name)
    for name in ("policy.yaml", "cases.yaml")
)
FILE = "FILE"  # stands for the file that is missing or faulty
MAILED = ("--relay", NOBODY, "--from", "a@b.example", "--to", "c@d.example")
# Of each option and argument that names a file which a command reads: how it is called with one.
READS: dict[tuple[str, str], list[str]] = {
    ("up", "units"): ["up", "--units", FILE],
    ("up", "geo"): ["up", "--geo", FILE],
    ("provision-many", "file"): ["provision-many", FILE, "--csv"],
    ("units apply", "file"): ["units", "apply", FILE],
    ("units apply", "named"): ["units", "apply", "-f", FILE],
    ("apps build", "folder"): ["apps", "build", FILE],
    ("apps answers", "manifest"): ["apps", "answers", FILE],
    ("apps submit", "manifest"): ["apps", "submit", FILE],
    ("apps submit", "artifact"): ["apps", "submit", __file__, "--artifact", FILE],
    ("events publish", "file"): ["events", "publish", FILE],
    ("doctor", "kubeconfig"): ["doctor", "--cluster", "--kubeconfig", FILE],
    ("rules apply", "file"): ["rules", "apply", FILE],
    ("rules apply", "named"): ["rules", "apply", "-f", FILE],
    ("sharing apply", "file"): ["sharing", "apply", FILE],
    ("sharing apply", "named"): ["sharing", "apply", "-f", FILE],
    ("rules test", "file"): ["rules", "test", FILE, __file__],
    ("rules test", "events"): ["rules", "test", __file__, FILE],
    ("rules test", "manifests"): ["rules", "test", __file__, __file__, "--manifest", FILE],
    ("rules test", "plans"): ["rules", "test", __file__, __file__, "--plan", FILE],
    ("rules backtest", "file"): ["rules", "backtest", FILE],
    ("rules backtest", "plans"): ["rules", "backtest", __file__, "--plan", FILE],
    ("plans create", "file"): ["plans", "create", FILE],
    ("plans create", "named"): ["plans", "create", "--file", FILE],
    ("cards check", "file"): ["cards", "check", FILE],
    ("cards check", "named"): ["cards", "check", "-f", FILE],
    ("cards render", "file"): ["cards", "render", FILE],
    ("cards render", "named"): ["cards", "render", "-f", FILE],
    ("deliveries route", "message"): ["deliveries", "route", FILE, "--recipient", __file__],
    ("deliveries route", "named"): ["deliveries", "route", "-f", FILE, "--recipient", __file__],
    ("deliveries route", "recipient"): ["deliveries", "route", __file__, "--recipient", FILE],
    ("deliveries route", "rules"): [
        "deliveries",
        "route",
        __file__,
        "--recipient",
        __file__,
        "--rules",
        FILE,
    ],
    ("deliveries rules", "apply"): ["deliveries", "rules", "anna", "--apply", FILE],
    ("deliveries convert", "content"): ["deliveries", "convert", FILE, "--for", "text"],
    ("deliveries convert", "named"): ["deliveries", "convert", "-f", FILE, "--for", "text"],
    ("consents list", "ticket_file"): ["consents", "list", "--ticket-file", FILE],
    ("consents give", "ticket_file"): [
        "consents",
        "give",
        "--purpose",
        "p",
        "--ticket-file",
        FILE,
    ],
    ("consents withdraw", "ticket_file"): ["consents", "withdraw", "k", "--ticket-file", FILE],
    ("push add", "file"): ["push", "add", "anna", FILE],
    ("mail explain", "mail"): ["mail", "explain", FILE],
    ("mail explain", "named"): ["mail", "explain", "-f", FILE],
    ("mail send", "content"): ["mail", "send", FILE, *MAILED],
    ("mail send", "named"): ["mail", "send", "-f", FILE, *MAILED],
    ("mail show-reply", "mail"): ["mail", "show-reply", FILE],
    ("mail show-reply", "named"): ["mail", "show-reply", "-f", FILE],
    ("tokens list", "tokens"): ["tokens", "list", "--tokens", FILE],
    ("tokens rotate", "tokens"): ["tokens", "rotate", "a", "--tokens", FILE],
    ("tokens revoke", "tokens"): ["tokens", "revoke", "a", "--tokens", FILE],
    ("policy apply", "path"): ["policy", "apply", FILE],
    ("policy apply", "file"): ["policy", "apply", "-f", FILE],
    ("policy apply", "cases"): ["policy", "apply", POLICY, "--cases", FILE],
    ("policy apply", "hook_answers"): [
        "policy",
        "apply",
        POLICY,
        "--cases",
        CASES,
        "--hook-answers",
        FILE,
    ],
    ("policy test", "hook_answers"): ["policy", "test", POLICY, CASES, "--hook-answers", FILE],
    ("policy test", "latencies"): ["policy", "test", POLICY, CASES, "--latencies", FILE],
    ("policy simulate", "latencies"): [
        "policy",
        "simulate",
        POLICY,
        "--units",
        str(SAMPLE),
        "--latencies",
        FILE,
    ],
    ("policy simulate", "hook_answers"): [
        "policy",
        "simulate",
        POLICY,
        "--units",
        str(SAMPLE),
        "--hook-answers",
        FILE,
    ],
    ("policy overlap", "file"): ["policy", "overlap", FILE],
    ("policy overlap", "units"): ["policy", "overlap", POLICY, "--tenants", "2", "--units", FILE],
    ("policy move", "plan"): ["policy", "move", "--plan", FILE],
    ("policy test", "file"): ["policy", "test", FILE, __file__],
    ("policy test", "cases"): ["policy", "test", POLICY, FILE],
    ("policy test", "units"): ["policy", "test", POLICY, CASES, "--units", FILE],
    ("policy test", "geo"): ["policy", "test", POLICY, CASES, "--geo", FILE],
    ("policy simulate", "file"): ["policy", "simulate", FILE, "--units", str(SAMPLE)],
    ("policy simulate", "current"): [
        "policy",
        "simulate",
        "--current",
        FILE,
        "--units",
        str(SAMPLE),
    ],
    ("policy simulate", "units"): ["policy", "simulate", "--units", FILE],
    ("policy simulate", "geo"): ["policy", "simulate", "--units", str(SAMPLE), "--geo", FILE],
    ("geo info", "geo"): ["geo", "info", "--geo", FILE],
    ("geo lookup", "geo"): ["geo", "lookup", "8.8.8.8", "--geo", FILE],
    ("load", "from_report"): ["load", "--from-report", FILE],
    ("load", "geo"): ["load", "--geo", FILE],
    ("load", "group_key_file"): ["load", "--group", "a", "--group-key-file", FILE],
    ("restore store", "file"): ["restore", "store", FILE],
    ("store map", "config"): ["store", "map", "--config", FILE],
    ("store check-clients", "config"): ["store", "check-clients", "--config", FILE],
    ("store status", "config"): ["store", "status", "--config", FILE],
    ("store move-shards", "config"): ["store", "move-shards", "--to", "b", "--config", FILE],
    ("store require-password", "config"): ["store", "require-password", "--config", FILE],
}
# Those that are written, or are folders to be made.
WRITTEN = {
    ("up", "data_dir"), ("up", "ready_file"), ("apps build", "into"), ("doctor", "data_dir"),
    ("tokens issue", "tokens"), ("audit export", "file"), ("backup store", "file"),
    ("load", "report"), ("load", "junit"), ("load", "export_ghz"), ("load", "export_locust"),
    ("policy simulate", "html"), ("policy simulate", "svg"), ("policy test", "junit"),
    ("decisions ancestry", "svg"),
}  # fmt: skip
# How those of them that are not read first are called; `tokens` are read and written.
WRITES: dict[tuple[str, str], list[str]] = {
    ("up", "data_dir"): ["up", "--data-dir", FILE],
    ("up", "ready_file"): ["up", "--ready-file", FILE],
    ("apps build", "into"): ["apps", "build", "nowhere", "--into", FILE],
    ("tokens issue", "tokens"): ["tokens", "issue", "a", "--role", "admin", "--tokens", FILE],
    ("audit export", "file"): ["audit", "export", "--file", FILE],
    ("policy test", "junit"): ["policy", "test", POLICY, CASES, "--junit", FILE],
    ("decisions ancestry", "svg"): ["decisions", "ancestry", "/a/1", "--svg", FILE],
    ("policy simulate", "svg"): ["policy", "simulate", "--units", str(SAMPLE), "--svg", FILE],
    ("policy simulate", "html"): ["policy", "simulate", "--units", str(SAMPLE), "--html", FILE],
    ("backup store", "file"): ["backup", "store", FILE, "--store", "embedded:nowhere"],
    ("load", "report"): ["load", "--report", FILE],
    ("load", "junit"): ["load", "--junit", FILE],
    ("load", "export_ghz"): ["load", "--export-ghz", FILE],
    ("load", "export_locust"): ["load", "--export-locust", FILE],
}
# What is wrong with these only a server says.
SAID_BY_SERVERS = {"apps submit", "rules apply", "plans create", "events publish"}


def test_every_option_that_names_a_file_is_tested_here() -> None:
    found = {
        (words, param.name)
        for words, command in leaves(with_common_options(app))
        for param in command.params
        if ("Path" in str(param.type_descriptor) and param.opts[0] != "--config")
        or (param.opts[0] == "--config" and words.startswith("store"))
    }
    assert found - WRITTEN == set(READS)
    assert set(WRITES) == WRITTEN - {("doctor", "data_dir")}  # which looks for one, and makes none


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("case", WRITES, ids=" ".join)
def test_a_path_that_cannot_be_written_to_exits_with_two(
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, str],
    kind: str,
) -> None:
    """Before a server is asked, a stack is started, or an application is built. A folder is what a
    data directory is, and a backup is put where nothing is (exit code 4)."""
    if (case[1], kind) in {("data_dir", "a-folder"), ("file", "a-fifo")}:
        return
    monkeypatch.chdir(tmp_path)
    path = unwritable(tmp_path, kind)
    ran = cli(*[str(path) if word == FILE else word for word in WRITES[case]])
    there = case[0] == "backup store" and kind in ("a-folder", "a-fifo")
    assert (ran.code, ran.out) == (4 if there else 2, "")
    assert "Traceback" not in ran.err
    assert "Errno" not in ran.err
    assert path.name[:20] in ran.err


@pytest.mark.parametrize("case", READS, ids=" ".join)
def test_a_file_that_is_missing_exits_with_two(
    cli: CommandLine, tmp_path: Path, case: tuple[str, str]
) -> None:
    missing = str(tmp_path / "missing")
    ran = cli(*[missing if word == FILE else word for word in READS[case]])
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert "Errno" not in ran.err


@pytest.mark.parametrize(
    "case", [case for case in READS if case[0] not in SAID_BY_SERVERS], ids=" ".join
)
def test_a_file_that_is_faulty_exits_with_two(
    cli: CommandLine, tmp_path: Path, case: tuple[str, str]
) -> None:
    faulty = tmp_path / "faulty"
    faulty.write_bytes(b"\xff\x00{[ not: anything")
    ran = cli(*[str(faulty) if word == FILE else word for word in READS[case]])
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    assert "codec" not in ran.err


@pytest.mark.parametrize(
    "config", [None, "=", "colour = 1", "\xff", 'profiles = "x"'], ids=lambda text: repr(text)
)
def test_a_config_file_that_is_missing_or_faulty_exits_with_two(
    cli: CommandLine, tmp_path: Path, config: str | None
) -> None:
    file = tmp_path / "named.toml"
    if config is not None:
        file.write_bytes(config.encode("latin-1"))
    ran = cli("units", "list", "--config", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert str(file) in ran.err
    assert "codec" not in ran.err


def test_a_config_file_that_is_named_is_used(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "named.toml"
    file.write_text(f'default_profile = "a"\n[profiles.a]\nserver = "{NOBODY}"\n')
    assert NOBODY in cli("units", "list", "--config", str(file)).err
    monkeypatch.setenv("HOMEPORT_CLI_CONFIG", str(file))
    assert NOBODY in cli("units", "list").err
    monkeypatch.setenv("HOMEPORT_SERVER", "127.0.0.1:2")
    assert "127.0.0.1:2" in cli("units", "list").err
    assert "127.0.0.1:3" in cli("units", "list", "--server", "127.0.0.1:3").err


@pytest.mark.parametrize(
    ("words", "command"),
    [pytest.param(words, one, id=words) for words, one in leaves(with_common_options(app))],
)
def test_a_command_has_the_common_options_and_names_their_variables(
    words: str, command: Any
) -> None:
    if command.context_settings.get("ignore_unknown_options"):
        return  # it becomes another program, with a help of its own
    options = {param.opts[0]: param for param in command.params}
    assert "--version" in options
    if "--profile" not in options:
        return
    named = ["--token", "--token-file", "--profile", "--ca", "--config"]
    if not words.startswith("audit"):  # its server is that of --of, and so is its variable
        named.append("--server")
    for name in named:
        assert str(options[name].envvar).startswith("HOMEPORT_"), name
        assert options[name].show_envvar


def test_the_version_is_printed_and_nothing_is_done(cli: CommandLine) -> None:
    for words in ([], ["units"], ["units", "remove"]):
        ran = cli(*words, "--version")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith("homeport ")
