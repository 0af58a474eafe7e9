"""Splink as a ceiling: probabilistic record linkage on DuckDB, in an environment of its own.

It is a program beside Homeport and no dependency of it. So the bench makes a virtual environment
for it, with the releases in splink_requirements.txt, the first time it is asked for.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.device_population import Record
from bench.load.match_scores import Prediction
from bench.suite.measurement import Failed, Skipped
from deployment_units.services.device_graph.evidence import BootInstant, BootSource, boot_of

INSTALL_WITHIN_S: Final = 600
RUN_WITHIN_S: Final = 1_200
_REQUIREMENTS: Final = Path(__file__).with_name("splink_requirements.txt")
_SCRIPT: Final = Path(__file__).with_name("splink_script.py")
_COLUMNS: Final = ("id", "who", "block", "tcp", "uptime", "seen_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplinkRun:
    """seconds: of training and predicting; predict_seconds: of predicting alone."""

    seconds: float
    predict_seconds: float
    predictions: Sequence[Prediction]


def environment(folder: Path) -> Path:
    """The interpreter of an environment in the folder that has Splink; made where there is none, or
    one with other releases. Raises Skipped where it cannot be made."""
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = _REQUIREMENTS.read_text()
    if done.exists() and done.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    install = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "-r")
    try:
        for words in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), *install, str(_REQUIREMENTS)],
        ):
            subprocess.run(
                words, capture_output=True, text=True, check=True, timeout=INSTALL_WITHIN_S
            )
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise Skipped(f"Splink cannot be installed: {said[-1] if said else error}") from error
    done.write_text(wanted)
    return python


def link(python: Path, folder: Path, records: Iterable[Record]) -> SplinkRun:
    """Splink over all the records at once; files are made in the folder. When each booted is worked
    out before. Raises Failed where it does not come to an end."""
    reports, seen, found = (folder / f"{name}.csv" for name in ("reports", "seen", "found"))
    with reports.open("w", newline="") as of_devices, seen.open("w", newline="") as of_browsers:
        writers = csv.writer(of_devices), csv.writer(of_browsers)
        for writer in writers:
            writer.writerow(_COLUMNS)
        for number, one in enumerate(records):
            writers[bool(one.browser)].writerow(row_of(number, one))
    words = [str(python), str(_SCRIPT), str(reports), str(seen), str(found)]
    try:
        run = subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=RUN_WITHIN_S
        )
    except subprocess.CalledProcessError as error:
        raise Failed(f"Splink ended with {error.returncode}: {error.stderr[-2_000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"Splink did not end within {RUN_WITHIN_S} s") from error
    told = json.loads(run.stdout.splitlines()[-1])
    with found.open(newline="") as rows:
        predictions = [Prediction(one, other, float(p)) for one, other, p in csv.reader(rows)]
    return SplinkRun(
        seconds=float(told["seconds"]),
        predict_seconds=float(told["predict_seconds"]),
        predictions=predictions,
    )


def row_of(number: int, record: Record) -> tuple[object, ...]:
    """A record as Splink has it, by _COLUMNS; of a report `who` is the device."""
    boot, tcp, uptime = boot_of(record.came), None, None
    if isinstance(boot, BootInstant):
        if boot.source is BootSource.TCP:
            tcp = boot.ms
        else:
            uptime = boot.ms
    kind, who = ("s", record.browser) if record.browser else ("r", record.device)
    return f"{kind}{number}", who, record.block, tcp, uptime, record.at_ms
