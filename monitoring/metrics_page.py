"""docs/reference/metrics.md: written from what running servers expose, and read again by those
who check queries against it.

`python -m monitoring.metrics_page` writes it; with --check it says whether it is up to date.
"""

# ruff: noqa: E501  # a paragraph a line

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from monitoring.exposed_metrics import Family, exposed_metrics

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "metrics.md"
HEAD = """# Metrics

Every server tells Prometheus about itself at `GET /metrics` of its metrics port (`--metrics-listen`; a platform and an agent have one where they are given one). The list is written from what running servers expose. Names end in their unit (`_seconds`, `_bytes`, `_ratio`, or what is counted) and counters in `_total`; a histogram `x` is queried as `x_bucket`, `x_sum` and `x_count`. No label names a client; labels of tenants, feeds and rules are bounded in number. How to watch with them is in [monitoring](../operations/monitoring.md).

| metric | type | unit | labels | server | meaning |
|---|---|---|---|---|---|
"""


def written(families: list[Family]) -> str:
    """The page."""
    return HEAD + "".join(
        f"| `{one.name}` | {one.kind} | {one.unit or '–'} "
        f"| {', '.join(f'`{label}`' for label in one.labels) or '–'} "
        f"| {', '.join(one.servers)} | {one.help} |\n"
        for one in families
    )


def read(page: str) -> list[Family]:
    """The families that a page lists."""
    rows = [line.strip("| \n").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return [
        Family(
            name=name.strip("`"),
            kind=kind,
            labels=() if labels == "–" else tuple(one.strip("`") for one in labels.split(", ")),
            help=meaning,
            servers=tuple(servers.split(", ")),
        )
        for name, kind, _, labels, servers, meaning in rows
    ]


def main() -> int:
    """0 unless --check found the page out of date."""
    page = written(asyncio.run(exposed_metrics()))
    if "--check" not in sys.argv:
        PAGE.write_text(page)
        return 0
    if PAGE.read_text() != page:
        print(f"{PAGE.name} is out of date; run `python -m monitoring.metrics_page`")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
