"""Server processes among strangers, over both transports: a flood leaves descriptors in reserve,
calls and health are answered meanwhile; what is no handshake is not written down."""

from __future__ import annotations

import os
import re
import resource
import urllib.request
from pathlib import Path

import pytest

from tests.support.attacks import connection_attacks as attacks
from tests.support.certificates import Authority
from tests.support.limited_server import asked
from tests.support.servers import Server

WAIT_S = 30.0
LIMIT, SPARE = 200, 50  # a quarter, where there are so few


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
def test_a_flood_leaves_descriptors_in_reserve(tmp_path: Path, transport: str) -> None:
    store = f"embedded:{tmp_path}/store.db"
    more = (f"--transport={transport}", "--drain-s=0", "--max-connections-per-address=0")
    with Server(tmp_path, "server", store, *more) as server:
        pid = server.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        port = int(server.address.rpartition(":")[2])
        before = open_files(pid)
        with attacks.many_connections(port, 600, says=attacks.GREETING) as held:
            room = LIMIT - SPARE - before
            assert attacks.wait_closed(held, len(held) - room, WAIT_S) >= len(held) - room
            assert asked(port) == ["SERVING"]
            assert ready(server) == "ready"
            assert open_files(pid) <= LIMIT - SPARE + 2
        assert asked(port) == ["SERVING"]
        assert "Traceback" not in server.log_file.read_text()


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_handshakes_that_strangers_fail_are_not_logged(tmp_path: Path, transport: str) -> None:
    authority = Authority.new()
    certificate, key = authority.write(tmp_path, "server")
    store = f"embedded:{tmp_path}/store.db"
    more = (f"--tls-certificate={certificate}", f"--tls-key={key}", "--drain-s=0")
    with Server(tmp_path, "server", store, f"--transport={transport}", *more) as server:
        port = int(server.address.rpartition(":")[2])
        before = told(server)
        for kind in attacks.GARBAGE:
            for _ in range(3):
                attacks.garbage(port, kind)
        assert asked(port, ca=authority.certificate) == ["SERVING"]
        assert told(server) == before


SESSION = re.compile(
    r'"logger": "provisioner\.ledger\.session", "message": "session \S+ '
    r'(is lost; beginning a new one|could not be ended; its lease runs out by itself)"\}$'
)


def told(server: Server) -> list[str]:
    """Its log, without the two lines that a busy machine's session with the store has written."""
    lines = server.log_file.read_text().splitlines()
    return [line for line in lines if not SESSION.search(line)]


def ready(server: Server) -> str:
    address = server.metrics
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=WAIT_S) as answer:
        return answer.read().decode().strip()
