"""`homeport keys` against a server: an operator rotates, tickets of both epochs are good."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.command_line import run_here
from tests.support.servers import Server, start

PHRASE = "a passphrase of some length"


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
        table = run_here("keys", "show", HOMEPORT_SERVER=server.address)
        assert table.code == 0, table.err
        assert "signing" in table.out


def run_against(server: Server):
    def run(*arguments: str):
        ran = run_here(*arguments, "-o", "json", HOMEPORT_SERVER=server.address)
        assert ran.code == 0, ran.err
        return ran.document

    return run


def test_wrong_usage_is_said_before_anything_is_called() -> None:
    for arguments, said in (
        (("--leaked", "--sign-after", "5"), "--leaked"),
        (("--sign-after", "-1"), "--sign-after"),
        (("--accept-for", "nan"), "--accept-for"),
    ):
        ran = run_here("keys", "rotate", *arguments, HOMEPORT_SERVER="127.0.0.1:1")
        assert ran.code == 2, ran
        assert said in ran.err


@pytest.mark.slow
def test_wrapped_keys_ask_for_their_key_at_start_and_rotate(tmp_path: Path) -> None:
    store, secret = f"embedded:{tmp_path / 'store.db'}", tmp_path / "wrapping.key"
    for path, byte in ((secret, b"k"), (tmp_path / "other.key", b"o")):
        path.touch(mode=0o600)
        path.write_text(base64.b64encode(byte * 32).decode())
    right = f"--key-wrapping-file={secret}"
    with Server(tmp_path, "plain", store):
        pass  # makes keys that are not wrapped
    with Server(tmp_path, "first", store, right) as server:
        assert run_against(server)("keys", "rotate")["rotated"]
    for name, arguments, said in (
        ("none", (), "is wrapped; name the wrapping key with --key-wrapping-file"),
        ("wrong", (f"--key-wrapping-file={tmp_path / 'other.key'}",), "give the right key"),
        ("phrase", (), "with a key of a file, not with a passphrase"),
    ):
        environment = {"HOMEPORT_KEY_WRAPPING_PASSPHRASE": PHRASE} if name == "phrase" else {}
        refused = Server(tmp_path, name, store, *arguments, environment=environment)
        assert refused.process.wait(60) == 2, refused.log()
        assert said in refused.log()
    with Server(tmp_path, "again", store, right) as server:
        assert [one["epoch"] for one in run_against(server)("keys", "show")["epochs"]] == [1, 2]
