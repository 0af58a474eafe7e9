"""Exit code 2 for every option that is faulty by itself: numbers, times and words. Nobody is asked
before all is read."""

from __future__ import annotations

import pytest

from console.cli.common_options import with_common_options
from console.cli.main import app
from tests.support.command_line import CommandLine, leaves

NOBODY = "127.0.0.1:1"
MAILED = ("--relay", NOBODY, "--from", "a@b.example", "--to", "c@d.example")
ABOVE_INT64 = "9223372036854775808"
LONG = "9" * 5_000
NUMBERS = ("x", "-1", "nan", "inf", ABOVE_INT64, LONG)
# Of each number and time that a command takes: how it is called with it, and what is none.
FAULTY: dict[tuple[str, str], tuple[list[str], tuple[str, ...]]] = {
    ("up", "port"): (["up", "--port"], (*NUMBERS, "65536")),
    ("up", "metrics_port"): (["up", "--metrics-port"], NUMBERS),
    ("up", "http_port"): (["up", "--http-port"], NUMBERS),
    ("up", "feeds_port"): (["up", "--feeds-port"], NUMBERS),
    ("up", "feeds_partitions"): (["up", "--feeds-partitions"], (*NUMBERS, "0", "9")),
    ("up", "etcd_port"): (["up", "--etcd-port"], NUMBERS),
    ("up", "workers"): (["up", "--workers"], (*NUMBERS, "0")),
    **{
        (words, "timeout"): ([words, "a", "--timeout"], ("x", "-1", "0", "nan", "inf", LONG))
        for words in ("provision", "get", "release", "explain")
    },
    ("calls list", "most"): (["calls", "list", "a", "--limit"], (*NUMBERS, "0", "1001")),
    ("units latency", "limit"): (["units", "latency", "--limit"], (*NUMBERS, "0", "1001")),
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
    ("policy move", "version"): (["policy", "move", "--version"], (*NUMBERS, "0")),
    ("policy move", "back"): (["policy", "move", "--back"], (*NUMBERS, "0")),
    ("policy move", "rate"): (["policy", "move", "--rate"], ("x", "0", "nan", "inf", "-1")),
    ("moves resume", "policy_version"): (
        ["moves", "resume", "a", "--policy-version"],
        (*NUMBERS, "0"),
    ),
    ("policy overlap", "tenants"): (["policy", "overlap", "--tenants"], (*NUMBERS, "0")),
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
    (["tenants", "apply", "a", "--max-clients"], ("", "x", "0", "-1", "1.5", "\u0661", LONG)),
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
