"""Goodput at twice the load that saturates a server, next to that at saturation.

By the processor time of the server's event loop: see `simulation.load.overload`.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.suite.measurement import LONG_ROUNDS, Measurement, Ratio, Samples
from bench.suite.processes import etcd, provisioner, scratch
from simulation.load.overload import OverloadedServer, goodput, overloaded, saturated

# Of each the first ten are not counted.
SATURATED_S, OVER_S = 20.0, 40.0
LONG_S = 70.0  # of overload, in a long run
QUICK_S = 20.0
TIMES = 2.0


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Once, whatever the rounds, in a fresh server on the default transport."""
    with (
        scratch() as folder,
        etcd(folder) as url,
        provisioner(url, "auto", folder) as ready,
    ):
        server = OverloadedServer(address=ready["grpc"], pid=int(ready["pid"]))
        at_saturation = goodput(saturated(server, SATURATED_S))
        tick()
        for_s = QUICK_S if quick else OVER_S if rounds < LONG_ROUNDS else LONG_S
        beyond = overloaded(server, TIMES * at_saturation, for_s)
        samples.add("goodput_at_saturation", at_saturation)
        samples.add("goodput_at_2x", goodput(beyond))
        tick()


OVERLOAD = Measurement(
    name="overload",
    ratios=(
        Ratio(key="goodput_2x_vs_saturation", ours="goodput_at_2x",
              ceiling="goodput_at_saturation", target=0.80),
    ),
    units={
        "goodput_at_saturation": "good answers for a second of the event loop's processor",
        "goodput_at_2x": "the same, with twice as many asked for",
    },
    run=measure,
    steps=lambda rounds: 2,
)  # fmt: skip
