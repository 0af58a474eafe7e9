"""Every alert fires where it should, and stays quiet where it should, by promtool."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.rule_files import RULES, alerts, files_of_alerts

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series by which an alert fires at a time, and others by which it does not. Values are in
    promtool's notation, one a minute."""

    fires: dict[str, str]
    quiet: dict[str, str]
    at: str = "2h"


S = 'instance="a:1", job="homeport"'
KNOWN = f'homeport_provisioning_answers_total{{outcome="known", {S}}}'
FAILED = f"homeport_provisioner_ticket_holders_failed_total{{{S}}}"
FALLBACK = f"homeport_provisioner_ticket_fallback_answers_total{{{S}}}"
FAST = f'homeport_provisioning_duration_seconds_bucket{{outcome="new", le="0.5", {S}}}'
NEW = f'homeport_provisioning_duration_seconds_count{{outcome="new", {S}}}'
AWAY = f"homeport_provisioning_turned_away_total{{{S}}}"
BUCKET = 'bucket{{le="{}", ' + S + "}}"


def gauge(name: str, labels: str = "", *, fires: str, quiet: str, at: str = "2h") -> Case:
    """One series."""
    series = f"{name}{{{', '.join(filter(None, (labels, S)))}}}"
    return Case(fires={series: fires}, quiet={series: quiet}, at=at)


CASES = {
    "HomeportKnownClientsErrorBudgetBurn": Case(
        fires={KNOWN: "0+100x300", FAILED: "0+5x300", FALLBACK: "0+0x300"},
        quiet={KNOWN: "0+100000x300", FAILED: "0+1x300", FALLBACK: "0+10x300"},
    ),
    "HomeportNewClientsLatencyBudgetBurn": Case(
        fires={NEW: "0+100x300", FAST: "0+60x300", AWAY: "0+0x300"},
        quiet={NEW: "0+100000x300", FAST: "0+99999x300", AWAY: "0+1x300"},
    ),
    "HomeportStoreAway": gauge("homeport_store_connected", fires="0x200", quiet="1x200"),
    "HomeportSessionLost": gauge("homeport_ledger_sessions_total", fires="0+1x200", quiet="1x200"),
    "HomeportWatchLagging": gauge(
        "homeport_store_watch_behind_seconds", 'prefix="live"', fires="60x200", quiet="0.2x200"
    ),
    "HomeportSnapshotOld": gauge(
        "homeport_provisioner_snapshot_age_seconds", fires="900x200", quiet="0x200"
    ),
    "HomeportCommitQueueStuck": Case(
        fires={
            f"homeport_ledger_waiting_operations{{{S}}}": "50x200",
            f'homeport_ledger_transactions_total{{outcome="committed", {S}}}': "7x200",
        },
        quiet={
            f"homeport_ledger_waiting_operations{{{S}}}": "50x200",
            f'homeport_ledger_transactions_total{{outcome="committed", {S}}}': "0+9x200",
        },
    ),
    "HomeportDiskFullSoon": gauge(
        "homeport_disk_free_bytes", 'file="store"',
        fires="30000000000-100000000x200", quiet="300000000000x200",
    ),
    "HomeportServerDown": gauge("up", fires="0x200", quiet="1x200"),
    "HomeportUnitLost": Case(
        fires={f'homeport_unit_state{{unit="u", state="lost", {S}}}': "1x200"},
        quiet={f'homeport_unit_state{{unit="u", state="active", {S}}}': "1x200"},
    ),
    "HomeportUnitWithoutAgent": gauge(
        "homeport_unit_agent_heard", 'unit="u"', fires="0x200", quiet="1x200"
    ),
    "HomeportAgentNotRegistered": gauge(
        "homeport_agent_registered", 'unit="u"', fires="0x200", quiet="1x200"
    ),
    "HomeportUnitFullSoon": Case(
        fires={
            f'homeport_unit_room_clients{{unit="u", {S}}}': "10000-50x200",
            f'homeport_unit_capacity_clients{{unit="u", {S}}}': "20000x200",
        },
        quiet={
            f'homeport_unit_room_clients{{unit="u", {S}}}': "0x200",
            f'homeport_unit_capacity_clients{{unit="u", {S}}}': "20000x200",
        },
    ),
    "HomeportLoadShedding": Case(fires={AWAY: "0+600x200"}, quiet={AWAY: "5x200"}),
    "HomeportTicketKeysOld": gauge(
        "homeport_ticket_key_created_timestamp_seconds",
        fires="-8640000x200", quiet="0x200",
    ),
    "HomeportDamagedRecord": gauge(
        "homeport_store_damaged_record", 'key="units/a"', fires="1x200", quiet="0x200"
    ),
    "HomeportEventLoopBlocked": gauge(
        "homeport_event_loop_blocked_seconds", fires="3x200", quiet="0.01x200"
    ),
    "HomeportCertificateExpiring": gauge(
        "homeport_tls_certificate_expiry_timestamp_seconds", 'certificate="server"',
        fires="900000x200", quiet="9000000x200",
    ),
    "HomeportCertificateExpiringNow": gauge(
        "homeport_tls_certificate_expiry_timestamp_seconds", 'certificate="server"',
        fires="50000x200", quiet="900000x200",
    ),
    "HomeportAuditWriteFailing": gauge(
        "homeport_audit_entries_total", 'outcome="failed"', fires="0+1x200", quiet="3x200"
    ),
    "HomeportQuotaRefusals": gauge(
        "homeport_quota_refused_total", 'quota="provisions", by="client", tenant="t"',
        fires="0+6000x200", quiet="0+60x200",
    ),
    "HomeportBackgroundTaskFailing": gauge(
        "homeport_background_task_failing", 'task="ledger"', fires="1x200", quiet="0x200"
    ),
    "HomeportDatabaseAway": gauge("homeport_database_connected", fires="0x200", quiet="1x200"),
    "HomeportChangelogAway": gauge(
        "homeport_changelog_waiting_seconds", fires="0+60x200", quiet="0x200"
    ),
    "HomeportSharingLagging": gauge(
        "homeport_feeds_waiting_seconds", fires="20x200", quiet="0.1x200"
    ),
    "HomeportRulesParked": gauge(
        "homeport_rules_parked", 'tenant="t", rule="r", scope="key"', fires="2x200", quiet="0x200"
    ),
    "HomeportRulesFull": gauge(
        "homeport_rules_full_events_total", 'tenant="t", rule="r"', fires="0+1x200", quiet="7x200"
    ),
    "HomeportDeadLettersGrowing": gauge(
        "homeport_instructions_ended_total", 'end="dead_letter"', fires="0+1x200", quiet="9x200"
    ),
    "HomeportInstructionsOverdue": gauge(
        "homeport_instructions_overdue", fires="3x200", quiet="0x200"
    ),
    "HomeportApprovalsWaiting": gauge(
        "homeport_approvals_oldest_age_seconds", 'tenant="t"', fires="2000x200", quiet="900x200"
    ),
    "HomeportSandboxFailures": Case(
        fires={f'homeport_sandbox_ended_total{{end="done", {S}}}': "0+10x200",
               f'homeport_sandbox_ended_total{{end="trapped", {S}}}': "0+10x200"},
        quiet={f'homeport_sandbox_ended_total{{end="done", {S}}}': "0+100x200",
               f'homeport_sandbox_ended_total{{end="trapped", {S}}}': "0+1x200"},
    ),
}  # fmt: skip


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == {alert["alert"] for alert in alerts()}


