"""Which etcd is run, which version it is, and what that version is given."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.local.etcd_member import EtcdMember
from console.local.etcd_program import (
    EtcdFailed,
    EtcdVersion,
    etcd_version,
    find_etcd,
    progress_setting,
)

STABLE = "--watch-progress-notify-interval"
EXPERIMENTAL = "--experimental-watch-progress-notify-interval"


def script(path: Path, body: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_etcd_bin_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_BIN", str(script(tmp_path / "mine" / "etcd-3.6")))
    monkeypatch.setenv("PATH", str(script(tmp_path / "path" / "etcd").parent))
    assert find_etcd() == tmp_path / "mine" / "etcd-3.6"


def test_the_path_comes_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETCD_BIN", raising=False)
    monkeypatch.setenv("PATH", str(script(tmp_path / "path" / "etcd").parent))
    assert find_etcd() == tmp_path / "path" / "etcd"


def test_a_wrong_etcd_bin_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_BIN", str(tmp_path / "nothing"))
    with pytest.raises(EtcdFailed, match="ETCD_BIN"):
        find_etcd()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param("etcd Version: 3.4.23", (3, 4, 23), id="a-release"),
        pytest.param("etcd Version: 3.7.0-rc.0", (3, 7, 0), id="a-release-candidate"),
        pytest.param("etcd Version: 3.10.0", (3, 10, 0), id="two-digits"),
        pytest.param("warning first\netcd Version: 3.6.1", (3, 6, 1), id="after-a-warning"),
    ],
)
def test_the_version_is_what_the_program_says(
    tmp_path: Path, said: str, version: tuple[int, int, int]
) -> None:
    program = script(tmp_path / "etcd", f'[ "$*" = --version ] && printf "{said}\nGit SHA: x\n"')
    assert etcd_version(program) == EtcdVersion(*version)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param("exit 0", "nothing", id="that-is-silent"),
        pytest.param("echo bash 5.2; exit 1", "bash 5.2", id="that-is-another-program"),
        pytest.param("echo etcd Version: newest", "newest", id="whose-version-has-no-numbers"),
    ],
)
def test_a_program_is_no_etcd(tmp_path: Path, body: str, told: str) -> None:
    with pytest.raises(EtcdFailed, match=f"correct ETCD_BIN.*{told}"):
        etcd_version(script(tmp_path / "etcd", body))


def test_a_file_that_does_not_run_is_told(tmp_path: Path) -> None:
    path = tmp_path / "etcd"
    path.write_bytes(b"\x00")
    path.chmod(0o755)
    with pytest.raises(EtcdFailed, match="does not run"):
        etcd_version(path)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param((3, 4, 23), EXPERIMENTAL, id="3.4"),
        pytest.param((3, 5, 99), EXPERIMENTAL, id="the-last-3.5"),
        pytest.param((3, 6, 0), STABLE, id="the-first-3.6"),
        pytest.param((3, 7, 0), STABLE, id="3.7"),
        pytest.param((3, 10, 0), STABLE, id="3.10-is-after-3.6"),
        pytest.param((4, 0, 0), STABLE, id="a-new-major-version"),
    ],
)
def test_the_progress_setting_goes_by_the_name_of_its_version(
    version: tuple[int, int, int], name: str
) -> None:
    assert progress_setting(EtcdVersion(*version), "5s") == f"{name}=5s"


@given(st.tuples(*[st.integers(0, 99)] * 3), st.tuples(*[st.integers(0, 99)] * 3))
def test_a_later_version_never_goes_back_to_the_experimental_name(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    earlier, later = sorted([EtcdVersion(*one), EtcdVersion(*other)])
    if progress_setting(earlier, "1s").startswith(STABLE):
        assert progress_setting(later, "1s").startswith(STABLE)


@pytest.mark.parametrize(("version", "name"), [("3.5.1", EXPERIMENTAL), ("3.6.0", STABLE)])
def test_a_member_is_given_the_setting_once_whatever_the_shell_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, name: str
) -> None:
    """3.6 ends at two names of one setting, as flags or as variables."""
    monkeypatch.setenv("ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL", "1m")
    monkeypatch.setenv("ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL", "1m")
    body = f'[ "$*" = --version ] && echo "etcd Version: {version}" || {{ echo "$@"; env; }}'
    program = script(tmp_path / "etcd", body)
    member = EtcdMember("etcd-1", tmp_path / "member", program=program, progress_every="7s")
    member.spawn(f"etcd-1={member.peer_url}", "token", None)
    with pytest.raises(EtcdFailed, match="ended while starting"):
        member.wait_until_healthy(time.monotonic() + 10.0)
    words = member.log.read_text().split()
    settings = [w for w in words if w.startswith(("--", "ETCD_")) and "progress" in w.lower()]
    assert settings == [f"{name}=7s"]
