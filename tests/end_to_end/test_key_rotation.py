"""`homeport keys` against a server: an operator rotates, tickets of both epochs are good."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from tests.support.command_line import run_process
from tests.support.servers import Server, start


def test_the_fleet_comes_to_sign_with_the_new_epoch(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (server,) = start(stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1)
        run = run_against(server)
        (first,) = run("keys", "show")["epochs"]
        assert (first["epoch"], first["state"], first["accepted_until"]) == (1, "signing", None)
        done = run("keys", "rotate")
        assert done["rotated"]
        assert [one["state"] for one in done["epochs"]] == ["signing", "announced"]
        assert run("keys", "show") == {"source": "store", "epochs": done["epochs"]}
        leaked = run("keys", "rotate", "--leaked")
        assert [(one["epoch"], one["state"]) for one in leaked["epochs"]] == [(3, "signing")]
        assert "master" not in json.dumps(leaked)
        table = run_process("keys", "show", HOMEPORT_SERVER=server.address)
        assert table.code == 0, table.err
        assert "signing" in table.out


def run_against(server: Server):
    def run(*arguments: str):
        ran = run_process(*arguments, "-o", "json", HOMEPORT_SERVER=server.address)
        assert ran.code == 0, ran.err
        return ran.document

    return run


def test_wrong_usage_is_said_before_anything_is_called() -> None:
    for arguments, said in (
        (("--leaked", "--sign-after", "5"), "--leaked"),
        (("--sign-after", "-1"), "--sign-after"),
        (("--accept-for", "nan"), "--accept-for"),
    ):
        ran = run_process("keys", "rotate", *arguments, HOMEPORT_SERVER="127.0.0.1:1")
        assert ran.code == 2, ran
        assert said in ran.err
