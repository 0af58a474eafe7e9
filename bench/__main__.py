"""`make bench`: every figure next to its ceiling, in one run.

python -m bench [--only NAME …] [--rounds 5] [--quick] [--output FILE] [--strict]
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report
from bench.suite.bulk import BULK
from bench.suite.measurement import Samples
from bench.suite.memory import MEMORY
from bench.suite.pure import PURE
from bench.suite.unary import UNARY

ALL = (UNARY, BULK, PURE, MEMORY)
LATEST = Path("bench/results/latest.json")


def main() -> int:
    """Exit code 1 with --strict where a target is not met."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("--only", nargs="*", help="names of ratios; default: all")
    arguments.add_argument("--rounds", type=int, default=5, help="at least five for a claim")
    arguments.add_argument("--quick", action="store_true", help="a fifth of the work, a look")
    arguments.add_argument("--output", type=Path, default=None)
    arguments.add_argument("--strict", action="store_true")
    given = arguments.parse_args()
    chosen = [one for one in ALL if not given.only or {r.key for r in one.ratios} & set(given.only)]
    samples, console = Samples(), Console()
    began = time.monotonic()
    columns = (TextColumn("{task.description:22}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = [progress.add_task(one.name, total=one.steps(given.rounds)) for one in chosen]
        for one, task in zip(chosen, tasks, strict=True):
            one.run(samples, given.rounds, given.quick, partial(progress.advance, task))
    report.show(chosen, samples, console)
    whole = not given.only and not given.quick
    output = given.output or (LATEST if whole else None)
    if output is not None:
        seconds = time.monotonic() - began
        report.write(output, report.document(chosen, samples, given.rounds, seconds))
        console.print(f"written to {output}")
    short = [r.key for one in chosen for r in one.ratios if not r.met(samples)]
    return 1 if given.strict and short else 0


if __name__ == "__main__":
    raise SystemExit(main())
