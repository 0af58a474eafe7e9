"""The JSON of Grafana dashboards: panels in rows of a grid 24 wide, over one Prometheus source.

Only what these dashboards use of the dashboard JSON model
(https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 8, 7
PER_ROW = 3
SCHEMA_VERSION = 39  # Grafana 10.4; newer ones convert it
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph. queries: (expression, legend); unit: in Grafana's words, s, bytes, reqps …"""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


def dashboard(uid: str, title: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The whole document. uid: stays the same for ever, links name it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": [],
            }
        )  # fmt: skip
        y += 1
        for place, panel in enumerate(row.panels):
            x, line = place % PER_ROW * WIDTH, place // PER_ROW
            panels.append(_panel(len(panels) + 1, panel, x, y + line * HEIGHT))
        y += -(-len(row.panels) // PER_ROW) * HEIGHT
    return {
        "uid": uid,
        "title": title,
        "tags": ["homeport"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                },
                {
                    "name": "instance",
                    "label": "Server",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(homeport_build_info, instance)",
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
