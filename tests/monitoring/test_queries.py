"""Every query of rules and dashboards parses, and names what a running server exposes."""

from __future__ import annotations

import json
import re

import pytest

from monitoring import dashboards
from tests.support.rule_files import ROOT, SCRAPED, alerts, families, rules, used

FAMILIES = families()
RECORDED = {rule["record"] for _, rule in rules() if "record" in rule}
BOARDS = {name: json.loads(content) for name, content in dashboards.files().items()}
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}".replace(" ", "-"))
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
UNITS = {"s", "bytes", "reqps", "short", "percentunit"}


def faults(query: str) -> list[str]:
    """What of a query no server exposes."""
    selectors, grouped = used(query)
    found, known = [], set(SCRAPED) | {"le"}
    for one in selectors:
        if one.metric == "up" or one.metric in RECORDED:
            continue
        family = FAMILIES.get(one.metric)
        if family is None:
            found.append(f"there is no metric {one.metric}")
            continue
        labels = {*family.labels, *SCRAPED, *(("le",) if one.metric.endswith("_bucket") else ())}
        known |= labels
        found += [f"{one.metric} has no label {name}" for name in one.labels - labels]
    return found + [f"nothing in it has the label {name}" for name in grouped - known]


@pytest.mark.parametrize(
    "rule", [r for _, r in rules()], ids=lambda r: r.get("alert") or r["record"]
)
def test_a_rule_names_what_servers_expose(rule) -> None:
    assert faults(rule["expr"]) == []


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_names_what_servers_expose(panel) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "5m")
        assert faults(query) == []
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert legend <= used(query)[1] | SCRAPED


@pytest.mark.parametrize(
    "query",
    [
        "homeport_no_such_metric > 0",
        'homeport_store_calls_total{client="a"}',
        "sum by (tenant) (homeport_store_connected)",
        "homeport_store_call_duration_seconds",
    ],
    ids=["no-metric", "no-label", "grouped-by-no-label", "a-histogram-by-its-bare-name"],
)
def test_what_no_server_exposes_is_found(query: str) -> None:
    assert faults(query)


def test_every_alert_says_what_to_do() -> None:
    for alert in alerts():
        assert re.fullmatch(r"Homeport([A-Z][a-z]+)+", alert["alert"])
        assert alert["labels"]["severity"] in ("page", "ticket")
        notes = alert["annotations"]
        assert notes["summary"]
        assert notes["description"]
        slug = re.sub(r"(?<!^)([A-Z])", r"-\1", alert["alert"].removeprefix("Homeport")).lower()
        assert notes["runbook_url"] == f"docs/runbooks/{slug}.md"
        page = (ROOT / notes["runbook_url"]).read_text()
        for heading in ("What it means", "How to see it", "What to do", "How it ends"):
            assert f"\n## {heading}\n" in page
        assert page.startswith(f"# {alert['alert']}\n")


def test_every_runbook_is_of_an_alert() -> None:
    pages = {f"docs/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {alert["annotations"]["runbook_url"] for alert in alerts()}


def test_dashboards_are_those_of_the_code() -> None:
    there = {path.name: path.read_text() for path in dashboards.FOLDER.glob("*.json")}
    assert there == dashboards.files()


def test_panels_do_not_overlap() -> None:
    for board in BOARDS.values():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken
            taken |= cells
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
