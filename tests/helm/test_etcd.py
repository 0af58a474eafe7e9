"""The store that the chart brings: three members with the command line, certificates and settings
as they are rendered, and a provisioning server on them while they come to ask for a password."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console.local.etcd_member import free_ports
from tests.support.go_programs import ETCD_3_6, needs
from tests.support.helm_rendering import Manifest, laid_out, pods_of, render

VALUES = {
    "tls": {"source": "generate"}, "tokens": {"secret": "tokens"}, "etcd": {"enabled": True},
}  # fmt: skip
SERVICE = "trial-homeport-etcd.homeport.svc"
MEMBERS = [f"trial-homeport-etcd-{number}" for number in range(3)]
WITHIN_S = 120.0

pytestmark = [
    pytest.mark.timeout(600),
    needs(ETCD_3_6, target="test-etcd-versions"),
]


@dataclass(frozen=True, kw_only=True)
class Store:
    """The members, running, and what was rendered with them."""

    folder: Path
    manifests: list[Manifest]
    secrets: Mapping[str, Mapping[str, bytes]]
    ports: Mapping[str, int]  # on loopback, by "<member>:<port of the pod>"

    @property
    def url(self) -> str:
        members = (f"127.0.0.1:{self.ports[f'{name}:2379']}" for name in MEMBERS)
        return f"etcds://{','.join(members)}"

    def command(self, component: str, name: str) -> list[str]:
        """Of the first container of a component, its files laid out in a folder of that name."""
        pod = dict(pods_of(self.manifests))[component]
        return laid_out(pod, pod["containers"][0], self.folder / name, self.manifests, self.secrets)

    def asks(self, member: str, path: str, port: int = 2381) -> tuple[int, bytes]:
        """What a port of a member answers to a stranger over HTTPS; raises OSError."""
        trusted = ssl.create_default_context(
            cadata=self.secrets["trial-homeport-etcd-tls"]["ca.crt"].decode()
        )
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.ports[f"{member}:{port}"], timeout=10, context=trusted
        )
        try:
            body = json.dumps({"key": "AA==", "range_end": "AA=="})
            connection.request("POST" if port == 2379 else "GET", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    manifests = render("homeport", [VALUES])[0].manifests()
    made = {
        one["metadata"]["name"]: {
            key: base64.b64decode(value) for key, value in one["data"].items()
        }
        for one in manifests
        if one["kind"] == "Secret"
    }
    places = [f"{name}:{port}" for name in MEMBERS for port in (2379, 2380, 2381)]
    ports = dict(zip(places, free_ports(len(places)), strict=True))
    found = Store(
        folder=folder,
        manifests=manifests,
        secrets={**made, "tokens": {"tokens.toml": b""}},
        ports=ports,
    )
    with ExitStack() as running:
        for name in MEMBERS:
            running.enter_context(Running(member_command(found, name), folder / f"{name}.log"))
        yield found


def member_command(store: Store, name: str) -> list[str]:
    """The command line of a member, at ports of this machine."""
    words = store.command("etcd", name)
    assert words[0] == "etcd"
    found = []
    for word in words[1:]:
        said = word.replace("$(POD_NAME)", name)
        for place, port in store.ports.items():
            member, _, of_pod = place.partition(":")
            said = said.replace(f"{member}.{SERVICE}:{of_pod}", f"127.0.0.1:{port}")
        for of_pod in (2379, 2380, 2381):
            port = store.ports[f"{name}:{of_pod}"]
            said = said.replace(f"0.0.0.0:{of_pod}", f"127.0.0.1:{port}")
        found.append(said)
    return [str(ETCD_3_6.path), *found]


class Running:
    """A process that is ended with the block."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.words, self.log = words, log

    def __enter__(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log)
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def until(what: Callable[[], Any], log: Path) -> Any:
    """What it gives, once that is something; errors of connections count as nothing."""
    end = time.monotonic() + WITHIN_S
    while True:
        try:
            found = what()
        except (OSError, http.client.HTTPException):
            found = None
        if found:
            return found
        assert time.monotonic() < end, log.read_text(errors="replace")[-3_000:]
        time.sleep(0.1)


def homeport(store: Store, component: str, *more: str) -> list[str]:
    words = store.command(component, component)
    return [sys.executable, "-m", "console.cli.main", *words[1:], f"--store={store.url}", *more]


def test_members_find_each_other_and_answer_the_probes(store: Store) -> None:
    pod = dict(pods_of(store.manifests))["etcd"]
    container = pod["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["port"], asked["scheme"]) == ("metrics", "HTTPS")
        for name in MEMBERS:
            log = store.folder / f"{name}.log"
            until(lambda: store.asks(name, asked["path"])[0] == 200, log)  # noqa: B023


def test_who_has_no_certificate_of_a_member_is_no_peer(store: Store) -> None:
    until(lambda: store.asks(MEMBERS[0], "/readyz")[0] == 200, store.folder / f"{MEMBERS[0]}.log")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        store.asks(MEMBERS[0], "/members", 2380)


def test_a_server_goes_on_while_the_store_comes_to_ask_for_its_password(store: Store) -> None:
    ready = store.folder / "ready.json"
    served = homeport(
        store, "provisioner", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
        f"--ready-file={ready}",
    )  # fmt: skip
    asking = homeport(store, "etcd-password", "--output=json")
    log = store.folder / "server.log"
    password = store.secrets["trial-homeport-etcd-password"]["password"].decode()
    with Running(served, log):
        found = until(lambda: ready.exists() and json.loads(ready.read_text()), log)
        # Two runs: the second is that of an upgrade.
        done = [json.loads(subprocess.check_output(asking, timeout=WITHIN_S)) for _ in range(2)]
        assert [one["stores"][0]["changed"] for one in done] == [True, False]
        for name in MEMBERS:
            status, said = store.asks(name, "/v3/kv/range", 2379)
            assert status != 200
            assert b"user name is empty" in said
            assert store.asks(name, "/livez")[0] == 200
            assert store.asks(name, "/readyz")[0] == 200
        until(lambda: _says_ready(found["metrics"]), log)
        assert not [word for word in (*served, *asking) if password in word]
    texts = [file.read_text(errors="replace") for file in store.folder.glob("*.log")]
    assert not [text for text in texts if password in text]


def _says_ready(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    finally:
        connection.close()
