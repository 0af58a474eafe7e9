"""What limits a run, second by second: the first of these that shows. Pure.

This generator comes first: where it is late itself, nothing else that is measured says much about
the server.
"""

from __future__ import annotations

from enum import StrEnum

from simulation.load.counts import LoadSecond
from simulation.load.latencies import Latencies

LATE_MS = 100.0  # p99 of how late calls were sent
BUSY = 0.97  # of a processor, used by one process of this generator
SERVER_BUSY = 0.9  # of a processor, used by one server process
OUTCOME_MS = 1_000.0  # p50 of how long outcomes took
SHARE = 0.01  # of the calls that ended within a second
FULL = frozenset({"EXHAUSTED", "RESOURCE_EXHAUSTED"})
STORE = frozenset({"STORE_UNAVAILABLE", "STORE_OUTCOME_UNKNOWN"})
QUOTAS = frozenset({"QUOTA", "TOO_MANY_OPEN"})


class Limit(StrEnum):
    """What holds users up."""

    NOTHING = "nothing"
    GENERATOR = "generator"
    CONNECTIONS = "connections"
    UNREACHABLE = "unreachable"
    STORE_AWAY = "store-away"
    UNITS_FULL = "units-full"
    QUOTA = "quota"
    PROCESSOR = "processor"
    SHEDDING = "shedding"
    SLOW = "slow"
    ERRORS = "errors"
    OUTCOMES = "outcomes"


WORDS = {
    Limit.NOTHING: "nothing: everybody was served",
    Limit.GENERATOR: "this generator: it sent calls later than they were due; give it more "
    "--processes or --connections, or another machine",
    Limit.CONNECTIONS: "the connections: servers had as many calls open on each as they take at "
    "once; add servers, or have more --connections",
    Limit.UNREACHABLE: "the way to the servers: connections were lost, or could not be made",
    Limit.STORE_AWAY: "the store: it was away, and no new user could be placed",
    Limit.UNITS_FULL: "the units: there was no room for all users; add units, or capacity",
    Limit.QUOTA: "a quota: of the tenant, a client or an address; `homeport tenants apply` sets it",
    Limit.PROCESSOR: "the servers' processors: users waited or were turned away while a "
    "server used all that one process can; add servers",
    Limit.SHEDDING: "the servers: they turned users away, since they could not be served in time; "
    "add servers",
    Limit.SLOW: "the servers: they did not answer in time; add servers, or a faster store",
    Limit.ERRORS: "errors of the servers; their logs say more",
    Limit.OUTCOMES: "what comes after deciding: events were kept and decided in time, and their "
    "outcomes came later than a second; add platforms, or threads to each",
}
_LOST = frozenset({"connection lost", "not connected", "refused by goaway"})


def limit_of(second: LoadSecond) -> Limit:
    """Of one second."""
    late_ms = Latencies(second.late).at_ms(99.0) if second.late else 0.0
    if late_ms > LATE_MS and second.cpu_s < BUSY and second.failed.get("not connected"):
        return Limit.UNREACHABLE
    if late_ms > LATE_MS and second.held and second.cpu_s <= BUSY:
        return Limit.PROCESSOR if second.server_cpu > SERVER_BUSY else Limit.CONNECTIONS
    if late_ms > LATE_MS or second.cpu_s > BUSY:
        return Limit.GENERATOR
    least = max(1.0, SHARE * second.answered)
    failed = second.failed
    if sum(count for kind, count in failed.items() if kind in _LOST) >= least:
        return Limit.UNREACHABLE
    if sum(count for reason, count in second.refused.items() if reason in STORE) >= least:
        return Limit.STORE_AWAY
    if sum(count for reason, count in second.refused.items() if reason in FULL) >= least:
        return Limit.UNITS_FULL
    if sum(count for reason, count in second.refused.items() if reason in QUOTAS) >= least:
        return Limit.QUOTA
    if second.refused.total() >= least:
        return Limit.PROCESSOR if second.server_cpu > SERVER_BUSY else Limit.SHEDDING
    if failed.get("no answer in time", 0) + failed.get("grpc-status 4", 0) >= least:
        return Limit.PROCESSOR if second.server_cpu > SERVER_BUSY else Limit.SLOW
    if failed.total() >= least:
        return Limit.ERRORS
    if second.outcome_latency and Latencies(second.outcome_latency).at_ms(50.0) > OUTCOME_MS:
        return Limit.OUTCOMES
    return Limit.NOTHING
