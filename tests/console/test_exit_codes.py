"""Exit code 2, whatever a server would say: every command that reads a file, where it is missing
or faulty, and every option that is faulty by itself. Nobody is asked before all is read."""

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
    ("policy simulate", "hook_answers"): [
        "policy",
        "simulate",
        POLICY,
        "--units",
        str(SAMPLE),
        "--hook-answers",
        FILE,
    ],
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


ABOVE_INT64 = "9223372036854775808"
LONG = "9" * 5_000
NUMBERS = ("x", "-1", "nan", "inf", ABOVE_INT64, LONG)
# Of each number and time that a command takes: how it is called with it, and what is none.
FAULTY: dict[tuple[str, str], tuple[list[str], tuple[str, ...]]] = {
    ("up", "port"): (["up", "--port"], (*NUMBERS, "65536")),
    ("up", "metrics_port"): (["up", "--metrics-port"], NUMBERS),
    ("up", "http_port"): (["up", "--http-port"], NUMBERS),
    ("up", "feeds_port"): (["up", "--feeds-port"], NUMBERS),
    ("up", "etcd_port"): (["up", "--etcd-port"], NUMBERS),
    ("up", "workers"): (["up", "--workers"], (*NUMBERS, "0")),
    **{
        (words, "timeout"): ([words, "a", "--timeout"], ("x", "-1", "0", "nan", "inf", LONG))
        for words in ("provision", "get", "release", "explain")
    },
    ("calls list", "most"): (["calls", "list", "a", "--limit"], (*NUMBERS, "0", "1001")),
    ("watch", "count"): (["watch", "a", "--count"], ("x", "-1", "0", "nan", LONG)),
    ("devices report", "uptime_s"): (
        ["devices", "report", "a", "phone", "--uptime"],
        ("x", "-1", "nan", "inf", "1e10"),
    ),
    ("approvals list", "limit"): (["approvals", "list", "--limit"], (*NUMBERS, "0")),
    ("decisions ancestry", "depth"): (["decisions", "ancestry", "a", "--depth"], (*NUMBERS, "0")),
    ("decisions ancestry", "nodes"): (["decisions", "ancestry", "a", "--nodes"], (*NUMBERS, "0")),
    ("rules rollback", "to"): (["rules", "rollback", "r", "--to"], NUMBERS),
    ("policy show", "version"): (["policy", "show", "--version"], NUMBERS),
    ("policy apply", "base"): (["policy", "apply", __file__, "--base"], NUMBERS),
    ("policy rollback", "to"): (["policy", "rollback", "--to"], (*NUMBERS, "0")),
    ("policy simulate", "users"): (["policy", "simulate", "--users"], (*NUMBERS, "0")),
    ("policy simulate", "seed"): (["policy", "simulate", "--seed"], NUMBERS),
    ("policy simulate", "growth"): (
        ["policy", "simulate", "--growth"],
        ("x", "-1", "0", "nan", "inf", "1e10"),
    ),
    ("units watch", "count"): (["units", "watch", "--count"], ("x", "-1", "0", "nan", LONG)),
    ("units cordon", "revision"): (["units", "cordon", "a", "--revision"], (*NUMBERS, "0")),
    ("units drain", "revision"): (["units", "drain", "a", "--revision"], (*NUMBERS, "0")),
    ("units drain", "rate"): (["units", "drain", "a", "--rate"], ("x", "0", "nan", "inf", "-1")),
    ("units undrain", "revision"): (["units", "undrain", "a", "--revision"], (*NUMBERS, "0")),
    ("units remove", "revision"): (["units", "remove", "a", "--revision"], (*NUMBERS, "0")),
    ("units rebalance", "max_moves"): (["units", "rebalance", "--max-moves"], (*NUMBERS, "0")),
    ("units rebalance", "rate"): (["units", "rebalance", "--rate"], ("x", "0", "nan", "inf")),
    ("moves rate", "rate_per_s"): (["moves", "rate", "a"], ("x", "0", "nan", "inf", LONG)),
    ("tenants apply", "ttl_s"): (["tenants", "apply", "a", "--ticket-ttl"], NUMBERS),
    ("tenants apply", "hold_s"): (["tenants", "apply", "a", "--hold"], NUMBERS),
    ("keys rotate", "sign_after_s"): (["keys", "rotate", "--sign-after"], NUMBERS),
    ("keys rotate", "accept_s"): (["keys", "rotate", "--accept-for"], NUMBERS),
    ("store move-shards", "count"): (["store", "move-shards", "--count"], NUMBERS),
    ("store move-shards", "at_once"): (["store", "move-shards", "--at-once"], (*NUMBERS, "0")),
    ("store require-password", "within_s"): (["store", "require-password", "--within"], NUMBERS),
    ("deliveries convert", "messages"): (
        ["deliveries", "convert", "a", "--for=text", "--messages"],
        (*NUMBERS, "0", "11"),
    ),
    ("chat", "recent"): (["chat", "a", "--as=b", "--recent"], (*NUMBERS, "0", "101")),
    ("conversations follow", "after"): (["conversations", "follow", "a", "--after"], NUMBERS),
    ("conversations follow", "count"): (
        ["conversations", "follow", "a", "--count"],
        ("x", "-1", "0", "nan", LONG),
    ),
    ("load", "users"): (["load", "--users"], (*NUMBERS, "0", "50000001")),
    ("load", "rate"): (["load", "--rate"], (*NUMBERS, "0", "1000001")),
    ("load", "retries"): (["load", "--retries"], (*NUMBERS, "101")),
    ("load", "seed"): (["load", "--seed"], NUMBERS),
    ("load", "processes"): (["load", "--processes"], (*NUMBERS, "0", "65")),
    ("load", "connections"): (["load", "--connections"], (*NUMBERS, "0", "1001")),
    ("load", "rules"): (["load", "--events", "--rules"], (*NUMBERS, "0", "10001")),
    ("load", "plans"): (["load", "--events", "--plans"], (*NUMBERS, "0", "10001")),
    ("load", "http_share"): (
        ["load", "--events", "--http-server=a:1", "--http-share"],
        ("x", "-1", "101", LONG),
    ),
    ("mail send", "within_s"): (["mail", "send", "a", *MAILED, "--within"], (*NUMBERS, "0", "601")),
    ("events tail", "after"): (["events", "tail", "--after"], NUMBERS),
    ("events tail", "limit"): (["events", "tail", "--limit"], ("x", "-1", "0", LONG)),
    ("decisions list", "limit"): (["decisions", "list", "--limit"], (*NUMBERS, "0")),
    ("decisions instructions", "limit"): (["decisions", "instructions", "--limit"], NUMBERS),
    ("dlq list", "limit"): (["dlq", "list", "--limit"], NUMBERS),
    ("rules show", "version"): (["rules", "show", "a", "--version"], NUMBERS),
    ("audit list", "limit"): (["audit", "list", "--limit"], (*NUMBERS, "0")),
    ("enrolment bootstrap issue", "count"): (
        ["enrolment", "bootstrap", "issue", "--tenant=a", "--count"],
        (*NUMBERS, "0"),
    ),
    ("enrolment bootstrap issue", "ttl_s"): (
        ["enrolment", "bootstrap", "issue", "--tenant=a", "--ttl"],
        (*NUMBERS, "0"),
    ),
}
NO_TIMES = ("soon", "2026-03-02", "2026-03-02T09:00", "2026-W10-1", "20260302T0900Z", LONG,
            "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z")  # fmt: skip
