"""`make bench`: every figure next to its ceiling, in one run.

Writes bench/results/latest.json when it measured everything, whole, in at least three rounds;
other runs only print, unless --output says where to write.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report
from bench.suite.builds import against
from bench.suite.measurement import (
    LONG_ROUNDS,
    ROUNDS,
    Failed,
    Measurement,
    Ratio,
    Samples,
    Skipped,
    Target,
)
from bench.suite.registry import ALL, keys, that_give
from console.cli.output import console_for_notes, console_for_people

LATEST = Path("bench/results/latest.json")


def parse(words: Sequence[str], ratios: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises SystemExit where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ratios, metavar="RATIO",
                        help=f"only what gives these: {', '.join(ratios)}")  # fmt: skip
    parser.add_argument("--rounds", type=int,
                        help=f"default: {ROUNDS}, which a claim needs at least")  # fmt: skip
    parser.add_argument("--long", action="store_true",
                        help=f"{LONG_ROUNDS} rounds, and more than a minute of overload: some "
                             "25 minutes in place of 15")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, for a look")
    parser.add_argument("--output", type=Path, help=f"default: {LATEST}, for a whole run")
    parser.add_argument("--against", type=Path, metavar="PATH",
                        help="this build and that of another working copy, in turns")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="fail where a target is not met")
    given = parser.parse_args(words)
    if given.long and (given.quick or given.rounds is not None):
        parser.error("--long says itself how much is done; leave --quick and --rounds out")
    if given.rounds is None:
        given.rounds = LONG_ROUNDS if given.long else ROUNDS
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.against is not None and not (given.against / "bench" / "load").is_dir():
        parser.error(f"--against {given.against} is no working copy of Homeport")
    if given.against is not None and given.only:
        parser.error("--against measures the two builds alone; leave --only out")
    return given


class Steps:
    """Tells of the steps of one measurement, a line each; began: monotonic seconds."""

    def __init__(self, name: str, steps: int, began: float, out: TextIO) -> None:
        self._name, self._steps, self._began, self._out = name, steps, began, out
        self._done = 0

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        after_s = time.monotonic() - self._began
        line = f"{self._name}: {self._done} of {self._steps}, {after_s:.0f} s after the start"
        print(line, file=self._out, flush=True)


def main(words: Sequence[str], registry: Sequence[Measurement] = ALL) -> int:
    """Exit code 1 when a measurement failed, and with --strict where a target is not met."""
    given = parse(words, keys(registry))
    chosen = that_give(given.only, registry)
    if given.against is not None:
        chosen = [against(given.against)]
    samples, console = Samples(), console_for_people()
    began = time.monotonic()
    notes = console_for_notes()
    columns = (TextColumn("{task.description:22}"), BarColumn(), TimeElapsedColumn())
    done, failed, skipped = [], [], []
    with Progress(*columns, console=notes) as progress:
        tasks = [progress.add_task(one.name, total=one.steps(given.rounds)) for one in chosen]
        for one, task in zip(chosen, tasks, strict=True):
            try:
                tick: Callable[[], None] = partial(progress.advance, task)
                if not notes.is_terminal:  # nobody sees a bar: a line a step
                    tick = Steps(one.name, one.steps(given.rounds), began, sys.stderr).step
                one.run(samples, given.rounds, given.quick, tick)
                done.append(one)
            except Skipped as reason:
                skipped.append(f"{one.name}: skipped, {reason}")
            except Failed as error:
                failed.append(f"{one.name}: {error}")
            except Exception as error:  # noqa: BLE001 - what the others found is worth having
                failed.append(f"{one.name}: {type(error).__name__}: {error}")
                traceback.print_exc()
    report.show(done, samples, console)
    for line in [*skipped, *failed]:
        print(line, file=sys.stderr)
    whole = not (given.only or given.against or given.quick or failed) and given.rounds >= ROUNDS
    output = given.output or (LATEST if whole else None)
    if output is not None:
        seconds = time.monotonic() - began
        document = report.document(
            done, samples, rounds=given.rounds, seconds=seconds, quick=given.quick
        )
        report.write(output, document)
        console.print(f"written to {output}")
    asked: list[Ratio | Target] = [ratio for one in done for ratio in one.ratios]
    asked += [target for one in done for target in one.targets]
    met = all(one.met(samples) for one in asked)
    return 1 if failed or (given.strict and not met) else 0


if __name__ == "__main__":
    # So that servers are stopped and folders removed also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    raise SystemExit(main(sys.argv[1:]))
