"""How a backtest is shown: one document for programs; bars, a table and examples for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from console.cli.deciding.backtest import BacktestReport
from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole
from console.cli.views.times import time_text
from control_plane.printable import number_of
from data_sharing.management.backtest import (
    MINUTE_MS,
    Backtest,
    BacktestSide,
    Differences,
    RuleCounts,
    RuleFiring,
)
from data_sharing.rules.results import EffectStatus, RuleVerdict

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = 60  # of a picture over time
_BARS = " ▁▂▃▄▅▆▇█"

# -- for programs ----------------------------------------------------------------------


def document_of(report: BacktestReport) -> dict[str, Any]:
    """Counts of the rules of the file, proposed and as they are in force, and what differs."""
    backtest = report.backtest
    return {
        "events": backtest.events,
        "from": time_text(backtest.first_ms) if backtest.events else None,
        "to": time_text(backtest.last_ms) if backtest.events else None,
        "older_events_gone": report.trimmed,
        "rules": [
            {
                "rule": name,
                "proposed": _tally(backtest.proposed.counts_by_rule.get(name)),
                "in_force": _tally(backtest.in_force.counts_by_rule.get(name)),
            }
            for name in report.rules
        ],
        "actions": {
            "proposed": dict(backtest.proposed.actions),
            "in_force": dict(backtest.in_force.actions),
        },
        "differences": {
            name: {"count": one.count, "examples": [_pair(*pair) for pair in one.examples]}
            for name, one in _differences(backtest)
        },
        "left_out": report.left_out,
        "warnings": list(report.warnings),
    }


def _differences(backtest: Backtest) -> list[tuple[str, Differences]]:
    return [("added", backtest.added), ("gone", backtest.gone), ("changed", backtest.changed)]


def _tally(tally: RuleCounts | None) -> dict[str, Any]:
    tally = tally or RuleCounts()
    return {
        "fired": tally.verdicts[RuleVerdict.FIRED],
        "verdicts": {verdict.value: count for verdict, count in sorted(tally.verdicts.items())},
        "effects": {status.value: count for status, count in sorted(tally.statuses.items())},
        "failures": tally.failures,
        "examples": [_firing(one) for one in tally.examples],
    }


def _pair(proposed: RuleFiring | None, in_force: RuleFiring | None) -> dict[str, Any]:
    return {"proposed": _firing(proposed), "in_force": _firing(in_force)}


def _firing(one: RuleFiring | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "rule": one.rule, "at": time_text(one.at_ms), "cause": one.cause, "key": one.key or None,
        "plan": one.plan_id or None, "events": [ref.id for ref in one.events],
        "effects": list(one.effects),
    }  # fmt: skip


# -- for people ------------------------------------------------------------------------


def view_of(report: BacktestReport) -> RenderableType:
    """When rules fired, how often, and what would be different."""
    from rich.console import Group

    backtest = report.backtest
    if not backtest.events:
        return "no events are kept of that time"
    parts: list[RenderableType] = [
        f"{number_of(backtest.events, 'event')}, accepted {time_text(backtest.first_ms)} to "
        f"{time_text(backtest.last_ms)}"
    ]
    if report.trimmed:
        parts.append("[yellow]older events were asked for, but are not kept any more[/]")
    parts += [
        f"[yellow]left out: {escape(name)}: {escape(why)}[/]"
        for name, why in sorted(report.left_out.items())
    ]
    parts += [
        f"fired   proposed [green]{_over_time(backtest, backtest.proposed)}[/]",
        f"        in force [blue]{_over_time(backtest, backtest.in_force)}[/]",
        backtest_table(report),
    ]
    for name, one in _differences(backtest):
        parts += _difference_lines(name, one)
    if not any(one.count for _, one in _differences(backtest)):
        parts.append("nothing would be different")
    return Group(*parts)


def _over_time(backtest: Backtest, side: BacktestSide) -> str:
    """A bar for each stretch of the time, as high as the side fired then, to the same scale."""
    first = backtest.first_ms // MINUTE_MS
    minutes = backtest.last_ms // MINUTE_MS - first + 1
    columns = min(COLUMNS, minutes)

    def columns_of(one: BacktestSide) -> Counter[int]:
        found = Counter[int]()
        for minute, count in one.fired_by_minute.items():
            found[(minute - first) * columns // minutes] += count
        return found

    most = max(
        [*columns_of(backtest.proposed).values(), *columns_of(backtest.in_force).values(), 1]
    )
    mine = columns_of(side)
    bars = "".join(_BARS[-(-mine[column] * 8 // most)] for column in range(columns))
    return f"{bars} {side.fired:,}"


def backtest_table(report: BacktestReport) -> Table:
    table = Table(
        whole("rule"), *map(number, ("fired now", "proposed")),
        *(optional(number(fate)) for fate in ("taken", "unchanged", "overruled")), fold("errors"),
    )  # fmt: skip
    for name in report.rules:
        ours = report.backtest.proposed.counts_by_rule.get(name) or RuleCounts()
        theirs = report.backtest.in_force.counts_by_rule.get(name) or RuleCounts()
        errors = ours.verdicts[RuleVerdict.ERROR] + ours.verdicts[RuleVerdict.PARKED]
        table.add_row(
            escape(name),
            f"{theirs.verdicts[RuleVerdict.FIRED]:,}",
            f"{ours.verdicts[RuleVerdict.FIRED]:,}",
            *(
                f"{ours.statuses[status]:,}"
                for status in (EffectStatus.TAKEN, EffectStatus.UNCHANGED, EffectStatus.OVERRULED)
            ),
            f"[red]{errors:,}: {escape(ours.failures[0])}[/]" if errors else "0",
        )
    return table


_SAID = {
    "added": ("green", "more: only the proposed rules fire"),
    "gone": ("red", "fewer: only the rules in force fire"),
    "changed": ("yellow", "otherwise: both fire, and do something else"),
}


def _difference_lines(name: str, one: Differences) -> list[RenderableType]:
    if not one.count:
        return []
    colour, said = _SAID[name]
    lines: list[RenderableType] = [f"[{colour}]{one.count:,} {said}[/]"]
    for pair in one.examples[:3]:
        ours, theirs = pair
        shown = ours or theirs
        assert shown is not None
        plan = f" plan {escape(shown.plan_id)}" if shown.plan_id else ""
        head = f"  {time_text(shown.at_ms)} {escape(shown.rule)}"
        lines.append(f"{head} [dim]by {escape(shown.cause)}[/]{plan}")
        for word, firing in (("proposed", ours), ("in force", theirs)):
            if firing is not None:
                lines += [f"    [dim]{word}[/] {escape(effect)}" for effect in firing.effects]
    return lines
