"""Splink over records of devices and browsers; run by an interpreter that has it.

    python splink_script.py REPORTS.csv SEEN.csv FOUND.csv     prints seconds as JSON

Both files have the columns id, who, block, tcp, uptime, seen_ms; an instant that is not known is
empty. Nothing of Homeport is imported here. The clock starts when DuckDB has the rows in tables,
and stops when the pairs are in one: `seconds` with training, `predict_seconds` without.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import duckdb
from splink import DuckDBAPI, Linker

SAME_BLOCK = "l.block = r.block"
DAY_MS = 86_400_000
_COLUMNS = (
    "{'id': 'VARCHAR', 'who': 'VARCHAR', 'block': 'VARCHAR', 'tcp': 'BIGINT',"
    " 'uptime': 'BIGINT', 'seen_ms': 'BIGINT'}"
)
_APART_MS = (20, 60, 120, 300)
_GAPS_MS = (600_000, 3_600_000, DAY_MS)


def _levels(conditions: list[str]) -> list[dict[str, Any]]:
    return [{"sql_condition": one, "label_for_charts": one} for one in [*conditions, "ELSE"]]


def _instants(column: str, apart: str) -> dict[str, Any]:
    unknown = {
        "sql_condition": f"{column}_l IS NULL OR {column}_r IS NULL",
        "label_for_charts": "unknown",
        "is_null_level": True,
    }
    levels = _levels([f"{apart} <= {most}" for most in _APART_MS])
    return {"output_column_name": column, "comparison_levels": [unknown, *levels]}


def settings() -> dict[str, Any]:
    """The same knowledge as ours: one address, within a day, instants modulo 2^32 ms by TCP."""
    tcp = "abs(tcp_l - tcp_r)"
    gaps = _levels([f"abs(seen_ms_l - seen_ms_r) <= {most}" for most in _GAPS_MS])
    return {
        "link_type": "link_only",
        "unique_id_column_name": "id",
        "blocking_rules_to_generate_predictions": [
            f"{SAME_BLOCK} AND abs(l.seen_ms - r.seen_ms) <= {DAY_MS}"
        ],
        "comparisons": [
            _instants("tcp", f"least({tcp}, 4294967296 - {tcp})"),
            _instants("uptime", "abs(uptime_l - uptime_r)"),
            {"output_column_name": "seen_ms", "comparison_levels": gaps},
        ],
        "retain_intermediate_calculation_columns": False,
        "retain_matching_columns": False,
    }


def main(reports: str, seen: str, found: str) -> None:
    db = duckdb.connect()
    for name, path in (("reports", reports), ("seen", seen)):
        db.execute(
            f"CREATE TABLE {name} AS SELECT *"
            f" FROM read_csv(?, header = true, columns = {_COLUMNS})",
            [path],
        )
    began = time.perf_counter()
    api = DuckDBAPI(db)
    linker = Linker([api.register("reports"), api.register("seen")], settings(), log_level=40)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    linker.training.estimate_probability_two_random_records_match(
        [f"{SAME_BLOCK} AND abs(l.{one} - r.{one}) < 100" for one in ("tcp", "uptime")], recall=0.8
    )
    linker.training.estimate_parameters_using_expectation_maximisation(
        f"{SAME_BLOCK} AND abs(l.seen_ms - r.seen_ms) < 600000"
    )
    trained = time.perf_counter()
    pairs = linker.inference.predict(threshold_match_probability=0.01).physical_name
    ended = time.perf_counter()
    # Of each browser the device that is most likely; of two alike, that of more pairs. Ids of
    # reports begin with an r, those of what browsers show with an s.
    db.execute(
        "COPY (WITH each AS (SELECT s.who AS browser, r.who AS device,"
        " max(match_probability) AS probability, count(*) AS pairs"
        f" FROM (SELECT least(id_l, id_r) AS r, greatest(id_l, id_r) AS s, match_probability"
        f" FROM {pairs}) p JOIN reports r ON r.id = p.r JOIN seen s ON s.id = p.s GROUP BY ALL)"
        " SELECT browser, device, probability FROM each QUALIFY row_number() OVER"
        " (PARTITION BY browser ORDER BY probability DESC, pairs DESC, device) = 1) TO"
        f" '{found}' (HEADER false)"
    )
    print(json.dumps({"seconds": ended - began, "predict_seconds": ended - trained}))


if __name__ == "__main__":
    main(*sys.argv[1:])
