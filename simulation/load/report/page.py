"""The page: what happened, in a sentence first, then in charts and tables. Pure.

It holds the run's whole document as JSON, so that the run can be repeated from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from simulation.load.limits import WORDS, Limit
from simulation.load.report.plots import Curve, plot
from simulation.load.report.tables import table
from simulation.load.report.units import units_section

HOLDER = "homeport-load"
_HELD = re.compile(rf'<script type="application/json" id="{HOLDER}">(.*?)</script>', re.DOTALL)
_KIND_COLOURS = {
    "new": "#4cc3f0", "known": "#7bd88f", "roaming": "#b794f6", "moving": "#f6b73c",
    "released": "#ef6f8e", "grpc": "#4cc3f0", "http": "#7bd88f",
}  # fmt: skip
_STYLE = """
body{margin:0;background:#0d1624;color:#dfe7f1;font:15px/1.5 system-ui,sans-serif}
main{max-width:960px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:34px 0 8px}
p.quiet,td.quiet,figcaption span{color:#8798ad}
.said{background:#111d2e;border-left:4px solid #7bd88f;padding:12px 16px;margin:18px 0}
.said.bad{border-color:#ef6f8e}
figure{margin:14px 0;background:#111d2e;padding:12px 12px 4px}
figcaption span{margin-left:16px}figcaption i{display:inline-block;width:10px;height:10px;
margin-right:5px;border-radius:2px}
svg line{stroke:#1f2f45}svg text{fill:#8798ad;font-size:11px}
table{border-collapse:collapse;width:100%;background:#111d2e}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid #1a2940}
th:first-child,td:first-child{text-align:left}th{color:#8798ad;font-weight:normal}
.ok{color:#7bd88f}.no{color:#ef6f8e}code{color:#f6b73c}
.scroll{overflow-x:auto}
"""


def report_page(result: Mapping[str, Any]) -> str:
    """HTML of a LoadResult's document."""
    settings, calls = result["settings"], result["calls"]
    held = json.dumps(result, separators=(",", ":")).replace("<", "\\u003c")
    good = all(one["held"] for one in result.get("thresholds", ()))
    bad = "" if good and result["limit"] == Limit.NOTHING.value else " bad"
    title = (
        f"{calls['arrived']:,} arrivals of {settings['users']:,} users in {result['lasted_s']} s"
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Homeport load: {escape(settings['scenario'])}</title>",
            f"<style>{_STYLE}</style></head><body><main>",
            f"<h1>Homeport under load: {escape(settings['scenario'])}</h1>",
            f'<p class="quiet">{title}, {escape(str(result.get("began", "")))}, '
            f"at {escape(', '.join(result.get('servers', ())))}</p>",
            f'<div class="said{bad}">{"<br>".join(escape(one) for one in summary(result))}</div>',
            _thresholds(result.get("thresholds", ())),
            "<h2>Arrivals and goodput</h2>",
            _traffic(result["seconds"]),
            "<h2>Latency</h2>",
            '<p class="quiet">From the moment at which a user was due, not from when its call '
            "was sent: whoever had to wait counts as waiting.</p>",
            *_latencies(result["seconds"]),
            _kinds(result["kinds"]),
            units_section(result),
            "<h2>What limited it</h2>",
            _limits(result["limits"]),
            _refusals(result),
            "<h2>Once more</h2>",
            "<p>The same users at the same times: "
            "<code>homeport load --from-report THIS-FILE</code></p>",
            f'<script type="application/json" id="{HOLDER}">{held}</script>',
            "</main></body></html>",
        ]
    )


def held_result(page: str) -> dict[str, Any]:
    """The document that a report holds. Raises ValueError where it holds none."""
    found = _HELD.search(page)
    if found is None:
        raise ValueError("it is no report of homeport load")
    try:
        result = json.loads(found[1])
    except RecursionError:
        raise ValueError("it is no report of homeport load") from None
    if not isinstance(result, dict) or "settings" not in result:
        raise ValueError("it is no report of homeport load")
    return result


def summary(result: Mapping[str, Any]) -> list[str]:
    """What a run came to, in a few sentences for somebody in a hurry."""
    calls, latency = result["calls"], result["latency_ms"]
    refused, failed = sum(calls["refused"].values()), sum(calls["failed"].values())
    asked = max(1, calls["asked"])
    said = [
        f"{calls['good'] / asked:.1%} of {calls['asked']:,} calls were answered well and in time, "
        f"{result['goodput_per_s']:,.0f} a second; {refused / asked:.1%} were refused, "
        f"{failed / asked:.1%} failed."
    ]
    if calls["good"]:
        said.append(
            f"Half of them took less than {milliseconds(latency['p50'])}, 99 of 100 less than "
            f"{milliseconds(latency['p99'])}."
        )
    said += _outcomes_said(result["kinds"].get("outcome"))
    if calls["lost_users"]:
        said.append(f"{calls['lost_users']:,} times a user gave up.")
    if result["homeless"]:
        said.append(
            f"{result['homeless']:,} of {result['prepared']:,} users found no home before the "
            "clock started."
        )
    limit = Limit(result["limit"])
    if limit is Limit.NOTHING:
        said.append("Nothing limited it.")
    else:
        said.append(f"What limited it longest was {WORDS[limit]}.")
    if result.get("interrupted"):
        said.append("It was interrupted before its end.")
    return said


def _outcomes_said(outcome: Mapping[str, Any] | None) -> list[str]:
    if outcome is None:
        return []
    latency = outcome["latency_ms"]
    said = f"{outcome['good']:,} of {outcome['arrived']:,} outcomes that had to follow came"
    if not outcome["good"]:
        return [f"{said}."]
    return [
        f"{said}: half of them within {milliseconds(latency['p50'])} of when their event was due, "
        f"99 of 100 within {milliseconds(latency['p99'])}."
    ]


def milliseconds(value: float) -> str:
    """A duration as people say it."""
    if value >= 1_000:
        return f"{value / 1e3:,.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def _traffic(seconds: Sequence[Mapping[str, Any]]) -> str:
    def values(key: str) -> list[float | None]:
        return [one[key] for one in seconds]

    return plot(
        [
            Curve(name="users who arrived", colour="#dfe7f1", values=values("arrived")),
            Curve(name="good answers", colour="#7bd88f", values=values("good"), filled=True),
            Curve(name="refused", colour="#f6b73c", values=values("refused")),
            Curve(name="failed", colour="#ef6f8e", values=values("failed")),
            *(
                [
                    Curve(
                        name="outcomes",
                        colour="#b794f6",
                        values=[one.get("outcomes", 0) for one in seconds],
                    )
                ]
                if any("outcomes" in one for one in seconds)
                else []
            ),
        ],
        title="Each second",
    )


def _latencies(seconds: Sequence[Mapping[str, Any]]) -> list[str]:
    whole = [
        Curve(name="p50", colour="#7bd88f", values=[one["p50"] for one in seconds]),
        Curve(name="p99", colour="#f6b73c", values=[one["p99"] for one in seconds]),
        Curve(
            name="this generator was late by (p99)",
            colour="#6f9bff",
            values=[one["late_p99"] for one in seconds],
        ),
    ]
    kinds = [
        Curve(name=kind, colour=colour, values=[one["kinds_p99"].get(kind) for one in seconds])
        for kind, colour in _KIND_COLOURS.items()
        if any(kind in one["kinds_p99"] for one in seconds)
    ]
    plots = [
        plot(whole, title="All users", unit="ms", log=True),
        plot(kinds, title="p99 by kind of user", unit="ms", log=True),
    ]
    outcomes = [
        Curve(name=name, colour=colour, values=[one.get(key) for one in seconds])
        for name, key, colour in (
            ("p50", "outcome_p50", "#b794f6"), ("p99", "outcome_p99", "#ef6f8e"),
        )
    ]  # fmt: skip
    if any(value is not None for curve in outcomes for value in curve.values):
        plots.append(plot(outcomes, title="From an event to its outcome", unit="ms", log=True))
    return plots


def _kinds(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    columns = ("p50", "p90", "p99", "p99.9", "max")
    rows = [
        [
            kind, f"{one['arrived']:,}", f"{one['good']:,}", f"{one['refused']:,}",
            *(milliseconds(one["latency_ms"][key]) if one["good"] else "–" for key in columns),
        ]
        for kind, one in kinds.items()
    ]  # fmt: skip
    return table(("users", "arrived", "good", "refused", *columns), rows)


def _thresholds(thresholds: Sequence[Mapping[str, Any]]) -> str:
    if not thresholds:
        return ""
    marks = {True: '<span class="ok">held</span>', False: '<span class="no">broken</span>'}
    rows = "".join(
        f"<tr><td>{escape(one['sentence'])}</td><td>{marks[one['held']]}</td></tr>"
        for one in thresholds
    )
    return f"<h2>Thresholds</h2><table>{rows}</table>"


def _limits(limits: Sequence[Mapping[str, Any]]) -> str:
    return table(("what", "seconds"), [[one["words"], f"{one['seconds']:,}"] for one in limits])


def _refusals(result: Mapping[str, Any]) -> str:
    refusals, calls = result["refusals"], result["calls"]
    if not refusals["count"] and not calls["failed"]:
        return ""
    rows = [
        *([f"refused: {reason}", f"{count:,}"] for reason, count in calls["refused"].items()),
        *([f"failed: {kind}", f"{count:,}"] for kind, count in calls["failed"].items()),
    ]
    said = ""
    if refusals["count"]:
        told = refusals["count"] - refusals["without_retry_info"]
        said = f"<p>{told:,} of {refusals['count']:,} refusals said when to come back"
        spread = refusals["delays_s"]
        if spread:
            said += (
                f": from {spread['min']:g} to {spread['max']:g} s, half of them within "
                f"{spread['p50']:g} s"
            )
        said += ".</p>"
    return f"<h2>Who was not served</h2>{table(('what', 'calls'), rows)}{said}"
