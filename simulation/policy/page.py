"""The page of a simulation: one HTML file with everything in it, for whoever decides.

Maps before and after, what moved, loads over time, distances, residency and cost. No script, no
font and no picture is fetched; all names of units are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from simulation.policy.comparison import ComparedSides, Side
from simulation.policy.figures import Document, Scenario
from simulation.policy.side_map import side_map

MOST_UNITS = 200  # rows of the table: the largest
_SPARK = 120.0, 22.0  # width and height of a unit's line, px

_STYLE = """
:root{--ink:#1d2b3a;--quiet:#5c6f84;--line:#d9e1ea;--good:#2f8f5b;--bad:#c0392b;--blue:#3b6fd4}
*{box-sizing:border-box}body{margin:0;font:15px/1.5 Helvetica,Arial,sans-serif;color:var(--ink);
background:#f6f8fb}main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:34px 0 10px}p.lead{margin:0;
color:var(--quiet)}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));
gap:12px;margin-top:20px}.card{background:#fff;border:1px solid var(--line);border-radius:8px;
padding:12px 14px}.card b{display:block;font-size:22px}.card small{color:var(--quiet)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:16px}
figure{margin:0}figcaption{color:var(--quiet);font-size:13px;margin-top:4px}svg{width:100%;
height:auto;display:block}table{border-collapse:collapse;width:100%;background:#fff;
border:1px solid var(--line);font-size:13.5px}th,td{padding:5px 9px;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--quiet);font-weight:normal}
th:first-child,td:first-child{text-align:left}.bar{display:inline-block;height:9px;
background:var(--blue);vertical-align:middle;border-radius:2px}.bar.was{background:#b9c6d8}
.full{color:var(--bad)}td svg{width:120px;height:22px}.scroll{overflow-x:auto}
footer{margin-top:40px;color:var(--quiet);font-size:13px}
"""


def page_of(
    scenario: Scenario, outcome: ComparedSides, document: Document, *, attribution: str = ""
) -> str:
    """The file's text. attribution: of the geo database, which its licence asks for."""
    before, after = document["before"], document["after"]
    title = f"Policy simulation for tenant {scenario.tenant}"
    parts = [
        f"<h1>{escape(title)}</h1><p class=lead>{escape(_lead(scenario, document))}</p>",
        _cards(document),
        "<h2>Where clients live</h2><div class=pair>",
        _figure(scenario, outcome.before, "before", before),
        _figure(scenario, outcome.after, "after", after, without=scenario.without),
        "</div>",
        _moves(document),
        _distances(before, after),
        _residency(before, after),
        _units(before, after, sun=scenario.sun),
        _footer(attribution),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _lead(scenario: Scenario, document: Document) -> str:
    words = [
        f"{document['before']['clients']:,} clients ({scenario.population}) on "
        f"{len(scenario.units):,} units, placed anew under both policies, "
        + ("one after another" if scenario.engine == "exact" else "by classes of alike clients")
    ]
    if scenario.without:
        words.append(f"afterwards without {', '.join(scenario.without)}")
    if scenario.growth != 1.0:
        words.append(f"with {scenario.growth:g} times the clients")
    if scenario.sun:
        words.append("over a day as it goes round the world")
    return "; ".join(words) + "."


def _cards(document: Document) -> str:
    before, after, moved = document["before"], document["after"], document["moved"]
    cards = [
        ("placed nowhere", _percent(after["unplaced_share"]),
         f"{_percent(before['unplaced_share'])} before"),
        ("live elsewhere than before", _percent(moved["share"]), f"{moved['clients']:,} clients"),
        ("median distance", _km(after["distance_km"]["p50"]),
         f"{_km(before['distance_km']['p50'])} before"),
        ("99 % are within", _km(after["distance_km"]["p99"]),
         f"{_km(before['distance_km']['p99'])} before"),
        ("round trip by distance, 90 %", _ms(after["latency_ms"]["p90"]),
         f"{_ms(before['latency_ms']['p90'])} before"),
        ("units above 90 %", str(_crowded(after)), f"{_crowded(before)} before"),
    ]  # fmt: skip
    if "cost" in after:
        cards.append(
            ("cost", f"{after['cost']['total']:,.0f}", f"{before['cost']['total']:,.0f} before")
        )
    return (
        '<div class="cards">'
        + "".join(
            f"<div class=card><small>{escape(name)}</small><b>{escape(value)}</b>"
            f"<small>{escape(was)}</small></div>"
            for name, value, was in cards
        )
        + "</div>"
    )


def _crowded(side: Document) -> int:
    return sum(unit["load"] > 0.9 for unit in side["units"])


def _figure(
    scenario: Scenario, side: Side, when: str, document: Document, without: Sequence[str] = ()
) -> str:
    found = side_map(scenario, side, document, when=when, without=without)
    return f"<figure>{found}<figcaption>{when}</figcaption></figure>"


def _moves(document: Document) -> str:
    moved = document["moved"]
    if not moved["largest"]:
        return "<h2>Who moves</h2><p>Everybody lives where they lived before.</p>"
    rows = "".join(
        f"<tr><td>{escape(one['from'] or 'nowhere')} → {escape(one['to'] or 'nowhere')}</td>"
        f"<td>{one['clients']:,}</td></tr>"
        for one in moved["largest"][:20]
    )
    more = moved["ways"] - min(20, len(moved["largest"]))
    rest = f"<p class=lead>and {more:,} smaller ones</p>" if more > 0 else ""
    return (
        f"<h2>Who moves</h2><div class=scroll><table><tr><th>from → to</th><th>clients</th></tr>"
        f"{rows}</table></div>{rest}"
    )


def _distances(before: Document, after: Document) -> str:
    most = max([one["clients"] for one in [*before["distances"], *after["distances"]]] or [1]) or 1
    rows = []
    for was, now in zip(before["distances"], after["distances"], strict=True):
        bars = "".join(
            f'<div><span class="bar{kind}" style="width:{260 * n / most:.0f}px"></span> {n:,}</div>'
            for kind, n in ((" was", was["clients"]), ("", now["clients"]))
        )
        rows.append(
            f"<tr><td>up to {now['up_to_km']:,} km</td><td style='text-align:left'>{bars}</td></tr>"
        )
    quantiles = "".join(
        f"<tr><td>{name}</td><td>{_km(before['distance_km'][name])}</td>"
        f"<td>{_km(after['distance_km'][name])}</td><td>{_ms(before['latency_ms'][name])}</td>"
        f"<td>{_ms(after['latency_ms'][name])}</td></tr>"
        for name in after["distance_km"]
    )
    return (
        "<h2>Distance to the unit</h2><div class=pair><div class=scroll><table><tr><th>distance"
        "</th><th style='text-align:left'>clients before (grey) and after (blue)</th></tr>"
        f"{''.join(rows)}</table></div><div class=scroll><table><tr><th></th><th>km before</th>"
        f"<th>km after</th><th>round trip before</th><th>after</th></tr>{quantiles}</table></div>"
        "</div>"
    )


def _residency(before: Document, after: Document) -> str:
    names = ("same_country", "same_continent", "elsewhere", "unplaced")
    was = {one["certainty"]: one for one in before["residency"]}
    rows = []
    for one in after["residency"]:
        earlier = was.get(one["certainty"], dict.fromkeys(names, 0))
        cells = "".join(f"<td>{earlier[name]:,}</td><td>{one[name]:,}</td>" for name in names)
        rows.append(f"<tr><td>{escape(one['certainty'])}</td>{cells}</tr>")
    heads = "".join(f"<th>{name.replace('_', ' ')}, before</th><th>after</th>" for name in names)
    return (
        "<h2>Residency</h2><p class=lead>By how well the client's country is known.</p>"
        f"<div class=scroll><table><tr><th>country is</th>{heads}</tr>{''.join(rows)}</table></div>"
    )


def _units(before: Document, after: Document, *, sun: bool) -> str:
    was = {unit["id"]: unit for unit in before["units"]}
    largest = sorted(after["units"], key=lambda unit: (-unit["clients"], unit["id"]))[:MOST_UNITS]
    rows = []
    for unit in largest:
        earlier = was[unit["id"]]
        line = unit["active_by_hour"] if sun else unit["over_time"]
        full = " class=full" if unit["load"] > 0.95 else ""
        peak = f"<td>{unit['peak_hour_utc']:02d}:00</td>" if sun else ""
        rows.append(
            f"<tr><td>{escape(unit['id'])}</td><td>{earlier['clients']:,}</td>"
            f"<td>{unit['clients']:,}</td><td>{unit['capacity']:,}</td>"
            f"<td>{_percent(earlier['load'])}</td><td{full}>{_percent(unit['load'])}</td>"
            f"<td>{_line(line)}</td>{peak}</tr>"
        )
    more = len(after["units"]) - len(largest)
    rest = f"<p class=lead>and {more:,} smaller ones</p>" if more else ""
    over = "active by hour of day, UTC" if sun else "clients over time"
    peak = "<th>peak, UTC</th>" if sun else ""
    return (
        "<h2>Units</h2><div class=scroll><table><tr><th>unit</th><th>clients before</th><th>after"
        f"</th><th>capacity</th><th>load before</th><th>after</th><th>{over}</th>{peak}</tr>"
        f"{''.join(rows)}</table></div>{rest}"
    )


def _line(values: Sequence[float]) -> str:
    width, height = _SPARK
    most = max(values, default=0) or 1
    step = width / max(1, len(values) - 1)
    points = " ".join(
        f"{at * step:.1f},{height - 2 - (height - 4) * value / most:.1f}"
        for at, value in enumerate(values)
    )
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" aria-hidden="true"><polyline '
        f'points="{points}" fill="none" stroke="#3b6fd4" stroke-width="1.5"/></svg>'
    )


def _footer(attribution: str) -> str:
    words = "Round trips are what distance costs in fibre alone. Land: Natural Earth."
    if "db-ip.com" in attribution:
        words += ' <a href="https://db-ip.com">IP Geolocation by DB-IP</a>.'
    elif attribution:
        words += f" {escape(attribution)}."
    return f"<footer>{words}</footer>"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _km(value: Any) -> str:
    return "unknown" if value is None else f"{value:,.0f} km"


def _ms(value: Any) -> str:
    return "unknown" if value is None else f"{value:,.0f} ms"
