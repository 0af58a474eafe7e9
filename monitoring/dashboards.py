"""The dashboards: requests, errors and durations of what is served (RED, Tom Wilkie's method), and
utilisation, saturation and errors of what it is served with (USE,
https://www.brendangregg.com/usemethod.html).

`python -m monitoring.dashboards` writes them for the chart; with --check it says whether they are
up to date.
"""

# ruff: noqa: E501  # a panel a line

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitoring.panels import Panel, Row, dashboard

FOLDER = Path(__file__).resolve().parents[1] / "helm" / "homeport" / "files" / "dashboards"
_AT = 'instance=~"$instance"'
_RATE = "$__rate_interval"


def rate(metric: str, by: str, *, where: str = "") -> str:
    """Per second, added up."""
    return f"sum by ({by}) (rate({metric}{{{', '.join(filter(None, (_AT, where)))}}}[{_RATE}]))"


def quantile(share: float, metric: str, *, by: str = "", where: str = "") -> str:
    """Of a histogram."""
    labels = ", ".join(filter(None, (by, "le")))
    return f"histogram_quantile({share:g}, {rate(f'{metric}_bucket', labels, where=where)})"


def now(metric: str, by: str, *, how: str = "sum") -> str:
    """A gauge."""
    return f"{how} by ({by}) ({metric}{{{_AT}}})"


def times(title: str, metric: str, *, where: str = "", about: str = "") -> Panel:
    """Median and tail of a histogram."""
    shares = (0.5, 0.99)
    return Panel(
        title=title,
        unit="s",
        about=about,
        queries=[(quantile(s, metric, where=where), f"p{s * 100:g}") for s in shares],
    )


def one(title: str, unit: str, query: str, legend: str, about: str = "") -> Panel:
    """A panel of one query."""
    return Panel(title=title, unit=unit, queries=[(query, legend)], about=about)


def provisioning() -> dict[str, Any]:
    """RED of provisioning."""
    new, known = 'outcome="new"', 'outcome="known"'
    duration = "homeport_provisioning_duration_seconds"
    return dashboard(
        "homeport-provisioning",
        "Homeport / Provisioning",
        [
            Row(title="Requests", panels=[
                one("Clients answered", "reqps", rate("homeport_provisioning_answers_total", "outcome"), "{{outcome}}"),
                one("Calls by method", "reqps", rate("homeport_rpc_calls_total", "method"), "{{method}}"),
                one("Clients that wait", "short", now("homeport_provisioning_under_way_clients", "instance"), "{{instance}}"),
            ]),
            Row(title="Errors", panels=[
                one("Clients refused", "reqps", rate("homeport_provisioning_failures_total", "code"), "{{code}}"),
                one("Known clients let down", "percentunit", "homeport:known_clients_failed:ratio_rate5m", "share", "The objective is 0.1 % over 30 days."),
                one("Turned away", "reqps", rate("homeport_provisioning_turned_away_total", "instance"), "{{instance}}"),
                one("Calls that failed", "reqps", rate("homeport_rpc_calls_total", "method, code", where='code!="OK"'), "{{method}} {{code}}"),
                one("Over a quota", "reqps", rate("homeport_quota_refused_total", "tenant, quota"), "{{tenant}} {{quota}}"),
                one("Credentials refused", "reqps", rate("homeport_auth_refused_credentials_total", "reason"), "{{reason}}"),
            ]),
            Row(title="Durations", panels=[
                times("New clients: time to a home", duration, where=new),
                times("Known clients: time to an answer", duration, where=known),
                one("Steps", "s", quantile(0.99, "homeport_provisioning_step_duration_seconds", by="step"), "{{step}} p99"),
                one("Calls", "s", quantile(0.99, "homeport_rpc_duration_seconds", by="method"), "{{method}} p99"),
            ]),
        ],
    )  # fmt: skip


