"""Decisions within this process: what one takes of the processor, over a fleet whose loads change.

Told "go" on standard input it decides for all clients once and writes microseconds a decision.
"""

from __future__ import annotations

import sys

from bench.suite.pure import Decisions
from bench.workloads import addresses
from provisioner.geo.database import GeoDatabase
from provisioner.geo.locator import Locator

UNITS = 100


def main() -> None:
    """Until standard input ends."""
    database = GeoDatabase.open()
    locator = Locator(lambda: database)
    decisions = Decisions(UNITS, [locator.locate(one, None, None) for one in addresses()])
    while sys.stdin.readline():
        print(decisions.changing_us(), flush=True)


if __name__ == "__main__":
    main()
