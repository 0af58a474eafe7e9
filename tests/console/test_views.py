"""Every table of the command line, the demo and the bench: nothing is cut, at any width."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import report
from console.cli import output
from console.cli.views import (
    applications,
    rollouts,
    sharing,
    units,
)
from homeport.api.datasharing.v1 import registry_pb2, rule_pb2, sharing_pb2
from tests.support.filled_views import VIEWS, Make, measured, unit
from tests.support.long_texts import UNIT
from tests.support.rendered_views import left_out_of, plain, rendered, tables_in, words

ROOT = Path(__file__).parents[2]
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


def test_nothing_is_one_dash_everywhere() -> None:
    """`–`, and no hyphen, which is what stands for stdin."""
    hyphens = re.compile(r"""(?:\bor|\belse) ["']-["']|["']-["'] if """)
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "console" / "cli" / "views").rglob("*.py")
        if hyphens.search(path.read_text())
    }
    assert found == set()


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


def test_a_consent_to_one_feed_is_not_shown_as_one_to_any() -> None:
    one = sharing_pb2.Consent(consent_id="k-1", subject="anna", purpose="P", feed="example.f")
    other = sharing_pb2.Consent(consent_id="k-2", subject="anna", purpose="P")
    lines = rendered(sharing.consents_table([one, other]), 160).splitlines()
    first, second = (next(line for line in lines if name in line) for name in ("k-1", "k-2"))
    assert "example.f" in first
    assert " any " in second


def test_a_field_with_a_mask_is_shown_once() -> None:
    grant = {"purpose": "P", "fields": ["/minutes", "/name"], "masks": {"/name": "hash"}}
    policy = sharing_pb2.SharingPolicy(feed="example.f", spec=json.dumps({"grants": [grant]}))
    shown = rendered(sharing.policies_table([policy]), 160)
    assert shown.count("/name") == 1


def test_the_status_of_a_rollout_names_its_rule() -> None:
    found = rule_pb2.Rollout(candidate_version=2, stable_version=1, steps=2, step=1)
    assert "leave-earlier" in rendered(rollouts.rollout_view("leave-earlier", found), 160)