def group(name: str, series: dict[str, str], at: str, firing: bool) -> dict[str, object]:
    """One test of promtool's: whether the alert fires at a time, by its own record of that."""
    query = f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) > bool 0'
    samples = [{"value": 1}] if firing else []
    return {
        "name": f"{name} {'fires' if firing else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": at, "exp_samples": samples}],
    }


def promtool(
    folder: Path, rules: str, groups: list[dict[str, object]]
) -> subprocess.CompletedProcess[str]:
    """Runs them over one file of rules."""
    tests = {
        "rule_files": [str(RULES / rules)],
        "evaluation_interval": "5m",
        "tests": groups,
    }
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump(tests))
    return subprocess.run(
        ["promtool", "test", "rules", str(file)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("rules", sorted({*files_of_alerts().values()}))
def test_alerts_fire_and_stay_quiet(tmp_path: Path, rules: str) -> None:
    groups = []
    for name in (name for name, file in files_of_alerts().items() if file == rules):
        case = CASES[name]
        groups.append(group(name, case.fires, case.at, True))
        groups.append(group(name, case.quiet, case.at, False))
    ran = promtool(tmp_path, rules, groups)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    case = CASES["HomeportStoreAway"]
    quiet_one = group("HomeportStoreAway", case.quiet, case.at, True)
    firing_one = group("HomeportStoreAway", case.fires, case.at, False)
    assert promtool(tmp_path, "store.yaml", [quiet_one]).returncode
    assert promtool(tmp_path, "store.yaml", [firing_one]).returncode
