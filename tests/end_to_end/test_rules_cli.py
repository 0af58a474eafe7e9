"""`homeport rules` and `homeport plans` against a real server, as scripts see them."""

from __future__ import annotations

import uuid

import pytest

from console.cli.main import main
from tests.support.command_line import Ran
from tests.support.data_sharing_server import SharingServer
from tests.support.submissions import SPEED, text, traffic

RULES = f"""
rules:
  - rule: slow
    watch: {{t: {{feed: {SPEED}}}}}
    plan: {{of: '"user-1"'}}
    when: t.data.speed_kmh < 30
    do: [{{change: {{shift: duration("-20m")}}}}]
"""
PLAN = """
plan: work
owner: user-1
at: 2390-03-02T09:00
zone: Europe/Berlin
actions:
  heating: {application: heating, action: heat, offset: -45m, config: {minutes: 10}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with SharingServer(tmp_path_factory.mktemp("rules")) as one:
        yield one


@pytest.fixture
def homeport(server, tmp_path, monkeypatch, capsys):
    """Runs a command, in this process, for a tenant of the test's own, with its applications
    submitted."""
    monkeypatch.setenv("HOMEPORT_DATA_SERVER", server.address)
    monkeypatch.setenv("HOMEPORT_TENANT", f"t-{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=told.out, err=told.err)

    (tmp_path / "traffic.yaml").write_text(text(traffic()))
    submitted = run("apps", "submit", str(tmp_path / "traffic.yaml"))
    assert submitted.code == 0, submitted.err
    return run


def test_rules_are_applied_listed_shown_and_retired(homeport, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    dry = homeport("rules", "apply", str(file), "--dry-run", "-o", "json")
    assert dry.code == 0, dry.err
    assert homeport("rules", "list", "-o", "json").document == {"rules": []}
    applied = homeport("rules", "apply", str(file), "-o", "json")
    assert [(one["id"], one["version"]) for one in applied.document["rules"]] == [("slow", 1)]
    again = homeport("rules", "apply", str(file), "-o", "json")
    assert again.document["rules"][0]["version"] == 1
    file.write_text(RULES.replace("< 30", "< 20"))
    assert homeport("rules", "apply", str(file), "-o", "json").document["rules"][0]["version"] == 2
    shown = homeport("rules", "show", "slow", "--version", "1", "-o", "json").document
    assert shown["spec"]["when"] == "t.data.speed_kmh < 30"
    assert homeport("rules", "retire", "slow").code == 0
    assert homeport("rules", "list", "-o", "json").document == {"rules": []}
    assert homeport("rules", "list", "--retired", "-o", "json").document["rules"][0]["retired"]
    assert homeport("rules", "show", "nothing").code == 3


def test_a_rule_at_fault_says_where(homeport, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.replace("speed_kmh", "speed_mph").replace("shift: duration", "shift: x"))
    ran = homeport("rules", "apply", str(file))
    assert ran.code == 2
    assert "rules.slow.when" in ran.err
    assert "rules.slow.do[0].change.shift" in ran.err


def test_a_plan_is_changed_by_rule_and_user_and_both_are_undone(homeport, tmp_path):
    plan, rules = tmp_path / "plan.yaml", tmp_path / "rules.yaml"
    plan.write_text(PLAN)
    rules.write_text(RULES)
    created = homeport("plans", "create", str(plan), "-o", "json")
    assert created.code == 0, created.err
    assert created.document["next"]["effective_time"] == "2390-03-02T08:00:00Z"
    assert homeport("rules", "apply", str(rules)).code == 0
    published = homeport("events", "publish", "--data", '{"road": "A1", "speed_kmh": 12}',
                         "--type", SPEED)  # fmt: skip
    assert published.code == 0, published.err
    assert homeport("plans", "show", "work", "-o", "json").document["next"]["effective_time"] == (
        "2390-03-02T07:40:00Z"
    )
    changed = homeport("plans", "change", "work", "--set", "heating.minutes=20", "--note", "cold",
                       "-o", "json")  # fmt: skip
    assert changed.code == 0, changed.err
    assert changed.document["next"]["actions"][0]["config"] == {"minutes": 20}
    history = homeport("plans", "history", "work", "-o", "json").document["changes"]
    assert [one["by"].split()[0] for one in history] == ["user", "rule"]
    assert history[1]["fields"] == [{"field": "shift_ms", "before": None, "after": -1_200_000}]
    undone = homeport("plans", "undo", "work", history[1]["id"], "-o", "json").document
    assert undone["next"]["effective_time"] == "2390-03-02T08:00:00Z"
    assert undone["next"]["actions"][0]["config"] == {"minutes": 20}
    listed = homeport("plans", "list", "--owner", "user-1", "-o", "json").document["plans"]
    assert [one["id"] for one in listed] == ["work"]
    assert homeport("plans", "cancel", "work").code == 0
    assert homeport("plans", "show", "work", "-o", "json").document["next"] is None
    assert homeport("plans", "show", "play").code == 3
    assert homeport("plans", "change", "work", "--shift", "5m").code != 0
    assert homeport("plans", "history", "work").code == 0


def test_rules_are_tried_on_what_a_server_has_kept(homeport, tmp_path):
    plan, rules = tmp_path / "plan.yaml", tmp_path / "rules.yaml"
    plan.write_text(PLAN)
    rules.write_text(RULES)
    empty = homeport("rules", "backtest", str(rules))
    assert empty.code == 0, empty.err
    assert "no events" in empty.out
    assert homeport("plans", "create", str(plan)).code == 0
    assert homeport("rules", "apply", str(rules)).code == 0
    for speed in (12, 40, 80):
        data = f'{{"road": "A1", "speed_kmh": {speed}}}'
        assert homeport("events", "publish", "--data", data, "--type", SPEED).code == 0
    rules.write_text(RULES.replace("< 30", "< 50"))
    ran = homeport("rules", "backtest", str(rules), "-o", "json")
    assert ran.code == 0, ran.err
    told = ran.document
    assert told["events"] == 3
    (rule,) = told["rules"]
    assert (rule["in_force"]["fired"], rule["proposed"]["fired"]) == (1, 2)
    assert rule["proposed"]["effects"] == {"taken": 1, "unchanged": 1}
    assert [told["differences"][one]["count"] for one in ("added", "gone", "changed")] == [1, 0, 0]
    (example,) = told["differences"]["added"]["examples"]
    assert example["proposed"]["plan"] == "work"
    assert example["in_force"] is None
    for_people = homeport("rules", "backtest", str(rules), "--plan", str(plan))
    assert "1 more: only the proposed rules fire" in for_people.out
    assert homeport("rules", "show", "slow", "-o", "json").document["version"] == 1
    rules.write_text(
        RULES.replace(
            "t.data.speed_kmh <", "10 / (size(t.data.road) - 2) > 0 && t.data.speed_kmh <"
        )
    )
    fragile = homeport("rules", "backtest", str(rules), "-o", "json")
    assert "may be 0" in fragile.err
    assert "may be 0" in fragile.document["warnings"][0]
    later = homeport("rules", "backtest", str(rules), "--since", "2390-01-01T00:00:00Z")
    assert "no events" in later.out
    rules.write_text(RULES.replace("speed_kmh", "speed_mph"))
    wrong = homeport("rules", "backtest", str(rules))
    assert wrong.code == 2
    assert "rules.slow.when" in wrong.err
    assert homeport("rules", "backtest", str(plan), "--since", "yesterday").code == 2
