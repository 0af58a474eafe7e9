"""`python -m console.local.nats_child --folder DIR --ready-file FILE [--port N]`: one NATS server
with JetStream, kept running.

Says in the ready file where it serves clients and monitoring, and starts it again on the same ports
when it dies. Ends on SIGTERM, and then the server is gone too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from console.local.nats_process import NatsCluster, NatsFailed
from console.local.stack_plan import restart_delay_s
from control_plane.errors import ServiceError
from control_plane.private_files import UMASK
from control_plane.ready_file import clear_ready_file, write_ready_file

_POLL_S = 0.1


def keep_running(cluster: NatsCluster, stop: threading.Event) -> None:
    """Until `stop`. Raises NatsFailed when it keeps dying."""
    (member,) = cluster.members
    deaths: list[float] = []
    while not stop.wait(_POLL_S):
        if member.pid is not None:
            continue
        deaths.append(time.monotonic())
        delay_s = restart_delay_s(deaths, time.monotonic())
        if delay_s is None:
            raise NatsFailed(f"the NATS server keeps ending; {member.last_words()}")
        print(f"NATS ended; starting it again in {delay_s:.1f} s", file=sys.stderr, flush=True)
        if not stop.wait(delay_s):
            cluster.restart(member)


def main() -> int:
    parser = argparse.ArgumentParser(prog="nats_child", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="for clients; 0: any free one")
    given = parser.parse_args()
    os.umask(UMASK)  # NATS writes for its user alone, too
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with NatsCluster(given.folder, port=given.port) as cluster:
            (member,) = cluster.members
            facts = {"url": member.url, "monitoring": member.monitoring, "pid": os.getpid()}
            write_ready_file(given.ready_file, facts)
            keep_running(cluster, stop)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        clear_ready_file(given.ready_file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
