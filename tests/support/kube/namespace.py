"""`python -m tests.support.kube.namespace COMMAND…`: runs COMMAND where a cluster may be run.

That is in namespaces of its own for network, mounts and processes, with the addresses of pods and
services on a bridge: nothing in it is reachable from outside or reaches anything there, and when
COMMAND ends, however that happens, the kernel ends everything that was started in it. Needs root
(or, where the system allows that, namespaces of users), `unshare` and `ip`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

_LIMIT_S = 10.0
_MARK = "HOMEPORT_CLUSTER_NAMESPACE"

BRIDGE = "homeport-pods"
POD_GATEWAY = "10.244.0.1"
POD_PREFIX = 16
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"


def is_inside() -> bool:
    """Whether this process was started by `main`."""
    return os.environ.get(_MARK) == "1"


def missing_tools() -> list[str]:
    """The programs that namespaces and pods need and that are not on the PATH."""
    return [
        name
        for name in ("unshare", "nsenter", "ip", "bwrap", "setpriv")
        if shutil.which(name) is None
    ]


def _lay_out_network() -> None:
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "add", BRIDGE, "type", "bridge"],
        ["address", "add", f"{POD_GATEWAY}/{POD_PREFIX}", "dev", BRIDGE],
        ["link", "set", BRIDGE, "up"],
        # Every address of a service is one of this machine: a process can listen on it.
        ["route", "add", "local", SERVICE_RANGE, "dev", "lo"],
    ):
        subprocess.run(["ip", *words], check=True, timeout=_LIMIT_S)


def main(command: Sequence[str]) -> int:
    """Runs the command inside, and gives its exit code. Raises CalledProcessError where the network
    is refused."""
    if not command:
        sys.exit("usage: python -m tests.support.kube.namespace COMMAND…")
    if is_inside():
        _lay_out_network()
        os.execvp(command[0], list(command))
    if missing := missing_tools():
        packages = "util-linux, iproute2, bubblewrap"
        sys.exit(f"not on the PATH: {', '.join(missing)} (Debian: {packages})")
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # unshare itself ignores SIGTERM, so only SIGKILL ends it, and with it all that is inside.
    inside = subprocess.Popen(
        [
            "setpriv", "--pdeathsig", "KILL", "unshare", *users, "--net", "--mount", "--pid",
            "--fork", "--kill-child", "--mount-proc", sys.executable, "-m",
            "tests.support.kube.namespace", *command,
        ],
        env={**os.environ, _MARK: "1"},
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: inside.kill())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has heard it as well
    return inside.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
