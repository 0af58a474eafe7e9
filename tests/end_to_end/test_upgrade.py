"""`homeport up` over a data directory of before TLS and tokens: its clients keep their homes, prove
themselves by the tickets they have, and the operator is told what is new."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import homeport
from control_plane import keys
from control_plane.identity.keyring import decode_ring
from control_plane.identity.tickets import TicketIssuer
from homeport.cache import AssignmentCache
from tests.support.local_stack import Up

DUMP = Path(__file__).parents[1] / "data" / "upgrade" / "before_credentials.sql"
FLEET = """
units:
  - {id: dublin, endpoint: "dublin.example.net:443", position: {latitude: 53.3, longitude: -6.3},
     country: IE, capacity: 100}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upgrade")
    (folder / "fleet.yaml").write_text(FLEET)
    data = folder / "data"
    data.mkdir(mode=0o755)
    with closing(sqlite3.connect(data / "store.db")) as db:
        db.executescript(DUMP.read_text())
    return folder


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    with Up(folder / "data", "--units", str(folder / "fleet.yaml")) as up:
        yield up


@pytest.fixture(scope="module")
def tls(up: Up) -> homeport.Tls:
    return homeport.Tls.from_files(up.ready["ca"])


@pytest.fixture
def cache_dir(up: Up, folder: Path, tmp_path: Path) -> Path:
    """As the client library of before left it for `aiko`: her ticket, and no key."""
    with closing(sqlite3.connect(folder / "data" / "store.db")) as db:
        found = db.execute("SELECT value FROM current WHERE key = ?", (keys.KEY_RING,))
        ring = decode_ring(found.fetchone()[0], "the store")
    now = time.time()
    ticket = TicketIssuer(ring).issue("dublin", "default", "aiko", 1, now, 3600.0)
    AssignmentCache(tmp_path / "cache", [up.grpc]).put(
        homeport.Assignment(
            tenant="default", client_id="aiko", unit_id="dublin", endpoint="127.0.0.1:1", epoch=1,
            ticket=ticket, ticket_expires_at=now + 3600.0, assigned_at=now,
        )
    )  # fmt: skip
    return tmp_path / "cache"


def test_a_client_that_shows_its_ticket_keeps_its_home(
    up: Up, tls: homeport.Tls, cache_dir: Path
) -> None:
    """And has a key from then on: without the ticket, the key proves who it is."""
    with homeport.Client(up.grpc, tls=tls, cache_dir=cache_dir) as client:
        home = client.provision("aiko")
        assert (home.unit_id, home.epoch, home.existing) == ("dublin", 1, True)
        assert client.get("aiko").unit_id == "dublin"


def test_who_shows_nothing_is_a_stranger(up: Up, tls: homeport.Tls) -> None:
    for client_id in ("liam", "nobody"):
        with homeport.Client(up.grpc, tls=tls) as client:
            with pytest.raises(homeport.PermissionDenied):
                client.get(client_id)
            with pytest.raises(homeport.PermissionDenied):
                client.provision(client_id)


def test_an_operator_finds_every_client_of_before(up: Up) -> None:
    """`homeport up` lets programs of its user find CA and token by themselves."""
    with homeport.Client(up.grpc) as operator:
        assert operator.get("liam").unit_id == "dublin"
    with homeport.Client(up.grpc, tenant="shop") as operator:
        assert operator.get("mary").unit_id == "dublin"


def test_the_operator_is_told_once_what_to_do(up: Up, folder: Path) -> None:
    """The first time alone; the second start has nothing new."""
    assert up.stop() == 0
    assert "TLS and tokens are new to" in up.err
    for step in ("--enrolment open", "ca.pem", "--insecure"):
        assert step in up.err
    with Up(folder / "data", "--units", str(folder / "fleet.yaml")) as again:
        assert json.loads((folder / "data" / "run" / "up.json").read_text())["grpc"] == again.grpc
        assert again.stop() == 0
        assert "are new to" not in again.err
