"""What every process does the same way: exit codes, what it says on stderr, its files."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import Field

from control_plane.client_address import AddressDetail
from control_plane.errors import FaultyFile, Refused
from control_plane.process import (
    ExitCode,
    run_on_uvloop,
    run_program,
    serving_tls,
    stop_on_signals,
)
from control_plane.ready_file import write_ready_file
from control_plane.settings import ServiceSettings
from tests.support.certificates import Authority
from tests.support.unwritable_paths import FILES, FOLDERS, unwritable


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """A program takes the root logger over; here it is given back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Settings(ServiceSettings):
    """As a service has them, that makes a folder and another file."""

    log_level: str = "error"
    log_addresses: AddressDetail = AddressDetail.TRUNCATED
    ready_file: Path | None = None
    port: int = Field(default=1, ge=1)
    snapshot: Path | None = None
    data_dir: Path | None = None

    def written_files(self) -> Iterator[tuple[str, Path | None]]:
        yield from super().written_files()
        yield "snapshot", self.snapshot

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        yield "data_dir", self.data_dir


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


def name_a_faulty_file(settings: Settings) -> None:
    raise FaultyFile("file", "x.yaml: no\x1b")


def refuse_in_groups(settings: Settings) -> None:
    raise ExceptionGroup("tasks", [ExceptionGroup("task", [Refused("not now")])])


def stop(settings: Settings) -> None:
    """As told."""


@pytest.mark.parametrize(
    ("read", "body", "code", "said"),
    [
        pytest.param(good, stop, ExitCode.STOPPED, [], id="stopped-as-told"),
        pytest.param(good, refuse, ExitCode.FAILED, ["it: not now"], id="an-error-of-ours"),
        pytest.param(
            good,
            name_a_faulty_file,
            ExitCode.WRONG_SETTINGS,
            ["it: x.yaml: no␛"],
            id="a-faulty-file",
        ),
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


BESIDE = """
import asyncio, contextlib, os
from control_plane.process import run_on_uvloop
import grpc

async def body():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/nothing/There")
        async def ask():
            while True:
                with contextlib.suppress(grpc.RpcError):
                    await call(b"")
        asking = asyncio.create_task(ask())
        codes = set()
        for _ in range(200):
            program = await asyncio.create_subprocess_exec("true")
            codes.add(await program.wait())
        asking.cancel()
    await server.stop(None)
    print(codes, os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))

run_on_uvloop(body())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(number: signal.Signals) -> None:
    async def body() -> None:
        stop = stop_on_signals()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)

    run_on_uvloop(body())


def test_programs_begin_beside_a_server_that_is_asked(tmp_path: Path) -> None:
    """In a process of its own, in which nobody has imported gRPC: without what the package says of
    forks, some of these end by SIGSEGV before they are what they were started as. How many depends
    on the machine, so it is also asked what is said."""
    script = tmp_path / "beside.py"
    script.write_text(BESIDE)
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("GRPC_")},
    )  # fmt: skip
    assert (found.stdout, found.returncode) == ("{0} 0\n", 0), found.stderr[-2_000:]


def test_tls_needs_certificate_and_key_and_has_the_clients_ca_where_one_is_named(
    tmp_path: Path,
) -> None:
    authority, ca = Authority.new(), tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate)
    certificate, key = authority.write(tmp_path, "server")
    assert serving_tls(None, None, None) is None
    assert serving_tls(certificate, None, ca) is None
    plain, mutual = serving_tls(certificate, key, None), serving_tls(certificate, key, ca)
    assert plain is not None
    assert mutual is not None
    assert (plain.current.certificate, plain.current.key) == (
        certificate.read_bytes(),
        key.read_bytes(),
    )
    assert plain.current.client_ca is None
    assert mutual.current.client_ca == authority.certificate


def test_a_file_of_this_process_goes_when_it_ends_however_that_is(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"

    def serve(settings: Settings) -> None:
        write_ready_file(path, {})
        assert path.exists()
        raise Refused("not now")

    run_program("it", lambda arguments: Settings(ready_file=path), serve)
    assert not path.exists()


@pytest.mark.parametrize(
    ("setting", "kind"),
    [(name, kind) for name in ("ready_file", "snapshot") for kind in FILES]
    + [("data_dir", kind) for kind in FOLDERS],
)
def test_a_path_that_cannot_be_written_to_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, kind: str
) -> None:
    path = unwritable(tmp_path, kind)
    ran: list[Settings] = []
    code = run_program("trial", lambda arguments: Settings(**{setting: path}), ran.append)
    said = capsys.readouterr().err
    assert (code, ran) == (ExitCode.WRONG_SETTINGS, [])
    assert said.startswith(f"trial: --{setting.replace('_', '-')} {path}")
    assert "name a" in said  # what to do
    assert said.count("\n") == 1


def test_a_folder_for_a_ready_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "run" / "homeport" / "ready.json"
    assert run_program("trial", lambda arguments: Settings(ready_file=path), stop) == 0
    assert path.parent.is_dir()
