"""Every table of the command line, the demo and the bench: nothing is cut, at any width."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

import homeport
from bench import report
from bench.suite.measurement import Measurement, Ratio, Samples
from console.cli import health_checks, output, up
from console.cli.deciding.backtest import BacktestReport
from console.cli.paragraphs import unfolded
from console.cli.tables import Table, allotted, facts, fold, number, optional, whole
from console.cli.views import (
    applications,
    audit,
    backtest,
    decisions,
    enrolment,
    geo,
    health,
    homes,
    move_jobs,
    plans,
    platforms,
    rules,
    shard_stores,
    tenants,
    ticket_keys,
    tokens,
    unit_changes,
    units,
)
from console.demo import provisioning as demo
from console.local.stack_security import StackSecurity
from control_plane.auth.token_editor import ListedToken
from control_plane.fleet.file import SAMPLE, read_fleet
from data_sharing.management.backtest import Backtest
from data_sharing.rules.ruleset import RuleSet
from homeport.api.audit.v1 import audit_pb2
from homeport.api.datasharing.v1 import decision_pb2, plan_pb2, platform_pb2, registry_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from tests.support.filled_messages import filled

ROOT = Path(__file__).parents[2]
CLIENT = "device-" + "c0ffee0123456789" * 3 + "-endofid"  # 64 characters, no place to break
UNIT = "eu-west-" + "rack" * 12 + "-endunit"  # 63
TEXT = "line one says what happened, and why the reader should care about it at some length"


def filled_with_long_texts(message: Message) -> Any:
    """Every field set, texts and ids as long as they may be."""
    return filled(message, text=TEXT, name=CLIENT)


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
    )  # fmt: skip


def explanation() -> homeport.Explanation:
    considered = [
        homeport.ConsideredUnit(
            unit_id=f"{rank}-{UNIT}"[:63], verdict=homeport.PlacementVerdict.RANKED, rank=rank,
            distance_km=12_345.6, load=0.987, reason=TEXT,
        )
        for rank in (1, 2, 0)
    ]  # fmt: skip
    where = homeport.Location(
        source=homeport.LocationSource.DATABASE, country="IE", subdivision="Leinster",
        continent="EU", latitude=53.3, longitude=-6.3, uncertainty_km=42.0,
    )  # fmt: skip
    return homeport.Explanation(
        location=where, location_reason=TEXT, units=tuple(considered), rule="least-loaded-near",
        current=home(), stale=True,
    )  # fmt: skip


def shard_map() -> dict[str, Any]:
    cluster = {"name": UNIT, "shards": 1024, "arriving": 512, "leaving": 511,
               "clients": 123_456_789, "servers": 12}  # fmt: skip
    move = {"id": "5f3a9c01", "source": UNIT, "target": CLIENT, "shards": 64, "stage": "copying"}
    return {
        "version": 12, "clusters": [cluster, cluster], "moves": [move], "dry_run": False,
        "shards": 64, "clients": 123_456_789, "longest_pause_ms": 312,
    }  # fmt: skip


def backtested() -> BacktestReport:
    nothing = RuleSet([], [])
    return BacktestReport(Backtest(nothing, nothing, start_ms=0), [CLIENT, TEXT])


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
    stack = SimpleNamespace(grpc="127.0.0.1:7799", metrics="127.0.0.1:7701", units=[UNIT])
    security = StackSecurity(folder=Path("/srv") / CLIENT / "security")
    options = SimpleNamespace(data_dir=Path("/srv") / CLIENT, store="etcd", security=security)
    return stack, options, f"etcd://{UNIT}.example:2379"


Make = Callable[[], RenderableType]

# Of each function that makes a table, one with the longest content it may have.
VIEWS: dict[Callable[..., Any], Make] = {
    units.fleet_table: lambda: units.fleet_table([unit(), unit()]),
    units.unit_table: lambda: units.unit_table(unit()),
    homes.explanation_view: lambda: homes.explanation_view(CLIENT, explanation()),
    homes.assignment_table: lambda: homes.assignment_table(home()),
    unit_changes.changes_table: lambda: unit_changes.changes_table(
        [unit_changes.change_of(None, unit()), unit_changes.change_of(unit(), unit())]
    ),
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
    move_jobs.jobs_table: lambda: move_jobs.jobs_table(
        [filled_with_long_texts(fleet_pb2.MoveJob())]
    ),
    move_jobs.plan_view: lambda: move_jobs.plan_view(
        filled_with_long_texts(fleet_pb2.MovePlan()), TEXT
    ),
    applications.applications_table: lambda: applications.applications_table(
        [filled_with_long_texts(registry_pb2.Application())]
    ),
    applications.faults_table: lambda: applications.faults_table(
        [filled_with_long_texts(registry_pb2.Fault())]
    ),
    rules.scopes_table: lambda: rules.scopes_table(filled_with_long_texts(rule_pb2.Rule())),
    rules.rules_table: lambda: rules.rules_table([filled_with_long_texts(rule_pb2.Rule())]),
    backtest.backtest_table: lambda: backtest.backtest_table(backtested()),
    plans.plans_table: lambda: plans.plans_table([filled_with_long_texts(plan_pb2.Plan())]),
    plans.plan_table: lambda: plans.plan_table(filled_with_long_texts(plan_pb2.Plan())),
    plans.history_table: lambda: plans.history_table(
        [filled_with_long_texts(plan_pb2.PlanChange())]
    ),
    decisions.decisions_table: lambda: decisions.decisions_table(
        [filled_with_long_texts(decision_pb2.Decision())]
    ),
    decisions.instructions_table: lambda: decisions.instructions_table(
        [filled_with_long_texts(decision_pb2.Instruction())]
    ),
    decisions.dead_letters_table: lambda: decisions.dead_letters_table(
        [filled_with_long_texts(decision_pb2.DeadLetter())]
    ),
    platforms.platforms_table: lambda: platforms.platforms_table(
        [filled_with_long_texts(platform_pb2.Platform())]
    ),
    shard_stores.map_table: lambda: shard_stores.map_table(shard_map()),
    shard_stores.status_table: lambda: shard_stores.status_table(shard_map()),
    shard_stores.moved_table: lambda: shard_stores.moved_table(shard_map()),
    geo.known_facts: lambda: geo.known_facts({"path": f"/srv/{CLIENT}", "sha256": "0f" * 32}),
    health.findings_table: lambda: health.findings_table(
        [health_checks.warn("agents", f"none live at {UNIT}", TEXT)]
    ),
    up._where_next: lambda: up._where_next(*stack_and_options()),
    demo.summary_table: lambda: demo.summary_table(read_fleet(SAMPLE), demo_outcome()),
    report.ratios_table: lambda: report.ratios_table(*measured()),
}
EACH = pytest.mark.parametrize(
    "make", [pytest.param(make, id=view.__name__) for view, make in VIEWS.items()]
)


def places_that_make_tables() -> Iterator[str]:
    """module.function of whatever calls a builder of console.cli.tables, and of every other
    maker of tables."""
    for folder in ("console", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if module == "console.cli.tables":
                continue
            text = path.read_text()
            assert "rich.table" not in text, f"{module} makes tables that may be cut"
            for function in ast.walk(ast.parse(text)):
                if isinstance(function, ast.FunctionDef) and any(
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id in ("Table", "facts")
                    for call in ast.walk(function)
                ):
                    yield f"{module}.{function.name}"


def test_every_function_that_makes_a_table_is_tested_here() -> None:
    assert {f"{view.__module__}.{view.__name__}" for view in VIEWS} == set(
        places_that_make_tables()
    )


def rendered(view: RenderableType, width: int) -> str:
    """As `output.show` prints it to a terminal without colours."""
    console = Console(
        file=io.StringIO(), width=width, highlight=False, emoji=False, force_terminal=True,
        color_system=None,
    )  # fmt: skip
    console.print(unfolded(view), overflow="ignore", crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def tables_in(view: RenderableType) -> list[Table]:
    if isinstance(view, Table):
        return [view]
    return [one for part in view.renderables for one in tables_in(part)] if isinstance(
        view, Group
    ) else []  # fmt: skip


def plain(markup: str) -> str:
    return Text.from_markup(markup).plain


def left_out_of(shown: str) -> list[str]:
    """Titles that the notes below tables name."""
    notes = re.findall(r"no room for: (.*?) \(-o json has all\)", " ".join(shown.split()))
    return [title for note in notes for title in note.split(", ")]


def words(text: str) -> set[str]:
    """Those of content; lines and frames are drawn as long as they have to be."""
    return {word for word in text.split() if not re.fullmatch("[─│┃━]+", word)}


@EACH
@pytest.mark.parametrize("width", [100, 80, 60, 40, 30])
def test_no_word_is_cut_or_folded_in_a_terminal(make: Make, width: int) -> None:
    """So every id, path and ticket can be copied; only a word longer than the terminal goes
    beyond its edge, alone in its line. Commands to be copied are one line, too."""
    view, shown = make(), rendered(make(), width)
    expected = words(rendered(view, output.UNFOLDED))
    left_out = left_out_of(shown)
    for table in tables_in(view):
        dropped = [
            at for at, one in enumerate(table.columns) if one.title in left_out and one.title
        ]
        assert all(table.columns[at].fit == "optional" for at in dropped)
        for at in dropped:
            gone = [table.columns[at].title, *(plain(cells[at]) for cells, _ in table.rows)]
            expected -= words(" ".join(gone))
    assert not expected - words(shown)
    assert "…" not in shown
    for line in shown.splitlines():
        assert len(line.rstrip()) <= width or len(line.split()) == 1 or line.startswith("$ ")


@EACH
def test_piped_every_cell_stands_in_one_piece(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.show({}, output.Format.TABLE, make)
    shown = capsys.readouterr().out
    for table in tables_in(make()):
        for column in table.columns:
            assert column.title in shown
        for cells, _ in table.rows:
            one_line = [plain(cell).replace("\n", " ").strip() for cell in cells]
            assert any(all(cell in line for cell in one_line) for line in shown.splitlines())
    assert "no room for" not in shown


def test_piped_output_is_a_head_and_a_line_for_each_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No frame, no sums and no empty lines, which who reads line by line would take for rows."""
    output.show({}, output.Format.TABLE, lambda: units.fleet_table([unit(), unit(), unit()]))
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "unit"
    assert [row.split()[0] for row in rows] == [UNIT] * 3


