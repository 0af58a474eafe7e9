"""Kernels as they are: devices in network namespaces of their own, in one /64, with each setting of
`tcp_timestamps`. No wrong edge, ever; and one where the kernel lets us have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deployment_units.services.device_graph.evidence import BootInstant, BootSource, NoBoot
from deployment_units.services.device_graph.matching import (
    Ambiguous,
    Decision,
    Linked,
    NoMatch,
    Observation,
    Session,
    match,
)

NETWORK = "fd77:7:7:7::"
BLOCK = f"{NETWORK}/64"
CLIENT = """
import sys, urllib.request
for _ in range(2):
    with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
        said = answer.read().decode()
print(said)
"""


def run(*words: str) -> str:
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ran.stderr}")
    return ran.stdout


def _cannot() -> str:
    """Why there are no namespaces here; empty: there are."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "network namespaces need Linux and iproute2"
    name = f"hp{uuid.uuid4().hex[:8]}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "del", name)
    except (RuntimeError, subprocess.SubprocessError) as error:
        return f"no network namespace can be made here: {str(error).strip()}"
    return ""


WHY_NOT = _cannot() if os.environ.get("HOMEPORT_NAMESPACES") != "0" else "switched off"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


class Network:
    """A server, and devices beside it on one /64."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._names: dict[str, str] = {}
        self._bridge = self._namespace("net")
        run("ip", "-n", self._bridge, "link", "add", "name", "bridge0", "type", "bridge")
        run("ip", "-n", self._bridge, "link", "set", "bridge0", "up")
        self._attach("server", 1, timestamps=1)
        server = subprocess.Popen(
            ["ip", "netns", "exec", self._names["server"], sys.executable, "-m",
             "tests.support.stamp_server", f"[{NETWORK}1]:0"],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4],
        )  # fmt: skip
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        assert server.stdout is not None
        stack.callback(server.stdout.close)
        self._port = server.stdout.readline().strip().rpartition(":")[2]

    def device(self, name: str, number: int, *, timestamps: int) -> None:
        self._attach(name, number, timestamps=timestamps)

    def seen(self, device: str, who: str) -> BootInstant | NoBoot:
        """What two connections of a program on the device say."""
        url = f"http://[{NETWORK}1]:{self._port}/{device}-{who}"
        said: dict[str, Any] = json.loads(
            run("ip", "netns", "exec", self._names[device], sys.executable, "-c", CLIENT, url)
        )
        if "none" in said:
            return NoBoot[said["none"]]
        return BootInstant(**{**said, "source": BootSource(said["source"])})

    def _namespace(self, name: str) -> str:
        self._names[name] = f"hp{uuid.uuid4().hex[:8]}"
        run("ip", "netns", "add", self._names[name])
        self._stack.callback(run, "ip", "netns", "del", self._names[name])
        return self._names[name]

    def _attach(self, name: str, number: int, *, timestamps: int) -> None:
        namespace, here = self._namespace(name), f"v{number}"
        run("ip", "-n", self._bridge, "link", "add", here, "type", "veth",
            "peer", "name", "up0", "netns", namespace)  # fmt: skip
        run("ip", "-n", self._bridge, "link", "set", here, "master", "bridge0", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "link", "set", "up0", "up")
        run("ip", "-n", namespace, "address", "add", f"{NETWORK}{number}/64", "dev", "up0", "nodad")
        run("ip", "netns", "exec", namespace, "sh", "-c",
            f"echo {timestamps} > /proc/sys/net/ipv4/tcp_timestamps")  # fmt: skip


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack)


def decided(browser: BootInstant | NoBoot, devices: dict[str, BootInstant | NoBoot]) -> Decision:
    sessions = [
        Session(device=name, block=BLOCK, server="s", boot=boot)
        for name, boot in devices.items()
        if isinstance(boot, BootInstant)
    ]
    at_ms = browser.seen_ms if isinstance(browser, BootInstant) else 0
    return match(
        Observation(browser="b", block=BLOCK, server="s", boot=browser, seen_ms=at_ms), sessions
    )


def test_a_kernel_that_shows_its_uptime_is_matched_and_two_of_one_boot_are_not(
    network: Network,
) -> None:
    network.device("laptop", 2, timestamps=2)
    laptop, browser = network.seen("laptop", "app"), network.seen("laptop", "browser")
    found = decided(browser, {"laptop": laptop})
    assert isinstance(found, Linked), (laptop, browser)
    # All of these namespaces are on one kernel, which booted once: as in a house after a power cut.
    network.device("tablet", 3, timestamps=2)
    tablet = network.seen("tablet", "app")
    assert decided(browser, {"laptop": laptop, "tablet": tablet}) == Ambiguous(
        devices=("laptop", "tablet")
    )


@pytest.mark.parametrize("timestamps", [0, 1])
def test_a_kernel_that_tells_nothing_is_on_no_device(network: Network, timestamps: int) -> None:
    """1 is Linux's default: a shift of each connection, or of the pair of addresses; the second is
    evidence, as it is another one for each device."""
    network.device("laptop", 2, timestamps=timestamps)
    network.device("tablet", 3, timestamps=timestamps)
    devices = {name: network.seen(name, "app") for name in ("laptop", "tablet")}
    browser = network.seen("laptop", "browser")
    found = decided(browser, devices)
    if timestamps == 0:
        assert found is NoMatch.NO_BOOT
        assert browser is NoBoot.NOTHING
    else:
        assert found is NoMatch.NO_BOOT or (
            isinstance(found, Linked) and found.device == "laptop"
        ), (browser, devices)
