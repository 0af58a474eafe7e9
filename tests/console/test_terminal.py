"""What came from outside and is printed controls no terminal, formats nothing, breaks no line."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from rich.console import RenderableType

import homeport
from console.cli import health_checks, output
from console.cli.failure import CommandFailed, report
from console.cli.views import (
    ancestry,
    applications,
    decisions,
    geo,
    health,
    homes,
    move_jobs,
    plans,
    platforms,
    rule_memory,
    rules,
    tenants,
    units,
)
from homeport.api.datasharing.v1 import decision_pb2, plan_pb2, platform_pb2, registry_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from tests.support.filled_messages import filled

# Clears the screen, renames the window, begins a C1 sequence, turns the text round, ends a line;
# then what rich's markup would read.
HOSTILE = "a\x1b[2J\x1b]0;w\x07\x9b31m\u202eb\r\nc\x00\x7f[/][bold]:100:\u2028"


def hostile(message: Any) -> Any:
    return filled(message, text=HOSTILE, name=HOSTILE)


def assignment() -> homeport.Assignment:
    return homeport.Assignment(
        tenant=HOSTILE, client_id=HOSTILE, unit_id=HOSTILE, endpoint=HOSTILE, epoch=1,
        ticket=HOSTILE, ticket_expires_at=4e9, rule=HOSTILE, country=HOSTILE,
        source=homeport.LocationSource.DATABASE,
    )  # fmt: skip


def explanation() -> homeport.Explanation:
    unit = homeport.ConsideredUnit(
        unit_id=HOSTILE, verdict=homeport.PlacementVerdict.RANKED, rank=1, distance_km=1.0,
        load=0.1, reason=HOSTILE,
    )  # fmt: skip
    where = homeport.Location(
        source=homeport.LocationSource.DATABASE, country=HOSTILE, subdivision=HOSTILE,
        continent=HOSTILE, latitude=1.0, longitude=1.0, uncertainty_km=1.0,
    )  # fmt: skip
    return homeport.Explanation(
        location=where, location_reason=HOSTILE, units=(unit,), rule=HOSTILE, current=assignment(),
        stale=True, sentence=HOSTILE, quota_reason=HOSTILE,
        policy=homeport.ExplainedPolicy(
            version=1, certainty=HOSTILE, groups=(HOSTILE,), rings=(HOSTILE,),
            rules=(homeport.ExplainedRule(name=HOSTILE, holds=True, reason=HOSTILE),),
        ),
    )  # fmt: skip


def application() -> registry_pb2.GetApplicationResponse:
    found = hostile(registry_pb2.GetApplicationResponse())
    found.manifest = json.dumps({"note": HOSTILE})
    return found


def explained() -> decision_pb2.ExplainDecisionResponse:
    answer = hostile(decision_pb2.ExplainDecisionResponse())
    for one in answer.decisions:
        one.effects_json = json.dumps([{"to": {"note": HOSTILE}}])
    for one in answer.instructions:
        one.outcome.output_json = json.dumps({"said": HOSTILE})
    return answer


def traced() -> decision_pb2.GetAncestryResponse:
    answer = decision_pb2.GetAncestryResponse(root_id=HOSTILE, cut=True)
    for depth in (0, 1, -1):
        node = hostile(decision_pb2.AncestryNode())
        node.depth, node.node_id = depth, HOSTILE * (1 + abs(depth)) + "c" * (depth > 0)
        answer.nodes.append(node)
        effect = HOSTILE if depth < 0 else node.node_id
        answer.edges.add(cause_id=node.node_id if depth < 0 else HOSTILE, effect_id=effect)
    return answer


VIEWS: dict[str, Callable[[], RenderableType]] = {
    "units": lambda: units.fleet_table([hostile(fleet_pb2.Unit())]),
    "unit": lambda: units.unit_table(hostile(fleet_pb2.Unit())),
    "jobs": lambda: move_jobs.jobs_table([hostile(fleet_pb2.MoveJob())]),
    "plan of moves": lambda: move_jobs.plan_view(hostile(fleet_pb2.MovePlan()), HOSTILE),
    "tenants": lambda: tenants.tenants_table([hostile(tenancy_pb2.Tenant())]),
    "assignment": lambda: homes.assignment_table(assignment()),
    "placement": lambda: homes.explanation_view(HOSTILE, explanation()),
    "applications": lambda: applications.applications_table([hostile(registry_pb2.Application())]),
    "application": lambda: applications.application_view(application()),
    "faults": lambda: applications.faults_table([hostile(registry_pb2.Fault())]),
    "rules": lambda: rules.rules_table([hostile(rule_pb2.Rule())]),
    "memory": lambda: rule_memory.bounds_table(hostile(rule_pb2.GetMemoryResponse())),
    "plans": lambda: plans.plans_table([hostile(plan_pb2.Plan())]),
    "plan": lambda: plans.plan_table(hostile(plan_pb2.Plan())),
    "history": lambda: plans.history_table([hostile(plan_pb2.PlanChange())]),
    "decisions": lambda: decisions.decisions_table([hostile(decision_pb2.Decision())]),
    "instructions": lambda: decisions.instructions_table([hostile(decision_pb2.Instruction())]),
    "dead letters": lambda: decisions.dead_letters_table([hostile(decision_pb2.DeadLetter())]),
    "decision": lambda: decisions.explanation_view(explained()),
    "ancestry": lambda: ancestry.ancestry_view(traced()),
    "platforms": lambda: platforms.platforms_table([hostile(platform_pb2.Platform())]),
    "geo": lambda: geo.known_facts({"description": HOSTILE}),
    "findings": lambda: health.findings_table([health_checks.warn("x", HOSTILE, HOSTILE)]),
    "no view of ours": lambda: HOSTILE.replace("[/][bold]", ""),
}
EACH = pytest.mark.parametrize("view", [pytest.param(v, id=name) for name, v in VIEWS.items()])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def controls(text: str) -> list[str]:
    """Control characters but line feeds; rich's own colours are none."""
    rest = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [
        one for one in rest
        if one != "\n" and (unicodedata.category(one) in ("Cc", "Cs", "Zl") or one == "\u202e")
    ]  # fmt: skip


