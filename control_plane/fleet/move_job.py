"""MoveJob: a background job that moves clients, as stored under jobs/<id>.

Values only. A job's id says what it does and to which unit, so there is one of each at a
time, and a new one takes the place of the one before: the store never fills with old jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobKind(StrEnum):
    """Which clients a job moves, and why."""

    DRAIN = "drain"
    FAILOVER = "failover"  # a lost unit's clients
    REBALANCE = "rebalance"
    RETURN_HOME = "return"  # clients go back to the unit they had to leave
    POLICY = "policy"  # a tenant's clients go where one version of its policy places them
    MOVE_BACK = "moveback"  # those whom such a job moved go back to where they were


class JobState(StrEnum):
    """Whether a job moves clients."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


OPEN = frozenset({JobState.RUNNING, JobState.PAUSED})


@dataclass(frozen=True, slots=True)
class Way:
    """From one unit to another. clients: that go at most; gone: of them, that have at most."""

    source: str
    target: str
    clients: int
    gone: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveJob:
    """What is to be done, how far it has come, and which server works on it."""

    id: str
    kind: JobKind
    state: JobState = JobState.RUNNING
    unit: str = ""  # drain, failover: whose clients; return: where they go; empty: all units
    rate_per_s: float  # at most so many moves a second, > 0
    total: int = 0  # clients to move as counted when it began
    max_moves: int = 0  # 0: no bound
    moved: int = 0  # at least so many: a worker that died may have moved some more
    kept: int = 0  # could not be moved in this pass, or in the last one between two
    cursor: str = ""  # tenant/client up to which this pass has come; empty: at its beginning
    passes: int = 0  # that are over
    worker: str = ""  # session of the provisioner that works on it; empty: nobody yet
    start_ms: int = 0  # Unix time, ms
    end_ms: int = 0  # 0: not ended
    message: str = ""  # what it waits for, or why clients stay; one sentence
    tenant: str = ""  # whose clients; empty: of all tenants
    policy_version: int = 0  # it moves while this version is in force; 0: whichever is
    ways: tuple[Way, ...] = ()  # the plan that it keeps to; empty: it has none
    undoes: str = ""  # the job whose moves it takes back; empty: none's

    @property
    def is_open(self) -> bool:
        """Whether it may still move clients."""
        return self.state in OPEN


def policy_job_id(kind: JobKind, tenant: str, version: int) -> str:
    """`policy-acme-v3`, `moveback-acme-v3`: one of each kind for a version of a tenant's policy."""
    return f"{kind.value}-{tenant}-v{version}"


def job_id(kind: JobKind, unit: str = "") -> str:
    """`drain-eu-west`, `failover-eu-west`, `return-eu-west`, `rebalance`."""
    return f"{kind.value}-{unit}" if unit else kind.value
