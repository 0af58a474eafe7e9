"""The cache on disk: whole, private, and never the reason that a call fails."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport import Assignment, LocationSource, user_cache_dir
from homeport.cache import AssignmentCache
from homeport.private_files import MAX_FILE_BYTES

HOME = Assignment(
    tenant="acme",
    client_id="phone",
    unit_id="unit-0",
    endpoint="unit.example.net:443",
    epoch=3,
    ticket="ticket",
    ticket_expires_at=1_700_000_000.5,
    assigned_at=1_600_000_000.25,
    source=LocationSource.DATABASE,
    country="IE",
    distance_km=12.5,
    rule="nearest",
    existing=True,
)


@pytest.fixture
def cache(tmp_path: Path) -> AssignmentCache:
    return AssignmentCache(tmp_path / "deep" / "cache", ["a:7700"])


def file_of(cache: AssignmentCache) -> Path:
    return cache.path("acme", "phone")


def test_what_was_remembered_is_recalled(cache):
    cache.put(HOME)
    assert cache.get("acme", "phone") == HOME


def test_the_newest_replaces_the_older(cache):
    cache.put(HOME)
    cache.put(replace(HOME, epoch=4))
    assert cache.get("acme", "phone").epoch == 4
    assert os.listdir(cache.folder) == [file_of(cache).name]


def test_nothing_is_known_of_a_stranger(cache):
    assert cache.get("acme", "stranger") is None


def test_file_and_folder_are_the_owners_alone_whatever_the_umask(cache):
    old = os.umask(0)
    try:
        cache.put(HOME)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file_of(cache).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_what_was_forgotten_is_gone_and_may_be_forgotten_twice(cache):
    cache.put(HOME)
    cache.delete("acme", "phone")
    cache.delete("acme", "phone")
    assert cache.get("acme", "phone") is None


@pytest.mark.parametrize(
    ("servers", "tenant", "client_id"),
    [
        pytest.param(["b:7700"], "acme", "phone", id="another Homeport"),
        pytest.param(["a:7700"], "other", "phone", id="another tenant"),
        pytest.param(["a:7700"], "acme", "tablet", id="another client"),
        pytest.param(["a:7700"], "ac", "mephone", id="the same letters, split elsewhere"),
    ],
)
def test_assignments_are_kept_apart(cache, servers, tenant, client_id):
    cache.put(HOME)
    assert AssignmentCache(cache.folder, servers).get(tenant, client_id) is None


def test_the_order_of_the_servers_means_nothing(tmp_path):
    AssignmentCache(tmp_path, ["a", "b"]).put(HOME)
    assert AssignmentCache(tmp_path, ["b", "a"]).get("acme", "phone") == HOME


GOOD = json.loads(
    '{"format": 1, "epoch": 3, "tenant": "acme", "client_id": "phone", "unit_id": "u", '
    '"endpoint": "e", "ticket": "t", "source": "", "country": "", "rule": "", '
    '"ticket_expires_at": 1.0, "assigned_at": null, "distance_km": null}'
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(json.dumps(GOOD).encode()[:-20], id="cut off"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"[" * 100_000, id="nested beyond reason, and large"),
        pytest.param(b"[" * 10_000, id="nested beyond reason"),
        pytest.param(b"null", id="not an object"),
        pytest.param(json.dumps({**GOOD, "format": 2}).encode(), id="of a later format"),
        pytest.param(json.dumps({**GOOD, "client_id": "tablet"}).encode(), id="another client's"),
        pytest.param(json.dumps({**GOOD, "endpoint": None}).encode(), id="without endpoint"),
        pytest.param(json.dumps({**GOOD, "ticket": ""}).encode(), id="without ticket"),
        pytest.param(json.dumps({**GOOD, "epoch": True}).encode(), id="epoch is no number"),
        pytest.param(json.dumps({**GOOD, "source": "hearsay"}).encode(), id="unknown source"),
        pytest.param(
            json.dumps({**GOOD, "ticket_expires_at": float("nan")}).encode(), id="NaN for a time"
        ),
        pytest.param(
            json.dumps({**GOOD, "ticket_expires_at": 10**400}).encode(), id="a time beyond floats"
        ),
    ],
)
def test_a_damaged_file_counts_as_absent_and_is_written_anew(cache, content):
    cache.put(HOME)
    file_of(cache).write_bytes(content)
    assert cache.get("acme", "phone") is None
    cache.put(HOME)
    assert cache.get("acme", "phone") == HOME


@given(content=st.binary(max_size=300), cut=st.integers(0, 400), at=st.integers(0, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_bytes_whatever_raise(cache, content, cut, at):
    cache.put(HOME)
    whole = file_of(cache).read_bytes()
    file_of(cache).write_bytes(whole[:at] + content + whole[cut:])
    known = cache.get("acme", "phone")
    assert known is None or (known.tenant, known.client_id) == ("acme", "phone")


def test_a_link_is_not_followed(cache, tmp_path):
    cache.put(HOME)
    elsewhere = tmp_path / "elsewhere"
    os.rename(file_of(cache), elsewhere)
    os.symlink(elsewhere, file_of(cache))
    assert cache.get("acme", "phone") is None


def test_a_pipe_in_the_files_place_does_not_block(cache):
    cache.put(HOME)
    os.unlink(file_of(cache))
    os.mkfifo(file_of(cache))
    assert cache.get("acme", "phone") is None


def test_a_file_that_others_could_write_counts_as_absent_and_is_written_anew(cache, caplog):
    cache.put(HOME)
    file_of(cache).chmod(0o666)
    assert cache.get("acme", "phone") is None
    assert "others could write it (mode 666)" in caplog.text
    cache.put(HOME)
    assert cache.get("acme", "phone") == HOME


def test_a_folder_that_lay_open_is_closed_by_the_next_write(cache):
    cache.put(HOME)
    cache.folder.chmod(0o755)
    cache.put(HOME)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_a_file_over_the_limit_is_not_read(cache):
    cache.put(HOME)
    file_of(cache).write_bytes(json.dumps(GOOD).encode() + b" " * MAX_FILE_BYTES)
    assert cache.get("acme", "phone") is None


def test_a_folder_that_cannot_be_made_is_logged_and_nothing_else(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = AssignmentCache(tmp_path / "file", ["a"])
    cache.put(HOME)
    cache.delete("acme", "phone")
    assert cache.get("acme", "phone") is None
    assert "not cached" in caplog.text


def test_readers_see_a_whole_file_while_writers_replace_it(cache):
    cache.put(HOME)
    seen: list[Assignment | None] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(cache.get("acme", "phone"))

    reader = threading.Thread(target=read)
    reader.start()
    for epoch in range(50):
        cache.put(replace(HOME, epoch=epoch))
    stop.set()
    reader.join()
    assert None not in seen
    assert len(os.listdir(cache.folder)) == 1


def test_the_users_cache_folder_follows_the_xdg_convention(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_dir() == tmp_path / "homeport"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert user_cache_dir() == Path.home() / ".cache" / "homeport"
