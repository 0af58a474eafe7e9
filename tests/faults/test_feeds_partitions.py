"""A tenant's keys over four partitions, whose workers are killed while events are published through
any of them: what is decided is what one worker on its own disk decides, key by key, each once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from console.local.nats_process import NatsCluster
from tests.support.decision_run import Publishing
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured
from tests.support.nats_servers import worker_arguments
from tests.support.partition_run import PartitionRun, of_keys

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

PARTITIONS, WORKERS, COUNT, BATCH = 4, 5, 3_000, 100
KILL_AT = {6, 13, 20}
WITHIN_S = 300.0


def test_workers_are_killed_while_keys_are_spread(tmp_path: Path, record) -> None:
    one = Publishing(tmp_path / "reference", COUNT)
    one.run()
    with NatsCluster(tmp_path / "nats") as cluster:
        run = PartitionRun(
            tmp_path / "spread", worker_arguments(cluster, replicas=1, lease_s=4.0),
            partitions=PARTITIONS, workers=WORKERS, within_s=WITHIN_S,
        )  # fmt: skip
        with run:
            for number in range(COUNT // BATCH):
                numbers = range(number * BATCH, (number + 1) * BATCH)
                run.publish(numbers, door=number, kill=number in KILL_AT)
            ended = time.monotonic()
        left = run.left()
    measured = Measured(requests=len(run.answered), failed=0, writes=run.answered)
    resumed = [round(min(at for at in run.answered if at >= kill) - kill, 2) for kill in run.kills]
    record(
        f"NATS: keys over {PARTITIONS} partitions and {WORKERS} workers, one killed (-9) "
        f"{len(KILL_AT)} times; {COUNT:,} events through any, each key as one worker has it",
        Outcome(verdict=Verdict(), measured=measured),
        resumed_s=resumed,
    )  # fmt: skip
    assert len(run.kills) == len(KILL_AT)
    assert ended >= run.answered[-1]
    expected = of_keys(tmp_path / "reference" / "data" / "sharing.db")
    assert len(expected) == 51  # and the instructions of all
    assert left == expected