@EACH
def test_a_terminal_is_not_controlled(
    view: Callable[[], RenderableType], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    output.show({}, output.Format.TABLE, view, stream=terminal)
    shown = terminal.getvalue()
    assert not controls(shown)
    assert "\x1b[2J" not in shown
    assert "\x1b]0;" not in shown


@EACH
def test_a_line_of_a_pipe_is_not_broken(
    view: Callable[[], RenderableType], capsys: pytest.CaptureFixture[str]
) -> None:
    if view is VIEWS["no view of ours"]:
        return
    output.show({}, output.Format.TABLE, view)
    shown = capsys.readouterr().out
    assert not controls(shown)
    assert not [line for line in shown.splitlines() if line.startswith("c␀")]
    assert ":100:" in shown or view in (VIEWS["units"],)
    assert "[/]" in shown or view in (VIEWS["units"],)


@pytest.mark.parametrize("format_", [output.Format.JSON, output.Format.YAML])
def test_documents_keep_their_value_and_control_nothing(
    format_: output.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {"said": HOSTILE, "place": "Zürich"}
    output.show(document, format_, lambda: "")
    output.show_event(document, format_, lambda: "")
    shown = capsys.readouterr().out
    assert not controls(shown)
    if format_ is output.Format.YAML:
        assert list(yaml.safe_load_all(shown)) == [document, document]


def test_an_error_and_a_note_control_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report(CommandFailed(HOSTILE))
    output.note(HOSTILE.replace("[/][bold]", ""))
    with output.busy(HOSTILE) as say:
        say(HOSTILE)
    assert not controls(capsys.readouterr().err)


def test_what_looks_like_an_emoji_is_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    output.show({}, output.Format.TABLE, lambda: "user:100:tag")
    assert capsys.readouterr().out == "user:100:tag\n"