WORDS: list[tuple[list[str], tuple[str, ...]]] = [
    (["plans", "change", "nope", "--shift"], ("xx", "", "--1m", "+-1m", "1", f"{LONG}s", "401d")),
    (["plans", "change", "nope", "--at"], NO_TIMES),
    (["plans", "change", "nope", "--every", "--at"], ("2026-03-02T09:00:00Z",)),
    (["plans", "change", "nope", "--set"], ("x", "a=1", ".b=1", "a.=1", "")),
    (["rules", "backtest", __file__, "--since"], NO_TIMES),
    (["rules", "backtest", __file__, "--until"], NO_TIMES),
    (["events", "tail", "--since"], NO_TIMES),
    (["decisions", "explain"], (ABOVE_INT64, LONG)),
    (["units", "show"], ("\udcff",)),
    (["plans", "show"], ("\udcff",)),
    (["get"], ("\udcff",)),
    (["identifiers", "explain"], ("\udcff",)),
    (["identifiers", "explain", "020", "--region"], ("", "XX", "001", "GBR", "\udcff")),
    (["identifiers", "explain", "anna", "--host"], ("", "localhost", "192.0.2.1", "a..b")),
    (["deliveries", "route", __file__, "--recipient", __file__, "--at"], NO_TIMES),
    (["mail", "send", __file__, *MAILED, "--relay"], ("a", "a:", ":25", "a:0", "a:65536", "a:x")),
    (["load", "--duration"], ("", "x", "0", "nan", "25h", LONG)),
    (["load", "--give-up-after"], ("", "x", "0", "11m")),
    (["load", "--scenario=herd", "--herd-within"], ("", "x", "0", "31s")),
    (["load", "--events", "--http-server"], ("", "a", "a:x", "a:0", "a:1,b:1")),
    (["load", "--http-server"], ("a:1",)),
    (["load", "--events", "--mix"], ("", "x", "quiet", "quiet=-1", "new=1", "quiet=1,quiet=1")),
    (["load", "--mix"], ("", "x", "new", "new=x", "new=-1", "new=nan", "new=0", "new=1,new=1")),
    (["load", "--metrics"], ("", "x", "a:", ":25", "a:0x", "a:65536")),
    (["load", "--threshold"], ("", "x", "p99", "p99<x", "p98<1ms", "errors<5ms")),
    (["tenants", "apply", "a", "--tickets"], ("RS256", "")),
    (["tenants", "apply", "a", "--default-at"], ("1", "91,0", "nan,0")),
]


def test_every_option_that_is_a_number_is_tested_here() -> None:
    assert set(FAULTY) == {
        (words, param.name)
        for words, command in leaves(with_common_options(app))
        for param in command.params
        if any(kind in str(param.type_descriptor) for kind in ("'int'", "'float'"))
    }


@pytest.mark.parametrize(
    ("words", "value"),
    [
        pytest.param(words, value, id=f"{' '.join(words)} {ascii(value)[:30]}")
        for words, values in (*FAULTY.values(), *WORDS)
        for value in values
    ],
)
def test_an_option_that_is_faulty_exits_with_two_before_anybody_is_asked(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str], value: str
) -> None:
    monkeypatch.setenv("HOMEPORT_SERVER", NOBODY)
    monkeypatch.setenv("HOMEPORT_DATA_SERVER", NOBODY)
    attached = words[-1].startswith("--")  # so that a value may begin with a minus
    ran = cli(*words[:-1], f"{words[-1]}={value}") if attached else cli(*words, value)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


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
