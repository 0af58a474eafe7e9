"""What services are given to show events and decisions by, over a decision harness."""

from __future__ import annotations

import time

from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.redaction import Redaction
from data_sharing.decisions.disclosure import Disclosure
from data_sharing.management.shown_records import ShownRecords
from data_sharing.wiring.decisions import spec_finder
from tests.support.decisions_harness import DecisionHarness


def shown_records(harness: DecisionHarness) -> ShownRecords:
    return ShownRecords(
        harness.database, lambda: harness.worker.rules.policies, wall_ms=harness.clock
    )


def disclosure(harness: DecisionHarness) -> Disclosure:
    return Disclosure(lambda: harness.worker.rules, spec_finder(harness.database))


def read_turns() -> ReadTurns:
    """By the real clock."""
    return ReadTurns(time.monotonic)


def redaction(harness: DecisionHarness) -> Redaction:
    return Redaction(disclosure(harness))


def never(tenant: str, rule: str, version: int) -> bool:
    """No rule reads a feed with a policy."""
    return False
