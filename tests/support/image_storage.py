"""Images and containers of one folder, with podman as a process: what is run from it is gone when
the folder is `cleared`. Root; Debian's podman and runc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/homeport-test:1"
BASE = "localhost/homeport-base:trixie"
BUILT = "2025-11-28T00:00:00Z"  # as an image says it
BUILD_S, RUN_S = 3_000.0, 300.0
_HOSTS = "hosts"
_SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
base_hosts_file = "{hosts}"
[engine]
events_logger = "none"
runtime = "runc"
cgroup_manager = "cgroupfs"
"""


def build(folder: Path, image: str, *words: str, **variables: str) -> None:
    """As `make image` does it, with its steps on the screen. Raises CalledProcessError."""
    seconds = str(int(datetime.fromisoformat(BUILT).timestamp()))
    environment = {**os.environ, "HOMEPORT_STORAGE": str(folder), "HOMEPORT_IMAGE": image}
    environment["SOURCE_DATE_EPOCH"] = seconds
    subprocess.run(
        [sys.executable, "packaging/image/build.py", *words],
        cwd=ROOT, env=environment | variables, check=True, timeout=BUILD_S,
    )  # fmt: skip


class PodmanFailed(Exception):
    """With what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStorage:
    """folder: of images and of what runs from them. network: words before each command, by which
    it runs in a network namespace; none: in the machine's own."""

    folder: Path
    network: Sequence[str] = field(default=())

    def podman(self, *words: str, limit_s: float = RUN_S) -> str:
        """What it prints. Raises PodmanFailed, TimeoutExpired."""
        done = self.attempt(*words, limit_s=limit_s)
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            raise PodmanFailed(f"podman {' '.join(words)}: exit code {done.returncode}\n{said}")
        return done.stdout

    def attempt(self, *words: str, limit_s: float = RUN_S) -> subprocess.CompletedProcess[str]:
        """The same without a judgement."""
        options = [
            f"--root={self.folder}/root", f"--runroot={self.folder}/run", "--storage-driver=vfs",
        ]  # fmt: skip
        return subprocess.run(
            [*self.network, "podman", *options, *words],
            capture_output=True, text=True, timeout=limit_s, check=False,
            env={**os.environ, "CONTAINERS_CONF": str(self._settings())},
        )  # fmt: skip

    def inside(self, *words: str, limit_s: float = RUN_S) -> subprocess.CompletedProcess[str]:
        """A program of this machine, in the network of the containers."""
        return subprocess.run(
            [*self.network, *words], capture_output=True, text=True, timeout=limit_s, check=False
        )

    def run(self, *words: str, image: str, entrypoint: str = "homeport") -> str:
        """What a container says that is restricted as the charts' are, without network. Raises
        PodmanFailed where the program fails."""
        return self.podman(
            "run", "--rm", "--network=none", "--read-only", "--read-only-tmpfs=false",
            "--cap-drop=all", "--security-opt=no-new-privileges", f"--entrypoint={entrypoint}",
            image, *words,
        )  # fmt: skip

    def write_hosts(self, text: str) -> None:
        """The hosts file of every container that is made from now on."""
        self._settings()
        (self.folder / _HOSTS).write_text(text)

    def _settings(self) -> Path:
        path, hosts = self.folder / "containers.conf", self.folder / _HOSTS
        if not path.exists():
            hosts.write_text("127.0.0.1 localhost\n")
            path.write_text(_SETTINGS.format(hosts=hosts))
        return path

    def stop_all(self) -> None:
        """Ends every pod and container, with their volumes."""
        self.attempt("pod", "rm", "--all", "--force", "--time=2")
        self.attempt("rm", "--all", "--force", "--time=2")
        self.attempt("volume", "rm", "--all", "--force")

    def clear(self) -> None:
        """Takes all of it away, the folder as well. Raises OSError where something stays."""
        self.stop_all()
        self.attempt("rmi", "--all", "--force")
        shutil.rmtree(self.folder)


@contextmanager
def own_network() -> Iterator[Sequence[str]]:
    """A network namespace with a loopback device alone; the words that run a command in it. Ends
    with the block, or with this process."""
    holder = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c",
         "ip link set lo up && echo ready && exec sleep infinity"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        if holder.stdout.readline().strip() != "ready":
            raise OSError("no network namespace was made: root, unshare and ip are needed")
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    finally:
        holder.kill()
        holder.wait(timeout=10)
        if holder.stdout is not None:
            holder.stdout.close()
