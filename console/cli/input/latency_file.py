"""What was measured between places and units, from the file of --latencies."""

from __future__ import annotations

from pathlib import Path

from console.cli.input.text_file import read_text
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from simulation.policy.latency_file import read_latencies


def latencies_in(file: Path | None) -> Latencies:
    """None: nothing was. Raises FaultyLatencies."""
    return NOTHING_MEASURED if file is None else read_latencies(read_text(file))