def test_piped_a_list_in_a_cell_stays_in_the_line_of_its_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = registry_pb2.Application(application="app", produces=["a.one", "a.two"])
    output.show({}, output.Format.TABLE, lambda: applications.applications_table([many, many]))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[-2:] for row in rows] == [["a.one,", "a.two"]] * 2


def test_at_80_columns_the_bench_keeps_all_its_columns() -> None:
    assert not left_out_of(rendered(report.ratios_table(*measured()), 80))


def test_short_content_keeps_all_columns_in_narrow_terminals() -> None:
    table = Table(fold("unit"), optional(whole("country")), number("clients"))
    table.add_row("eu-west", "IE", "1,234")
    lines = rendered(table, 30).splitlines()
    assert [line.split() for line in lines if "eu" in line] == [["eu-west", "IE", "1,234"]]


def test_a_column_is_left_out_by_choice_and_said_to_be() -> None:
    table = Table(fold("why"), optional(whole("country")), optional(whole("load")))
    table.add_row(TEXT, "Ireland", "0.5 of 1.0")
    shown = rendered(table, 26)
    assert left_out_of(shown) == ["load"]
    assert "Ireland" in shown


def test_where_no_table_fits_each_row_is_a_block_and_a_long_id_has_a_line_of_its_own() -> None:
    table = Table(whole("unit"), fold("why"), number("clients"))
    table.add_row(UNIT, "it is far", "7")
    table.add_row("b", "it is near", "8")
    assert rendered(table, 40).splitlines() == [
        "unit", UNIT, "why      it is far", "clients  7",
        "",
        "unit     b", "why      it is near", "clients  8",
    ]  # fmt: skip


