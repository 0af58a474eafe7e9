"""The network of a pod: a namespace of its own with one address on the bridge of all pods, held by
a process that does nothing else."""

from __future__ import annotations

import itertools
import subprocess
import threading

from tests.support.kube.namespace import BRIDGE, POD_GATEWAY, POD_PREFIX

_LIMIT_S = 20.0
_RESERVED = 9  # from here on addresses are given out


class PodNetworks:
    """Gives out addresses, one after the other, and none of them twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_RESERVED)
        self._lock = threading.Lock()

    def make(self) -> PodNetwork:
        with self._lock:
            return PodNetwork(next(self._numbers))


class PodNetwork:
    """pid: a process in it. address: of the pod."""

    gateway = POD_GATEWAY

    def __init__(self, number: int) -> None:
        high, low = divmod(number, 250)
        self.address = f"10.244.{high}.{low + 1}"
        outside = f"pod{number}"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None
        self._holder.stdout.read(1)  # it is in its namespace
        self.pid = self._holder.pid
        inside = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "ip"]
        ends = ["type", "veth", "peer", "name", "eth0", "netns", str(self.pid)]
        for words in (
            ["ip", "link", "add", outside, *ends],
            ["ip", "link", "set", outside, "master", BRIDGE, "up"],
            [*inside, "link", "set", "lo", "up"],
            [*inside, "address", "add", f"{self.address}/{POD_PREFIX}", "dev", "eth0"],
            [*inside, "link", "set", "eth0", "up"],
            [*inside, "route", "add", "default", "via", POD_GATEWAY],
        ):  # fmt: skip
            subprocess.run(words, check=True, timeout=_LIMIT_S)

    def remove(self) -> None:
        self._holder.kill()
        self._holder.wait(_LIMIT_S)
