"""The leader is cut off from the other members by network namespaces; clients still reach it.

Each member lives in a namespace of its own with two links: one to a bridge between members,
one to a bridge for clients. Cutting the former leaves a leader that takes requests and can
commit none. Skips where namespaces may not be made.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from console.local.etcd_process import EtcdMember, find_etcd
from tests.support.fault_harness import fault_harness_over, leader_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

CUT_S = 8.0
TAG = "hpf"


def ip(*words: str) -> None:
    """One iproute2 command; skips where it is not allowed."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")


class NamespacedMember(EtcdMember):
    """A member in a namespace, at 10.213.1.n for clients and 10.213.2.n for members."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(f"etcd-{number}", folder / f"etcd-{number}", program=find_etcd())
        self.number = number
        self.client_port, self.peer_port, self.metrics_port = 2379, 2380, 2381

    @property
    def endpoint(self) -> str:
        return f"10.213.1.{self.number}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://10.213.2.{self.number}:{self.peer_port}"

    def start(self, cluster: str) -> None:
        """The process, inside its namespace."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "ip", "netns", "exec", f"{TAG}{self.number}", str(find_etcd()),
                    f"--name={self.name}", f"--data-dir={self.folder / 'data'}",
                    f"--listen-client-urls=http://{self.endpoint}",
                    f"--advertise-client-urls=http://{self.endpoint}",
                    f"--listen-peer-urls={self.peer_url}",
                    f"--initial-advertise-peer-urls={self.peer_url}",
                    f"--initial-cluster={cluster}",
                    f"--listen-metrics-urls=http://10.213.1.{self.number}:{self.metrics_port}",
                    "--logger=zap",
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def metrics_host(self) -> str:
        return f"10.213.1.{self.number}"

    def cut(self) -> None:
        """Away from the other members."""
        ip("link", "set", f"{TAG}p{self.number}", "down")

    def mend(self) -> None:
        """Back to them."""
        ip("link", "set", f"{TAG}p{self.number}", "up")


class Namespaced:
    """Three of them, as far as the harness needs a cluster."""

    def __init__(self, members: list[NamespacedMember]) -> None:
        self.members = members
        self.endpoints = [member.endpoint for member in members]
        self.url = f"etcd://{','.join(self.endpoints)}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Namespaced]:
    if shutil.which("ip") is None:
        pytest.skip("no network namespaces here: iproute2 is not installed")
    with ExitStack() as undo:
        for kind, address in (("c", "10.213.1.254/24"), ("m", "10.213.2.254/24")):
            bridge = f"{TAG}b{kind}"
            ip("link", "add", bridge, "type", "bridge")
            undo.callback(ip, "link", "del", bridge)
            ip("addr", "add", address, "dev", bridge)
            ip("link", "set", bridge, "up")
        members = [NamespacedMember(number, tmp_path) for number in (1, 2, 3)]
        for member in members:
            space = f"{TAG}{member.number}"
            ip("netns", "add", space)
            undo.callback(ip, "netns", "del", space)
            for outer, inner, bridge, net in (
                (f"{TAG}c{member.number}", "clients", f"{TAG}bc", 1),
                (f"{TAG}p{member.number}", "peers", f"{TAG}bm", 2),
            ):
                ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
                ip("link", "set", outer, "master", bridge)
                ip("link", "set", outer, "up")
                ip("-n", space, "addr", "add", f"10.213.{net}.{member.number}/24", "dev", inner)
                ip("-n", space, "link", "set", inner, "up")
            ip("-n", space, "link", "set", "lo", "up")
        whole = ",".join(f"{member.name}={member.peer_url}" for member in members)
        for member in members:
            undo.callback(member.kill)
            member.start(whole)
        found = Namespaced(members)
        leader_of(found)
        yield found


async def test_a_leader_cut_off_from_its_followers_commits_nothing_more(cluster, tmp_path, record):
    async with fault_harness_over(tmp_path, cluster) as on:
        await on.serve(2)
        await on.fleet()
        on.traffic(processes=3, rate=450)
        await on.flowing()
        cut = []
        for _ in range(3):
            leader = on.leader()
            cut.append(time.monotonic())
            leader.cut()
            try:
                await asyncio.sleep(CUT_S)
            finally:
                leader.mend()
            await on.flowing(1_000)
        outcome = await on.verdict()
    resumed = [round(outcome.measured.resumed_after(at, within_s=CUT_S), 2) for at in cut]
    record("leader cut off from the members for 8 s, reachable by clients", outcome,
           resumed_s=resumed)  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
