"""Views of everything that command line, demo and bench show as tables, of long texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import RenderableType

import homeport
from bench import report
from bench.suite.measurement import Measurement, Ratio, Samples
from console.cli import health_checks, up
from console.cli.views import (
    audit,
    backups,
    cards,
    client_checks,
    deliveries,
    directory,
    enrolment,
    geo,
    health,
    homes,
    identifiers,
    load,
    mail,
    move_jobs,
    shard_stores,
    tenants,
    ticket_keys,
    tokens,
    unit_changes,
    units,
)
from console.demo import provisioning as demo
from console.demo.directory import systems
from console.demo.directory.story import Chapter
from console.local.stack_security import StackSecurity
from control_plane.auth.token_editor import ListedToken
from control_plane.fleet.file import SAMPLE, read_fleet
from homeport.api.audit.v1 import audit_pb2
from homeport.api.directory.v1 import directory_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from tests.support.filled_account_views import ACCOUNT_VIEWS
from tests.support.filled_data_sharing_views import DATA_SHARING_VIEWS
from tests.support.filled_policy_views import POLICY_VIEWS
from tests.support.long_texts import CLIENT, TEXT, UNIT, filled_with_long_texts


def unit() -> fleet_pb2.Unit:
    one = filled_with_long_texts(fleet_pb2.Unit())
    one.spec.unit_id, one.spec.country = UNIT, "IE"
    one.spec.capacity, one.clients = 50_000_000, 43_210_987
    one.spec.labels["purpose"] = TEXT
    return one


def home() -> homeport.Assignment:
    return homeport.Assignment(
        tenant="default", client_id=CLIENT, unit_id=UNIT, endpoint=f"{UNIT}.example:443", epoch=7,
        ticket="t" * 269, ticket_expires_at=4e9, source=homeport.LocationSource.DATABASE,
        country="IE", distance_km=12_345.6, rule="least-loaded-near", existing=True, stale=True,
        attributes={UNIT: TEXT},
    )  # fmt: skip


def explanation() -> homeport.Explanation:
    considered = [
        homeport.ConsideredUnit(
            unit_id=f"{rank}-{UNIT}"[:63], verdict=homeport.PlacementVerdict.RANKED, rank=rank,
            distance_km=12_345.6, load=0.987, reason=TEXT,
            measured=homeport.MeasuredFigure(ms=1_234.5, reports=72, networks=12, age_s=21_599.0),
        )
        for rank in (1, 2, 0)
    ]  # fmt: skip
    where = homeport.Location(
        source=homeport.LocationSource.DATABASE, country="IE", subdivision="Leinster",
        continent="EU", latitude=53.3, longitude=-6.3, uncertainty_km=42.0,
    )  # fmt: skip
    return homeport.Explanation(
        location=where, location_reason=TEXT, units=tuple(considered), rule="least-loaded-near",
        current=home(), stale=True, sentence=TEXT,
        policy=homeport.ExplainedPolicy(
            version=12, certainty="uncertain", groups=(UNIT, UNIT), rings=(UNIT,),
            rules=(homeport.ExplainedRule(name=UNIT, holds=True, reason=TEXT),) * 2,
            hook=homeport.ExplainedHook(
                name=UNIT, answered=True, order=(UNIT, UNIT), vetoed=(UNIT,), age_s=12.5
            ),
            attributes={UNIT: TEXT},
        ),
        pin=homeport.ExplainedPin(unit_id=UNIT, reason=TEXT, until=4e9),
        cap=homeport.ExplainedCap(limit_ms=50.0, waits_since=4e9, relaxes_after_s=90.0),
        quota_reason=TEXT,
    )  # fmt: skip


def shard_map() -> dict[str, Any]:
    cluster = {"name": UNIT, "shards": 1024, "arriving": 512, "leaving": 511,
               "clients": 123_456_789, "servers": 12}  # fmt: skip
    move = {"id": "5f3a9c01", "source": UNIT, "target": CLIENT, "shards": 64, "stage": "copying"}
    return {
        "version": 12, "clusters": [cluster, cluster], "moves": [move], "dry_run": False,
        "shards": 64, "clients": 123_456_789, "longest_pause_ms": 312,
    }  # fmt: skip


def demo_outcome() -> demo.DemoResult:
    unit_ids = [one.id for one in read_fleet(SAMPLE)]
    return demo.DemoResult(
        addresses=["203.0.113.9"] * len(unit_ids),
        homes=[homeport.Assignment(tenant="default", client_id=CLIENT, unit_id=name,
                                   endpoint="x:1", epoch=1, distance_km=12_345.6)
               for name in unit_ids],
        took_s=1.0,
    )  # fmt: skip


def measured() -> tuple[list[Measurement], Samples]:
    samples = Samples()
    for name in ("ours", "ceiling"):
        samples.add(name, 123_456_789.0)
    ratio = Ratio(key="provision_many_embedded_vs_sqlite_and_more", ours="ours",
                  ceiling="ceiling", target=0.2, paired=True)  # fmt: skip
    per_s = {"ours": "clients/s", "ceiling": "creates/s"}
    one = Measurement(name="x", ratios=(ratio,), units=per_s, run=lambda *_: None,
                      steps=lambda rounds: rounds)  # fmt: skip
    return [one], samples


def listed_token() -> ListedToken:
    return ListedToken(
        id="0123456789ab", name=CLIENT, roles=["producer", "consumer"],
        bound={"tenant": UNIT, "units": [UNIT, UNIT]}, issued_at=1_795_000_000.0,
        expires_at=1_795_000_000.0, expired=False,
    )  # fmt: skip


def stack_and_options() -> tuple[Any, Any, str]:
    stack = SimpleNamespace(
        grpc="127.0.0.1:7799",
        metrics="127.0.0.1:7701",
        http="127.0.0.1:7702",
        units=[UNIT],
        addresses=lambda port: {UNIT: "127.0.0.1:7707"},
        facts={"server": {"pages": "127.0.0.1:7706"}},
    )
    security = StackSecurity(folder=Path("/srv") / CLIENT / "security")
    options = SimpleNamespace(
        data_dir=Path("/srv") / CLIENT,
        store="etcd",
        security=security,
        apart=None,
        hosts=["homeport.localhost"],
        unit_hosts={UNIT: f"{UNIT}.localhost"},
    )
    return stack, options, f"etcd://{UNIT}.example:2379"


Make = Callable[[], RenderableType]


# Of each function that makes a table, one with the longest content it may have.
def identifier_document() -> dict[str, Any]:
    """As of a domain with everything that can be said of one."""
    simple = ("kind", "normal", "shown", "uri", "skeleton", "kept_under", "public_suffix")
    return dict.fromkeys(simple, CLIENT) | {
        "text": CLIENT,
        "accepted": True,
        "registrable_domain": UNIT,
        "changes": [{"text": TEXT}],
        "notes": [{"text": TEXT}],
        "scripts_that_look_alike": ["Cyrillic", "Greek"],
        "not_claimable": {"reason": "RESERVED", "message": TEXT, "remedy": TEXT},
    }


def card_document(*, accepted: bool) -> dict[str, Any]:
    if not accepted:
        flaw = {"pointer": f"/body/0/{CLIENT}", "reason": "HOST_SPECIFIC", "message": TEXT}
        return {"accepted": False, "flaws": [flaw, flaw]}
    action = {"id": CLIENT, "title": TEXT, "once": "viewer", "enabled": True, "inputs": [CLIENT]}
    asked = {"id": CLIENT, "kind": "Input.Text", "name": TEXT, "required": True}
    return {"accepted": True, "actions": [action], "inputs": [asked]}


def delivery_plan(no_route: str | None = None) -> dict[str, Any]:
    step = {"channel": "in_app", "address": CLIENT, "at": "2026-11-28T12:00:00Z",
            "deadline": "2026-11-28T12:02:00Z"}  # fmt: skip
    reason = {"rule": f"rule {CLIENT}", "clause": TEXT, "value": TEXT}
    return {"no_route": no_route, "steps": [step, step], "why": [reason, reason]}


def converted_content() -> dict[str, Any]:
    segment = {"text": f"{TEXT} {CLIENT}", "units": 153}
    messages = {"encoding": "gsm7", "segments": [segment, segment]}
    return {"text": TEXT, "messages": messages, "lost": ["length", "typography"]}


def shown_mail() -> dict[str, Any]:
    return {
        "from": f"{TEXT} <{CLIENT}@mail.example>", "subject": TEXT, "text": TEXT, "quoted": True,
        "forwarded": False, "attachments": [f"{CLIENT}.pdf"], "lost": ["winmail.dat"],
    }  # fmt: skip


def explained_mail() -> dict[str, Any]:
    address = f"{CLIENT}@mail.example"
    outcome = {"recipients": [address, address], "state": "delivered", "words": TEXT}
    reason = {"rule": "alignment", "clause": TEXT, "value": CLIENT}
    return {
        "sender": address, "aligned": True, "origin": "automatic", "origin_why": TEXT,
        "reply_token": CLIENT, "reports": [outcome, outcome], "why": [reason, reason],
    }  # fmt: skip


def load_result() -> dict[str, Any]:
    """What a load came to."""
    latency = dict.fromkeys(("p50", "p90", "p99", "p99.9", "max"), 119_000.0)
    counts = {"arrived": 43_210_987, "good": 12_345_678, "latency_ms": latency}
    return {
        "calls": {**counts, "refused": {TEXT: 1_234_567}, "failed": {TEXT: 1}},
        "latency_ms": latency,
        "kinds": {"roaming": {**counts, "refused": 7_654_321}},
        "thresholds": [{"held": False, "sentence": TEXT}],
    }


VIEWS: dict[Callable[..., Any], Make] = {
    units.fleet_table: lambda: units.fleet_table([unit(), unit()]),
    units.unit_table: lambda: units.unit_table(unit()),
    homes.explanation_view: lambda: homes.explanation_view(CLIENT, explanation()),
    homes.assignment_table: lambda: homes.assignment_table(home()),
    unit_changes.changes_table: lambda: unit_changes.changes_table(
        [unit_changes.change_of(None, unit()), unit_changes.change_of(unit(), unit())]
    ),
    tenants.tenant_view: lambda: tenants.tenant_view(filled_with_long_texts(tenancy_pb2.Tenant())),
    tenants.tenants_table: lambda: tenants.tenants_table(
        [filled_with_long_texts(tenancy_pb2.Tenant())]
    ),
    enrolment.groups_table: lambda: enrolment.groups_table(
        [filled_with_long_texts(tenancy_pb2.EnrolmentGroup())]
    ),
    audit.entries_table: lambda: audit.entries_table(
        [filled_with_long_texts(audit_pb2.AuditEntry())]
    ),
    tokens.tokens_table: lambda: tokens.tokens_table([listed_token()]),
    ticket_keys.epochs_table: lambda: ticket_keys.epochs_table(
        [filled_with_long_texts(tenancy_pb2.TicketKeyEpoch())]
    ),
    deliveries.converted_view: lambda: deliveries.converted_view(converted_content()),
    cards.flaws_table: lambda: cards.flaws_table(card_document(accepted=False)["flaws"]),
    cards.card_view: lambda: cards.card_view(card_document(accepted=True)),
    deliveries.plan_view: lambda: deliveries.plan_view(delivery_plan()),
    mail.explained_view: lambda: mail.explained_view(explained_mail()),
    mail.sent_view: lambda: mail.sent_view(
        {"outcome": "handed_over", "words": TEXT, "message_id": CLIENT, "envelope_id": CLIENT}
    ),
    mail.reply_view: lambda: mail.reply_view(shown_mail()),
    directory.account_view: lambda: directory.account_view(
        filled_with_long_texts(directory_pb2.GetAccountResponse())
    ),
    directory.found_view: lambda: directory.found_view({"account": CLIENT, "shown": TEXT}),
    directory.residences_table: lambda: directory.residences_table(
        [filled_with_long_texts(directory_pb2.Residence())]
    ),
    identifiers.explained: lambda: identifiers.explained(identifier_document()),
    load.load_kinds_table: lambda: load.load_kinds_table(load_result()),
    load.unserved_table: lambda: load.unserved_table(load_result()),
    load.thresholds_table: lambda: load.thresholds_table(load_result()),
    move_jobs.jobs_table: lambda: move_jobs.jobs_table(
        [filled_with_long_texts(fleet_pb2.MoveJob())]
    ),
    move_jobs.plan_view: lambda: move_jobs.plan_view(
        filled_with_long_texts(fleet_pb2.MovePlan()), TEXT
    ),
    shard_stores.map_table: lambda: shard_stores.map_table(shard_map()),
    shard_stores.status_table: lambda: shard_stores.status_table(shard_map()),
    shard_stores.moved_table: lambda: shard_stores.moved_table(shard_map()),
    geo.known_facts: lambda: geo.known_facts({"path": f"/srv/{CLIENT}", "sha256": "0f" * 32}),
    backups.backup_table: lambda: backups.backup_table(
        {
            "file": CLIENT,
            "store": TEXT,
            "revision": 43_210_987,
            "keys": 50_000_000,
            "taken_ms": 1_700_000_000_000,
            "left_out": 12_345,
        }
    ),
    backups.restored_table: lambda: backups.restored_table(
        {
            "file": CLIENT,
            "revision": 43_210_987,
            "written": 50_000_000,
            "clients": 43_210_987,
            "taken_ms": 1_700_000_000_000,
            "new_ticket_keys": False,
            "damaged": 2,
            "damaged_keys": [CLIENT, UNIT],
        }
    ),
    client_checks.clients_table: lambda: client_checks.clients_table(
        {
            "exact": False,
            "tenants": [
                {
                    "tenant": UNIT,
                    "counted": counted,
                    "standing": 12_345_679,
                    "bound": 10**12,
                    "revision": 43_210_987,
                    "exact": counted is None,
                }
                for counted in (123_456_789, None)
            ],
        }
    ),
    shard_stores.password_table: lambda: shard_stores.password_table(
        {"stores": [{"store": UNIT, "user": CLIENT, "changed": True}]}
    ),
    health.findings_table: lambda: health.findings_table(
        [health_checks.warn("agents", f"none live at {UNIT}", TEXT)]
    ),
    systems.shown_view: lambda: systems.shown_view([Chapter(number=2, title=TEXT, found=[TEXT])]),
    up._where_next: lambda: up._where_next(*stack_and_options()),
    demo.summary_table: lambda: demo.summary_table(read_fleet(SAMPLE), demo_outcome()),
    report.ratios_table: lambda: report.ratios_table(*measured()),
    **DATA_SHARING_VIEWS,
    **POLICY_VIEWS,
    **ACCOUNT_VIEWS,
}