def test_a_tree_is_as_wide_as_its_longest_word() -> None:
    tree = Tree("root")
    tree.add(f"short words and {CLIENT}")
    assert CLIENT in rendered(tree, 40)


def test_whole_columns_stay_in_one_line_and_folded_ones_share_the_rest() -> None:
    table = Table(whole("state"), fold("why"))
    table.add_row("not serving", TEXT)
    lines = rendered(table, 40).splitlines()
    assert any("not serving" in line for line in lines)


def test_a_row_must_fit_its_table() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table(fold("unit")).add_row("a", "b")


def test_facts_are_names_and_values() -> None:
    assert rendered(facts(("unit", "eu-west")), 80).split() == ["unit", "eu-west"]


@given(
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=8),
    st.integers(0, 400),
)
def test_allotted_widths_fit_and_nobody_gets_more_than_it_needs(
    columns: list[tuple[int, int]], room: int
) -> None:
    natural = [max(pair) for pair in columns]
    least = [min(pair) for pair in columns]
    widths = allotted(natural, least, room)
    assert (widths is None) == (sum(least) > room)
    if widths is None:
        return
    assert sum(widths) <= room
    for width, need, few in zip(widths, natural, least, strict=True):
        assert few <= width <= need
    assert sum(widths) > min(room, sum(natural)) - len(widths)
