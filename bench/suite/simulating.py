"""Simulating a policy, client by client and by classes, next to serving the same."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack

from bench.load.stream import feed
from bench.suite.bulk import BATCHES, good
from bench.suite.measurement import WARM_UP, Measurement, Ratio, Samples, Target, divisor
from bench.suite.processes import provisioner, scratch

EXACT_CLIENTS = 1_000_000
CLASSES_CLIENTS = 1_000_000_000
CLASSES_ROUNDS = 3  # a figure that hardly spreads, and takes longest
WITHIN_S = 600


def simulated(engine: str, clients: int) -> dict[str, float]:
    """What one simulation in a process of its own took."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load.simulation_run", engine, str(clients)],
        capture_output=True, text=True, check=True, timeout=WITHIN_S,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """One provisioner on the embedded store stands throughout; it and simulations take turns."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        embedded = f"embedded:{folder / 'embedded' / 'store.db'}"
        on_sqlite = stack.enter_context(provisioner(embedded, "auto", folder))["grpc"]
        for number in range(WARM_UP, rounds):
            kept = samples if number != WARM_UP else Samples()
            scale = divisor(number, quick=quick)
            many = good(feed(on_sqlite, secrets.token_hex(3) + "s", BATCHES // scale))
            kept.add("served_in_bulk_per_s", many.clients_per_s)
            clients = EXACT_CLIENTS // scale
            kept.add("simulate_exact_per_s", clients / simulated("exact", clients)["seconds"])
            if 0 <= number < CLASSES_ROUNDS:
                classes = simulated("classes", CLASSES_CLIENTS)
                kept.add("simulate_classes_1e9_s", classes["seconds"])
                kept.add("simulate_classes_1e9_mib", classes["peak_mib"])
            tick()


SIMULATING = Measurement(
    name="simulating",
    ratios=(
        Ratio(key="simulate_exact_vs_serving", ours="simulate_exact_per_s",
              ceiling="served_in_bulk_per_s", target=20.0),
    ),
    targets=(
        Target(figure="simulate_classes_1e9_s", target=20.0, at_least=False),
        Target(figure="simulate_classes_1e9_mib", target=2_048.0, at_least=False),
    ),
    units={
        "served_in_bulk_per_s": "clients/s", "simulate_exact_per_s": "clients/s",
        "simulate_classes_1e9_s": "s", "simulate_classes_1e9_mib": "MiB",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
