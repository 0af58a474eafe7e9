"""`homeport rules test`: rules on sample events, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.cli.failure import ExitCode
from tests.support.command_line import CommandLine

RULES = """
forecasts:
  - {forecast: commute, feed: example.commute, key: event.data.user, value: event.data.minutes}
rules:
  - rule: leave-earlier
    watch: {traffic: {feed: example.commute, key: event.data.user}}
    plan: {named: work}
    when: traffic.data.minutes >= 45 && forecast.commute.count > 1
    do: [{change: {shift: duration("-20m")}}]
"""
PLAN = """
plan: user-1-work
name: work
owner: user-1
at: 2026-03-02T09:00
zone: Europe/Berlin
actions:
  alarm: {application: alarm, action: ring, offset: -90m}
"""
MANIFEST = """
application: traffic
version: 1.0.0
produces:
  - type: example.commute
    key: /data/user
    schema:
      type: object
      required: [user, minutes]
      properties: {user: {type: string}, minutes: {type: number}}
      additionalProperties: false
    samples: [{data: {user: user-1, minutes: 30}}]
    shared_with: everyone
"""


def commute(minute: int, minutes: object) -> str:
    return json.dumps(
        {"type": "example.commute", "time": f"2026-03-02T05:{minute:02}:00Z",
         "data": {"user": "user-1", "minutes": minutes}}
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    events = "\n".join([commute(0, 50), "", commute(30, 50), commute(40, 20)])
    texts = {"rules": RULES, "events": events, "plan": PLAN, "manifest": MANIFEST}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def test_it_tells_clause_by_clause_why_a_rule_fired_or_not(
    cli: CommandLine, files: dict[str, str]
) -> None:
    ran = cli("rules", "test", files["rules"], files["events"], "--plan", files["plan"],
              "-o", "json")  # fmt: skip
    assert ran.code == 0, ran.err
    steps = [one for one in ran.document["steps"] if one["event"]]
    assert [one["rules"][0]["verdict"] for one in steps] == ["not-matched", "fired", "not-matched"]
    first = steps[0]["rules"][0]["clauses"]
    assert (first["outcome"], first["joined_by"]) == ("false", "&&")
    assert first["parts"][1] == {
        "text": "forecast.commute.count > 1",
        "outcome": "false",
        "read": {"forecast.commute.count": 1},
    }
    assert steps[1]["rules"][0]["effects"] == ["taken: plan user-1-work: shift_ms = -20m"]
    assert steps[2]["rules"][0]["clauses"]["parts"][0]["outcome"] == "false"
    (ringing,) = [one for one in ran.document["steps"] if one["actions"]]
    assert ringing["at"] == "2026-03-02T06:10:00Z"  # 09:00 in Berlin, 90 + 20 minutes before


def test_for_people_it_is_a_story(cli: CommandLine, files: dict[str, str]) -> None:
    ran = cli("rules", "test", files["rules"], files["events"], "--plan", files["plan"])
    assert ran.code == 0
    assert "fired leave-earlier" in ran.out
    assert "✗ forecast.commute.count > 1" in ran.out
    assert "runs user-1-work/alarm" in ran.out


def test_a_manifest_brings_schemas(cli: CommandLine, files: dict[str, str]) -> None:
    words = ["rules", "test", files["rules"], files["events"], "--manifest", files["manifest"]]
    assert cli(*words).code == 0
    path = Path(files["rules"])
    path.write_text(RULES.replace("traffic.data.minutes >=", "traffic.data.minuets >="))
    ran = cli(*words)
    assert ran.code == ExitCode.USAGE
    assert 'did you mean "minutes"' in ran.err
    path.write_text(RULES.replace("feed: example.commute", "feed: example.other"))
    assert 'no feed "example.other"' in cli(*words).err


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"user": "user-1"}, "data: .*minutes.* required"),
        ({"user": "user-1", "minutes": "many"}, "data/minutes: "),
        ({"user": "user-1", "minutes": 1, "x": 1}, "data: .*x"),
        ({"user": "", "minutes": 1}, "data/user is the key of example.commute"),
        ({"user": 3, "minutes": 1}, "data/user: "),
        ([], "data: "),
        (None, "data is missing"),
    ],
)
def test_a_sample_that_its_feed_would_refuse_is_told_with_its_line(
    cli: CommandLine, files: dict[str, str], data: object, why: str
) -> None:
    import re

    bad = json.dumps({"type": "example.commute", "data": data})
    other = json.dumps({"type": "example.other", "data": {"x": 1}})
    lines = [commute(0, 50), "", bad, other, bad]
    Path(files["events"]).write_text("\n".join(lines))
    words = ["rules", "test", files["rules"], files["events"], "--plan", files["plan"]]
    ran = cli(*words, "--manifest", files["manifest"])
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert re.search(f"events, line 3: {why}", ran.err), ran.err
    assert "line 5: " in ran.err
    assert "line 1: " not in ran.err
    Path(files["events"]).write_text("\n".join([commute(0, 50), other]))
    assert cli(*words, "--manifest", files["manifest"]).code == 0


@pytest.mark.parametrize(
    ("pointer", "attributes", "key"),
    [
        ("/partitionkey", {"partitionkey": "p"}, "p"),
        ("/partitionkey", {"partitionkey": True}, "true"),
        ("/partitionkey", {"partitionkey": 7}, "7"),
        ("/subject", {"subject": "s"}, "s"),
        ("/source", {"source": "/road"}, "/road"),
        ("/source", {}, "/samples"),
        ("/data/minutes", {}, "50"),
        ("/partitionkey", {}, None),
        ("/partitionkey", {"partitionkey": ""}, None),
        ("/partitionkey", {"partitionkey": None}, None),
        ("/subject", {"key": "k"}, None),
        ("/subject", {"subject": "x" * 257}, None),
    ],
)  # fmt: skip
def test_a_feeds_key_is_found_where_it_is_in_published_events(
    cli: CommandLine, files: dict[str, str], pointer: str, attributes: object, key: str | None
) -> None:
    sample = {"data": {"user": "user-1", "minutes": 50.0}, "subject": "s", "partitionkey": "p"}
    manifest = MANIFEST.replace("/data/user", pointer).replace(
        "{data: {user: user-1, minutes: 30}}", json.dumps(sample)
    )
    Path(files["manifest"]).write_text(manifest)
    Path(files["rules"]).write_text(
        "rules: [{rule: r, watch: {x: {feed: example.commute}}, "
        f"when: x.key == '{key}', do: [{{invoke: {{application: a, action: b}}}}]}}]"
    )
    Path(files["events"]).write_text(json.dumps(json.loads(commute(0, 50.0)) | dict(attributes)))  # type: ignore[call-overload]
    words = ["rules", "test", files["rules"], files["events"], "--manifest", files["manifest"]]
    ran = cli(*words, "-o", "json")
    if key is None:
        assert ran.code == ExitCode.USAGE
        assert f"{pointer.removeprefix('/')} is the key of example.commute" in ran.err
    else:
        assert ran.code == 0, ran.err
        assert ran.document["steps"][0]["rules"][0]["verdict"] == "fired"


def test_of_many_refused_samples_the_rest_is_counted(
    cli: CommandLine, files: dict[str, str]
) -> None:
    Path(files["events"]).write_text("\n".join([commute(0, "x")] * 53))
    ran = cli("rules", "test", files["rules"], files["events"], "--manifest", files["manifest"])
    assert ran.err.count("line ") == 50
    assert "… and 3 more" in ran.err


@pytest.mark.parametrize("written", ["45", "45.0", "4.5e1"])
def test_numbers_are_what_the_schema_says(
    cli: CommandLine, files: dict[str, str], written: str
) -> None:
    line = commute(0, 45).replace(": 45}", f": {written}}}")
    Path(files["events"]).write_text(line)
    Path(files["rules"]).write_text(
        RULES.replace("traffic.data.minutes >= 45 && forecast.commute.count > 1",
                      "traffic.data.minutes / 2.0 == 22.5")
    )  # fmt: skip
    words = ["--plan", files["plan"], "--manifest", files["manifest"], "-o", "json"]
    ran = cli("rules", "test", files["rules"], files["events"], *words)
    assert [one["rules"][0]["verdict"] for one in ran.document["steps"] if one["event"]] == [
        "fired"
    ]


def test_what_a_rule_can_fail_on_is_said_beside_the_result(
    cli: CommandLine, files: dict[str, str]
) -> None:
    words = ["rules", "test", files["rules"], files["events"], "--manifest", files["manifest"]]
    text = RULES.replace("traffic.data.minutes >= 45", "10 / size(traffic.data.user) > 0")
    Path(files["rules"]).write_text(text)
    ran = cli(*words, "-o", "json")
    assert ran.code == 0
    assert "may be 0" in ran.err
    assert "may be 0" in ran.document["warnings"][0]
    Path(files["rules"]).write_text(RULES.replace(">= 45", "- 1 > 0"))
    ran = cli(*words)
    assert ran.code == ExitCode.USAGE
    assert "write 1.0" in ran.err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param("events", "{", "line 1", id="no-json"),
        pytest.param("events", '{"data": {}}', "type", id="no-type"),
        pytest.param("events", "3", "events\\[0\\]", id="a-number"),
        pytest.param("events", '{"type": "x", "time": "soon"}', "time", id="no-time"),
        pytest.param("events", '{"type": "x", "time": "2026-W10-1"}', "RFC 3339", id="a-week"),
        pytest.param("events", '{"type": "x", "time": "20260302T05"}', "RFC 3339", id="basic"),
        pytest.param(
            "plan", PLAN.replace("2026-03-02T", "20260302T"), "RFC 3339", id="a-basic-date"
        ),
        pytest.param("plan", "plan: x", "owner", id="half-a-plan"),
        pytest.param("rules", "rules: [{", "YAML", id="no-yaml"),
        pytest.param("rules", "rules: [{rule: x}]", "when", id="half-a-rule"),
        pytest.param("manifest", "application: 3", "manifest: .*version", id="no-manifest"),
    ],
)
def test_bad_files_are_told_apart(
    cli: CommandLine, files: dict[str, str], name: str, text: str, words: str
) -> None:
    import re

    Path(files[name]).write_text(text)
    ran = cli("rules", "test", files["rules"], files["events"], "--plan", files["plan"],
              "--manifest", files["manifest"])  # fmt: skip
    assert ran.code == ExitCode.USAGE
    assert ran.out == ""
    assert re.search(words, ran.err), ran.err


def test_a_file_that_is_not_there(cli: CommandLine, files: dict[str, str]) -> None:
    ran = cli("rules", "test", files["rules"] + "x", files["events"])
    assert ran.code == ExitCode.USAGE
    assert "cannot be read" in ran.err


def test_an_event_is_a_line_whatever_letters_are_in_it(
    cli: CommandLine, files: dict[str, str]
) -> None:
    """U+2028 and U+0085 end lines elsewhere; in JSON they stand in texts as they are."""
    event = json.loads(commute(0, 50)) | {"subject": "a\u2028b\x85c"}
    lines = [json.dumps(event, ensure_ascii=False), commute(30, 50)]
    Path(files["events"]).write_text("\r\n".join(lines), encoding="utf-8")
    ran = cli("rules", "test", files["rules"], files["events"], "-o", "json")
    assert ran.code == 0, ran.err
    assert [one["event"] for one in ran.document["steps"]] == ["1", "2"]
