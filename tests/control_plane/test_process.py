"""What every process does the same way: exit codes, what it says on stderr, its files."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from control_plane.errors import InvalidInput, Refused
from control_plane.process import (
    ExitCode,
    read_pem,
    read_ready_file,
    ready_file_fault,
    run_on_uvloop,
    run_program,
    serving_tls,
    stop_on_signals,
    write_ready_file,
)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """A program takes the root logger over; here it is given back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Settings(BaseModel):
    log_level: str = "error"
    port: int = Field(default=1, ge=1)


def good(arguments: Sequence[str]) -> Settings:
    return Settings()


def wrong(arguments: Sequence[str]) -> Settings:
    return Settings(port=0, log_level=None)  # type: ignore[arg-type]


def no_file(arguments: Sequence[str]) -> Settings:
    raise FileNotFoundError("there is no settings file x.toml")


def no_toml(arguments: Sequence[str]) -> Settings:
    tomllib.loads("=")
    return Settings()


def refuse(settings: Settings) -> None:
    raise Refused("not now")


def refuse_in_groups(settings: Settings) -> None:
    raise ExceptionGroup("tasks", [ExceptionGroup("task", [Refused("not now")])])


def stop(settings: Settings) -> None:
    """As told."""


@pytest.mark.parametrize(
    ("read", "body", "code", "said"),
    [
        pytest.param(good, stop, ExitCode.STOPPED, [], id="stopped-as-told"),
        pytest.param(good, refuse, ExitCode.FAILED, ["it: not now"], id="an-error-of-ours"),
        pytest.param(good, refuse_in_groups, ExitCode.FAILED, ["it: not now"], id="in-groups"),
        pytest.param(
            wrong,
            stop,
            ExitCode.WRONG_SETTINGS,
            [
                "it: log_level: Input should be a valid string",
                "it: port: Input should be greater than or equal to 1",
            ],
            id="a-line-for-each-wrong-setting",
        ),
        pytest.param(
            no_file,
            stop,
            ExitCode.WRONG_SETTINGS,
            ["it: there is no settings file x.toml"],
            id="no-settings-file",
        ),
        pytest.param(
            no_toml,
            stop,
            ExitCode.WRONG_SETTINGS,
            ["it: settings file: Invalid statement (at line 1, column 1)"],
            id="a-settings-file-that-is-no-toml",
        ),
    ],
)
def test_how_a_process_ends_and_what_it_says(
    capsys: pytest.CaptureFixture[str],
    read: Callable[[Sequence[str]], Settings],
    body: Callable[[Settings], None],
    code: ExitCode,
    said: list[str],
) -> None:
    assert run_program("it", read, body) == code
    assert sorted(capsys.readouterr().err.splitlines()) == said


def test_what_is_no_error_of_ours_goes_on_upwards() -> None:
    def fail(settings: Settings) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        run_program("it", good, lambda settings: _both())
    assert raised.group_contains(ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run_program("it", good, fail)


def _both() -> None:
    raise ExceptionGroup("tasks", [Refused("not now"), ZeroDivisionError()])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(number: signal.Signals) -> None:
    async def body() -> None:
        stop = stop_on_signals()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)

    run_on_uvloop(body())


def test_tls_needs_certificate_and_key_and_has_the_clients_ca_where_one_is_named(
    tmp_path: Path,
) -> None:
    for name in ("certificate", "key", "ca"):
        (tmp_path / name).write_text(name)
    certificate, key, ca = (tmp_path / name for name in ("certificate", "key", "ca"))
    assert serving_tls(None, None, None) is None
    assert serving_tls(certificate, None, ca) is None
    plain, mutual = serving_tls(certificate, key, None), serving_tls(certificate, key, ca)
    assert plain is not None
    assert mutual is not None
    assert (plain.certificate, plain.key, plain.client_ca) == (b"certificate", b"key", None)
    assert mutual.client_ca == b"ca"


def test_a_pem_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    assert read_pem("ca", None) is None
    with pytest.raises(InvalidInput, match=r"ca: .*/none cannot be read: No such file") as raised:
        read_pem("ca", tmp_path / "none")
    assert raised.value.field == "ca"


def test_the_ready_file_is_json_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ready.json"
    write_ready_file(path, {"grpc": "127.0.0.1:7700", "pid": 1})
    assert json.loads(path.read_text()) == {"grpc": "127.0.0.1:7700", "pid": 1}
    write_ready_file(None, {})
    assert [one.name for one in path.parent.iterdir()] == ["ready.json"]


@pytest.mark.parametrize("length", range(len(b'{"grpc": "a:1"}')))
def test_a_ready_file_that_is_half_written_is_noticed(tmp_path: Path, length: int) -> None:
    """At whatever byte the writing has come: whoever waits waits on, and can say why."""
    path, whole = tmp_path / "ready.json", b'{"grpc": "a:1"}'
    assert read_ready_file(path) is None
    assert ready_file_fault(path) == ""
    path.write_bytes(whole[:length])
    assert read_ready_file(path) is None
    assert f"half written: {length} bytes" in ready_file_fault(path)
    path.write_bytes(whole)
    assert read_ready_file(path) == {"grpc": "a:1"}
    assert ready_file_fault(path) == ""


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'"x"', b"\xff\xfe", b"{}{}"])
def test_a_ready_file_that_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ready.json"
    path.write_bytes(content)
    assert read_ready_file(path) is None
    assert ready_file_fault(path)
