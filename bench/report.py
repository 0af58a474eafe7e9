"""What came out: a table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.suite.measurement import Measurement, Ratio, Samples, Target
from console.cli.tables import Table, fold, number, whole
from console.local.etcd_process import find_etcd

PACKAGES = (
    "grpcio",
    "pygrpc-native",
    "protobuf",
    "etcd3aio",
    "maxminddb",
    "maxminddb-rust",
    "uvloop",
)


def document(
    measurements: Sequence[Measurement],
    samples: Samples,
    *,
    rounds: int,
    seconds: float,
    quick: bool,
) -> dict[str, Any]:
    """Everything as one JSON document; `measurements` have run."""
    ratios = [ratio for one in measurements for ratio in one.ratios]
    asked: dict[str, Ratio | Target] = {r.key: r for r in ratios if r.target is not None}
    asked |= {target.figure: target for one in measurements for target in one.targets}
    units = {
        name: unit
        for one in measurements
        for name, unit in one.units.items()
        if name in samples.values  # of a setting that was worse while all warmed up is none
    }
    return {
        "ratios": {r.key: round(r.value(samples), 3) for r in ratios},
        "targets": {
            key: {"at_least" if one.at_least else "at_most": one.target}
            for key, one in asked.items()
        },
        "met": {key: one.met(samples) for key, one in asked.items()},
        "spreads": {
            r.key: [round(edge(r.of_pairs(samples)), 3) for edge in (min, max)]
            for r in ratios
            if r.paired
        },
        "figures": {name: round(samples.median(name), 2) for name in units},
        "units": units,
        "samples": {name: [round(v, 2) for v in samples.values[name]] for name in units},
        "rounds": rounds,
        "quick": quick,
        "seconds": round(seconds),
        "machine": machine(),
        "versions": versions(),
    }


def machine() -> dict[str, str | int]:
    """Where it ran, as far as it explains the figures."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "file_system": _file_system(Path.cwd()),
    }


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    packages = {name: version(name) for name in PACKAGES}
    return packages | {"etcd": etcd_version(), "sqlite": sqlite3.sqlite_version}


def etcd_version() -> str:
    """Of the etcd that was measured."""
    words = [str(find_etcd()), "--version"]
    first = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return first.removeprefix("etcd Version: ")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def _file_system(path: Path) -> str:
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, this_kind, *_ = line.split()
        inside = str(path).startswith(mount.rstrip("/") + "/") or str(path) == mount
        if inside and len(mount) > len(best):
            best, kind = mount, this_kind
    return kind


def write(path: Path, content: dict[str, Any]) -> None:
    """As JSON, indented for diffs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def ratios_table(measurements: Sequence[Measurement], samples: Samples) -> Table:
    """Each ratio with its two figures, and each figure of which something is asked;
    `measurements` have run."""
    table = Table(
        fold("ratio"), number("ours"), number("ceiling"), number("value"), number("target"),
        whole(""), title="Homeport next to its ceilings, medians of one run",
    )  # fmt: skip
    for one in measurements:
        for ratio in one.ratios:
            target = ratio.target
            table.add_row(
                ratio.key,
                f"{samples.median(ratio.ours):,.0f}",
                f"{samples.median(ratio.ceiling):,.0f} {one.units[ratio.ceiling]}",
                _with_spread(ratio, samples),
                "" if target is None else f"{_sign(ratio)} {target:.2f}",
                "" if target is None else _outcome(ratio, samples),
            )
        for asked in one.targets:
            table.add_row(
                asked.figure, f"{asked.value(samples):,.1f}", "", "",
                f"{_sign(asked)} {asked.target:,.1f}", _outcome(asked, samples),
            )  # fmt: skip
    return table


def _sign(asked: Ratio | Target) -> str:
    return "≥" if asked.at_least else "≤"


def _outcome(asked: Ratio | Target, samples: Samples) -> str:
    return "[green]met[/]" if asked.met(samples) else "[red]short[/]"


def _with_spread(ratio: Ratio, samples: Samples) -> str:
    """The value; of one of pairs, from where to where the ratios of the pairs go besides."""
    value = f"{ratio.value(samples):.2f}"
    if not ratio.paired:
        return value
    pairs = ratio.of_pairs(samples)
    return f"{value} ({min(pairs):.2f} to {max(pairs):.2f})"


def show(measurements: Sequence[Measurement], samples: Samples, console: Console) -> None:
    """The table, and below it the figures that are in no ratio; `measurements` have run."""
    console.print(ratios_table(measurements, samples))
    shown = {name for one in measurements for r in one.ratios for name in (r.ours, r.ceiling)}
    for one in measurements:
        for name, unit in one.units.items():
            if name not in shown and name in samples.values:
                console.print(f"  {name}: {samples.median(name):,.2f} {unit}", soft_wrap=True)
