"""What every process of Homeport does the same way: settings, errors as one line and an exit
code, a stop by signal, PEM files, a ready file, an event loop.

The `__main__` of a service hands its settings and its body to `run_program`. Nothing here knows
what a service is made of.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tomllib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError

from control_plane.errors import InvalidInput, ServiceError
from control_plane.files import replace_file
from control_plane.serving.server import Tls
from control_plane.telemetry.logs import log_as_json


class ExitCode(IntEnum):
    """How a process ends."""

    STOPPED = 0  # as it was told to
    FAILED = 1
    WRONG_SETTINGS = 2


class ProcessSettings(Protocol):
    """What this module asks of a service's settings."""

    @property
    def log_level(self) -> str: ...


S = TypeVar("S", bound=ProcessSettings)


def run_program(
    program: str, read_settings: Callable[[Sequence[str]], S], body: Callable[[S], object]
) -> ExitCode:
    """Runs `body` with the settings of the command line. A ServiceError, alone or in a group,
    becomes one line on stderr behind the program's name; wrong settings one for each problem.
    Everything else goes on upwards."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "settings"
            print(f"{program}: {where}: {problem['msg']}", file=sys.stderr)
        return ExitCode.WRONG_SETTINGS
    except FileNotFoundError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return ExitCode.WRONG_SETTINGS
    except tomllib.TOMLDecodeError as error:
        print(f"{program}: settings file: {error}", file=sys.stderr)
        return ExitCode.WRONG_SETTINGS
    log_as_json(settings.log_level)
    code = ExitCode.STOPPED
    try:
        body(settings)
    except* ServiceError as errors:
        print(f"{program}: {first_of(errors)}", file=sys.stderr)
        code = ExitCode.FAILED
    return code


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep groups stand in groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run_on_uvloop(body: Coroutine[object, object, None]) -> None:
    """asyncio.run on uvloop's loop where there is one: a third more calls per second."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:  # there is none for Windows
        pass
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(body)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def read_pem(setting: str, path: Path | None) -> bytes | None:
    """The content of a PEM file; None where none is named. Raises InvalidInput that names the
    setting and the file."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            setting, f"{setting}: {path} cannot be read: {error.strerror}"
        ) from error


def serving_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """What secures a server, of the settings tls_certificate, tls_key and tls_client_ca; None:
    something before it does. Raises InvalidInput."""
    key_pem = read_pem("tls_key", key)
    certificate_pem = read_pem("tls_certificate", certificate)
    if certificate_pem is None or key_pem is None:
        return None
    return Tls(
        key=key_pem, certificate=certificate_pem, client_ca=read_pem("tls_client_ca", client_ca)
    )


def write_ready_file(
    path: Path | None, content: Mapping[str, object], *, indent: int | None = None
) -> None:
    """Says in JSON that this process serves, and where; nothing where no file is asked for.
    Readers see all of it or nothing."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(content, indent=indent) + "\n").encode())


def read_ready_file(path: Path) -> dict[str, object] | None:
    """What a program said in its ready file; None while it has not said it: there is no file, or
    it is not whole. Ours always are; one that was copied, or written by another program, may be
    read in the middle of that, and is whole at the next look. `ready_file_fault` says so where
    there is no next one. Raises OSError."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def ready_file_fault(path: Path) -> str:
    """What to add to a message that a program does not serve: that its ready file is there and is
    none. Empty where it is not there."""
    if not path.exists() or read_ready_file(path) is not None:
        return ""
    return f"; its ready file, {path}, is half written: {path.stat().st_size} bytes, no JSON object"
