"""`python -m console.local.etcd_child --folder DIR --password-file FILE --ready-file FILE
[--port N]`: one etcd, kept running.

Starts a single-member etcd on loopback, for clients on the port it is given, says where in the
ready file, and starts it again on the same ports when it dies. Ends on SIGTERM, and then etcd
is gone too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from console.local.etcd_password import START_WITHIN_S, guarded_cluster
from console.local.etcd_process import EtcdCluster, EtcdFailed
from console.local.stack_plan import restart_delay_s
from control_plane.errors import ServiceError
from control_plane.private_files import UMASK
from control_plane.ready_file import clear_ready_file, write_ready_file

_POLL_S = 0.1


def keep_running(cluster: EtcdCluster, stop: threading.Event, ready_file: Path) -> None:
    """Until `stop`. Raises EtcdFailed when etcd keeps dying."""
    (member,) = cluster.members
    deaths: list[float] = []
    while not stop.wait(_POLL_S):
        if member.pid is not None:
            continue
        deaths.append(time.monotonic())
        delay_s = restart_delay_s(deaths, time.monotonic())
        if delay_s is None:
            raise EtcdFailed(f"etcd keeps ending; {member.last_words()}")
        print(f"etcd ended; starting it again in {delay_s:.1f} s", file=sys.stderr, flush=True)
        if not stop.wait(delay_s):
            cluster.restart(member, START_WITHIN_S)
            announce(ready_file, cluster)


def announce(path: Path, cluster: EtcdCluster) -> None:
    """Writes {"url", "pid", "etcd_pid"} as JSON, whole or not at all."""
    content = {"url": cluster.url, "pid": os.getpid(), "etcd_pid": cluster.members[0].pid}
    write_ready_file(path, content)


def main() -> int:
    parser = argparse.ArgumentParser(prog="etcd_child", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--password-file", type=Path, required=True, help="made where it is not")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="for clients; 0: any free one")
    given = parser.parse_args()
    os.umask(UMASK)  # etcd writes for its user alone, too
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        cluster = guarded_cluster(given.folder, given.password_file, client_port=given.port)
        try:
            announce(given.ready_file, cluster)
            keep_running(cluster, stop, given.ready_file)
        finally:
            cluster.stop()
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        clear_ready_file(given.ready_file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
