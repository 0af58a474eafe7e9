"""The run of millions: its fleet, its command line, what it looks at, and how it asks etcd."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from bench.millions.__main__ import parse
from bench.millions.chart import CURVES, chart
from bench.millions.etcd_upkeep import EtcdUpkeep
from bench.millions.observing import Observer
from bench.millions.stack import fleet_text
from control_plane.fleet.file import SAMPLE, read_fleet


def test_no_unit_of_its_fleet_can_be_full(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(fleet_text(10_000_000))
    units = read_fleet(file)
    assert [unit.id for unit in units] == [unit.id for unit in read_fleet(SAMPLE)]
    assert all(unit.capacity > 10_000_000 for unit in units)


def test_a_fifth_of_users_comes_one_by_one_unless_told_otherwise(tmp_path: Path) -> None:
    words = ["--folder", str(tmp_path / "a"), "--output", str(tmp_path / "b"), "--users", "500"]
    assert parse(words).new == 100
    assert parse([*words, "--new", "7"]).new == 7
    for wrong in ("0", "500"):
        with pytest.raises(SystemExit):
            parse([*words, "--new", wrong])


def test_a_look_has_memory_disk_and_clients_or_says_that_nobody_answered(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "data").write_bytes(os.urandom(1 << 20))

    def away() -> int:
        raise ConnectionRefusedError

    answers = iter((lambda: 7, away))
    observer = Observer(tmp_path, lambda: {"us": os.getpid(), "gone": 1 << 30},
                        lambda: next(answers)())  # fmt: skip
    first, second = observer.look(), observer.look()
    assert (first.clients, second.clients) == (7, -1)
    assert first.disk_mib >= 1.0
    assert list(first.anonymous_mib) == ["us"]
    assert first.resident_mib["us"] >= first.anonymous_mib["us"] > 1.0
    assert first.processor_s["us"] > 0.0
    assert [one["clients"] for one in observer.document()] == [7, -1]


class Gateway(BaseHTTPRequestHandler):
    """As much of etcd's JSON gateway as is asked for."""

    asked: ClassVar[list[tuple[str, Any, str | None]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, body, self.headers["authorization"]))
        said = {
            "/v3/auth/authenticate": {"token": "t1"},
            "/v3/maintenance/status": {
                "header": {"revision": "41"}, "dbSize": "900", "dbSizeInUse": "800",
            },
        }.get(self.path, {})  # fmt: skip
        self.send_response(500 if self.path.endswith("defragment") else 200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    Gateway.asked = []
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_compaction_is_up_to_now_and_a_refusal_is_told(gateway: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    upkeep = EtcdUpkeep(
        {"store": f"etcd://{gateway}", "store_user": "root",
         "store_password_file": str(tmp_path / "password")}
    )  # fmt: skip
    assert upkeep.status() == {"bytes": 900, "bytes_in_use": 800, "revision": 41}
    upkeep.compact()
    path, body, token = Gateway.asked[-1]
    assert (path, token) == ("/v3/kv/compaction", "t1")
    assert body == {"revision": "41", "physical": True}
    assert Gateway.asked[0][1] == {"name": "root", "password": "secret"}
    with pytest.raises(RuntimeError, match="defragment with 500"):
        upkeep.defragment()


def test_its_picture_has_a_curve_for_each_figure_and_names_the_phases() -> None:
    looks = [
        {"at_s": float(at), "phase": "load" if at < 3 else "backup", "clients": at * 1_000_000,
         "anonymous_mib": {"server": 100.0, "etcd-member": 50.0 * at}, "disk_mib": 9.0 * at}
        for at in range(6)
    ]  # fmt: skip
    root = ElementTree.fromstring(chart({"looks": looks}))
    found = [line.attrib["points"].split() for line in root.iter() if line.tag.endswith("polyline")]
    assert [len(points) for points in found] == [6] * len(CURVES)
    clients = [float(point.split(",")[1]) for point in found[0]]
    assert clients == sorted(clients, reverse=True)
    texts = [text.text for text in root.iter() if text.tag.endswith("text")]
    assert [text for text in texts if text in ("load", "backup")] == ["load", "backup"]
    with pytest.raises(ValueError, match="two looks"):
        chart({"looks": looks[:1]})
