"""`homeport backup` and `homeport restore` with servers that run: over the embedded store, and
over etcd, whose old cluster is still there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_here
from tests.support.servers import Server, apply, units


def run(server: Server, *arguments: str) -> Any:
    ran = run_here(*arguments, "-o", "json", HOMEPORT_SERVER=server.address)
    assert ran.code == 0, ran.err
    return ran.document


def offline(*arguments: str) -> Any:
    ran = run_here(*arguments, "-o", "json")
    assert ran.code == 0, ran.err
    return ran.document


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["embedded", pytest.param("etcd", marks=pytest.mark.slow)])
async def test_clients_keep_their_homes_and_what_came_later_is_lost(
    tmp_path: Path, own_etcd, kind: str
) -> None:
    file = str(tmp_path / "backup")
    embedded = kind == "embedded"
    old = f"embedded:{tmp_path / 'store.db'}" if embedded else own_etcd().url
    with Server(tmp_path, "old", old) as server:
        await apply(server.address, units(dublin=100))
        before = run(server, "provision", "alice")
        taken = offline("backup", "store", file, "--store", old)
        assert taken["left_out"] > 0  # the session of the server
        run(server, "provision", "bob")
    new = f"embedded:{tmp_path / 'new' / 'store.db'}" if embedded else own_etcd().url
    done = offline("restore", "store", file, "--store", new)
    assert (done["clients"], done["damaged"], done["new_ticket_keys"]) == (1, 0, True)
    with Server(tmp_path, "new", new) as server:
        after = run(server, "get", "alice")
        assert after["unit"] == before["unit"]
        assert after["epoch"] > before["epoch"]
        assert run_here("get", "bob", HOMEPORT_SERVER=server.address).code == 3
        listed = run_here("audit", "list", HOMEPORT_SERVER=server.address)
        assert "Restore" in listed.out