def resources() -> dict[str, Any]:
    """USE of a server: store, ledger, loop, connections, disk."""
    store = "homeport_store_call_duration_seconds"
    return dashboard(
        "homeport-resources",
        "Homeport / Store and servers",
        [
            Row(title="Store", panels=[
                one("Calls by outcome", "reqps", rate("homeport_store_calls_total", "operation, outcome"), "{{operation}} {{outcome}}"),
                one("Calls: time", "s", quantile(0.99, store, by="operation"), "{{operation}} p99"),
                one("The store answers", "short", now("homeport_store_connected", "instance", how="min"), "{{instance}}"),
                one("Watches: late", "s", quantile(0.99, "homeport_store_watch_lag_seconds", by="prefix"), "{{prefix}} p99"),
                one("Watches: behind now", "s", now("homeport_store_watch_behind_seconds", "prefix", how="max"), "{{prefix}}"),
                one("Snapshot: age", "s", now("homeport_provisioner_snapshot_age_seconds", "instance", how="max"), "{{instance}}"),
            ]),
            Row(title="Group commit", panels=[
                one("Operations that wait", "short", now("homeport_ledger_waiting_operations", "instance"), "{{instance}}"),
                one("Operations in a transaction", "short", quantile(0.5, "homeport_ledger_batch_operations"), "p50"),
                times("Commit: time", "homeport_ledger_commit_duration_seconds"),
                one("Transactions", "reqps", rate("homeport_ledger_transactions_total", "outcome"), "{{outcome}}"),
                one("Clients that wait for a slot", "short", now("homeport_ledger_without_slot_clients", "instance"), "{{instance}}"),
                one("Sessions begun", "reqps", rate("homeport_ledger_sessions_total", "instance"), "{{instance}}"),
            ]),
            Row(title="Server", panels=[
                times("Event loop: late", "homeport_event_loop_lag_seconds"),
                one("CPU", "percentunit", rate("process_cpu_seconds_total", "instance"), "{{instance}}"),
                one("Memory", "bytes", now("process_resident_memory_bytes", "instance"), "{{instance}}"),
                one("Connections", "short", now("homeport_connections_open", "instance"), "{{instance}}"),
                one("Connections closed", "reqps", rate("homeport_connections_closed_total", "reason"), "{{reason}}"),
                one("Descriptors", "percentunit", f"process_open_fds{{{_AT}}} / process_max_fds{{{_AT}}}", "{{instance}}"),
                one("Disk: free", "bytes", now("homeport_disk_free_bytes", "instance, file", how="min"), "{{instance}} {{file}}"),
                one("Disk: used by us", "bytes", now("homeport_disk_file_bytes", "instance, file", how="max"), "{{instance}} {{file}}"),
                one("Certificates: left", "s", f"min by (instance, certificate) (homeport_tls_certificate_expiry_timestamp_seconds{{{_AT}}}) - time()", "{{instance}} {{certificate}}"),
            ]),
        ],
    )  # fmt: skip


def fleet() -> dict[str, Any]:
    """USE of the units."""
    return dashboard(
        "homeport-fleet",
        "Homeport / Fleet",
        [
            Row(title="Utilisation", panels=[
                one("Load", "percentunit", now("homeport_unit_load_ratio", "unit", how="max"), "{{unit}}"),
                one("Room", "short", now("homeport_unit_room_clients", "unit", how="min"), "{{unit}}"),
                one("Room in four hours", "short", f"min by (unit) (predict_linear(homeport_unit_room_clients{{{_AT}}}[1h], 4 * 3600))", "{{unit}}"),
            ]),
            Row(title="Saturation", panels=[
                one("Idle slots held by servers", "short", now("homeport_unit_idle_slots", "unit"), "{{unit}}"),
                one("Clients moved", "reqps", rate("homeport_moves_clients_total", "cause"), "{{cause}}"),
                one("Not moved", "reqps", rate("homeport_moves_not_moved_clients_total", "instance"), "{{instance}}"),
            ]),
            Row(title="Agents", panels=[
                one("Registered", "short", now("homeport_agent_registered", "unit", how="min"), "{{unit}}"),
                one("Tickets shown", "reqps", rate("homeport_agent_admissions_total", "reason"), "{{reason}}"),
                one("Clients let in", "short", now("homeport_agent_admitted_clients", "unit"), "{{unit}}"),
            ]),
            Row(title="Errors", panels=[
                one("Units by state", "short", f"count by (state) (max by (unit, state) (homeport_unit_state{{{_AT}}}))", "{{state}}"),
                one("Agents heard", "short", now("homeport_unit_agent_heard", "unit", how="min"), "{{unit}}"),
                one("Watchers", "short", now("homeport_provisioner_watchers", "of"), "{{of}}"),
            ]),
        ],
    )  # fmt: skip


