"""Clients that are told nothing of TLS and token find those of a stack of `homeport up`; what no
running stack of this user has written is not believed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from homeport import Tls
from homeport.local_stack import MOST_BYTES, access_of, local_stack
from tests.support.certificates import Authority

SERVER, UNIT = "127.0.0.1:7700", "127.0.0.1:40001"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's stacks write their records."""
    found = tmp_path / f"homeport-{os.getuid()}"
    found.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "ca.pem").write_bytes(Authority.new().certificate)
    return found


def record(folder: Path, **more: Any) -> Path:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    content = {
        "addresses": [SERVER, UNIT], "ca": str(folder.parent / "ca.pem"), "token": "t",
        "pid": os.getpid(), "started": started, **more,
    }  # fmt: skip
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("servers", [[SERVER], [UNIT], [SERVER, UNIT]])
def test_ca_and_token_are_those_of_the_stack(folder: Path, servers: list[str]) -> None:
    record(folder)
    ca = (folder.parent / "ca.pem").read_bytes()
    assert access_of(servers, None, None) == (Tls(root_certificates=ca), "t")
    assert access_of(servers, None, "mine") == (Tls(root_certificates=ca), "mine")


def test_the_certificate_is_that_of_the_stack(folder: Path) -> None:
    certificate, key = Authority.new().write(folder.parent, "operator")
    record(folder, certificate=str(certificate), certificate_key=str(key))
    found, token = access_of([SERVER], None, None)
    assert found == Tls.from_files(folder.parent / "ca.pem", certificate=certificate, key=key)
    assert token == "t"
    assert access_of([SERVER], Tls(), None) == (Tls(), None)


@pytest.mark.parametrize("gone", ["certificate", "certificate_key"])
@pytest.mark.parametrize("what", ["", "/nowhere.pem"])
def test_half_a_certificate_is_none(folder: Path, gone: str, what: str) -> None:
    certificate, key = Authority.new().write(folder.parent, "operator")
    record(folder, **{"certificate": str(certificate), "certificate_key": str(key), gone: what})
    assert access_of([SERVER], None, None) == (None, None)


@pytest.mark.parametrize(
    ("tls", "found"), [(False, None), (True, Tls()), (Tls(server_name="x"), Tls(server_name="x"))]
)
def test_what_is_said_counts(folder: Path, tls: bool | Tls, found: Tls | None) -> None:
    record(folder)
    assert access_of([SERVER], tls, None) == (found, None)
    assert access_of([SERVER], tls, "mine") == (found, "mine")


@pytest.mark.parametrize("servers", [["127.0.0.1:1"], [SERVER, "127.0.0.1:1"], []])
def test_other_servers_are_asked_as_before(folder: Path, servers: list[str]) -> None:
    record(folder)
    assert access_of(servers, None, "mine") == (None, "mine")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"started": 1}, id="another process has the number now"),
        pytest.param({"pid": 2**22 + 1}, id="it does not run any more"),
        pytest.param({"pid": "x"}, id="no process"),
        pytest.param({"addresses": None}, id="no addresses"),
        pytest.param({"certificate": 1}, id="a certificate that is no path"),
    ],
)
def test_a_record_of_no_running_stack_is_not_believed(folder: Path, more: dict[str, Any]) -> None:
    record(folder, **more)
    assert local_stack([SERVER]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"\0" * 400,
        b"{" * 10_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b" " * (MOST_BYTES + 1),
    ],
)
def test_what_is_no_record_is_not_believed(folder: Path, content: bytes) -> None:
    record(folder).write_bytes(content)
    assert local_stack([SERVER]) is None


@pytest.mark.parametrize("what", ["folder", "file", "link", "linked folder"])
def test_what_others_could_have_written_is_not_believed(
    folder: Path, tmp_path: Path, what: str
) -> None:
    path = record(folder)
    if what == "folder":
        folder.chmod(0o777)
    elif what == "file":
        path.chmod(0o666)
    elif what == "link":
        path.rename(tmp_path / "elsewhere.json")
        path.symlink_to(tmp_path / "elsewhere.json")
    else:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    assert local_stack([SERVER]) is None


def test_without_a_folder_there_is_no_stack(tmp_path: Path) -> None:
    assert local_stack([SERVER], tmp_path / "none") is None


def test_a_ca_that_is_gone_leaves_it_plain(folder: Path) -> None:
    record(folder, ca="/nowhere.pem")
    assert access_of([SERVER], None, None) == (None, None)