def sharing() -> dict[str, Any]:
    """RED of data sharing, and USE of its sandboxes."""
    return dashboard(
        "homeport-data-sharing",
        "Homeport / Data sharing",
        [
            Row(title="Events", panels=[
                one("Published", "reqps", rate("homeport_feeds_events_total", "outcome"), "{{outcome}}"),
                one("Decided by feed", "reqps", rate("homeport_decisions_feed_events_total", "tenant, feed"), "{{tenant}} {{feed}}"),
                one("Waiting", "s", now("homeport_feeds_waiting_seconds", "instance", how="max"), "{{instance}}"),
                times("Keep and decide: time", "homeport_feeds_append_duration_seconds"),
                times("Decide a group: time", "homeport_decisions_group_duration_seconds"),
                times("Timers: late", "homeport_decisions_timer_lag_seconds"),
            ]),
            Row(title="Feeds", panels=[
                one("Lag", "s", now("homeport_decisions_feed_lag_seconds", "tenant, feed", how="max"), "{{tenant}} {{feed}}"),
                one("Waiting", "short", now("homeport_decisions_feed_waiting_events", "tenant, feed"), "{{tenant}} {{feed}}"),
                one("Decide an event: p99", "s", quantile(0.99, "homeport_decisions_feed_event_duration_seconds", by="tenant, feed"), "{{tenant}} {{feed}}"),
            ]),
            Row(title="Rules", panels=[
                one("Fired", "reqps", rate("homeport_decisions_fired_total", "instance"), "{{instance}}"),
                one("Failed", "reqps", rate("homeport_decisions_failed_total", "instance"), "{{instance}}"),
                one("Parked", "short", now("homeport_rules_parked", "tenant, rule, scope", how="max"), "{{tenant}} {{rule}} {{scope}}"),
            ]),
            Row(title="Instructions", panels=[
                one("By state", "short", now("homeport_instructions_in_memory", "state"), "{{state}}"),
                one("Oldest", "s", now("homeport_instructions_oldest_age_seconds", "instance", how="max"), "{{instance}}"),
                one("Ended", "reqps", rate("homeport_instructions_ended_total", "end"), "{{end}}"),
            ]),
            Row(title="Sandboxes", panels=[
                one("Ended", "reqps", rate("homeport_sandbox_ended_total", "end"), "{{end}}"),
                one("In use", "percentunit", f"homeport_sandbox_running{{{_AT}}} / homeport_sandbox_capacity{{{_AT}}}", "{{instance}}"),
                times("Time", "homeport_sandbox_duration_seconds"),
            ]),
        ],
    )  # fmt: skip


def files() -> dict[str, str]:
    """Contents by file name."""
    made: Sequence[dict[str, Any]] = [provisioning(), resources(), fleet(), sharing()]
    return {f"{board['uid']}.json": json.dumps(board, indent=1) + "\n" for board in made}


def main() -> int:
    """0 unless --check found a difference."""
    made = files()
    if "--check" in sys.argv:
        there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
        if there != made:
            print("dashboards are out of date; run `python -m monitoring.dashboards`")
        return int(there != made)
    for name, content in made.items():
        (FOLDER / name).write_text(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
