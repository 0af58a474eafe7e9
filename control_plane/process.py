"""What every process of Homeport does the same way: settings, errors as one line and an exit
code, a stop by signal, TLS, a ready file, an event loop.

The `__main__` of a service hands its settings and its body to `run_program`. Nothing here knows
what a service is made of.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from control_plane.client_address import AddressDetail
from control_plane.config_check import Report, asked_for
from control_plane.errors import InvalidInput, ServiceError
from control_plane.printable import printable_lines, why_unreadable
from control_plane.private_files import UMASK
from control_plane.ready_file import clear_ready_file
from control_plane.service_manager import STOPPING, feed_watchdog, notify
from control_plane.serving.tls import TlsFiles
from control_plane.settings import problems_of
from control_plane.telemetry.logs import log_as_json
from control_plane.written_paths import check_written_file, check_written_folder


class ExitCode(IntEnum):
    """How a process ends."""

    STOPPED = 0  # as it was told to
    FAILED = 1
    WRONG_SETTINGS = 2


class ProcessSettings(Protocol):
    """What this module asks of a service's settings."""

    @property
    def log_level(self) -> str: ...

    @property
    def log_addresses(self) -> AddressDetail: ...

    @property
    def ready_file(self) -> Path | None: ...

    def written_files(self) -> Iterable[tuple[str, Path | None]]: ...

    def written_folders(self) -> Iterable[tuple[str, Path | None]]: ...


S = TypeVar("S", bound=ProcessSettings)
T = TypeVar("T")


def run_program(
    program: str,
    read_settings: Callable[[Sequence[str]], S],
    body: Callable[[S], object],
    check: Callable[[Sequence[str]], Report] | None = None,
) -> ExitCode:
    """Runs `body` with the settings of the command line. A ServiceError, alone or in a group,
    becomes one line on stderr behind the program's name; wrong settings one for each problem.
    Everything else goes on upwards. What the process writes is for its own user, also what
    libraries write. check: with `--check-config`, what is said instead; see
    control_plane.config_check."""
    os.umask(UMASK)
    try:
        asked = asked_for(sys.argv[1:]) if check is not None else None
        if check is not None and asked is not None:
            return _show_config(program, check(asked[0]), asked[1])
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for where, said in problems_of(error):
            _complain(program, f"{where}: {said}")
        return ExitCode.WRONG_SETTINGS
    except SettingsError as error:
        _complain(program, f"settings: {error}")
        return ExitCode.WRONG_SETTINGS
    except FileNotFoundError as error:
        _complain(program, str(error))
        return ExitCode.WRONG_SETTINGS
    except InvalidInput as error:
        _complain(program, str(error))
        return ExitCode.WRONG_SETTINGS
    except tomllib.TOMLDecodeError as error:
        _complain(program, f"settings file: {error}")
        return ExitCode.WRONG_SETTINGS
    except (OSError, UnicodeError) as error:
        _complain(program, f"settings file: {why_unreadable(error)}")
        return ExitCode.WRONG_SETTINGS
    log_as_json(settings.log_level, settings.log_addresses)
    code = ExitCode.STOPPED
    try:
        _check_written(settings)
        clear_ready_file(settings.ready_file)
    except InvalidInput as error:
        _complain(program, str(error))
        return ExitCode.WRONG_SETTINGS
    try:
        body(settings)
    except* ServiceError as errors:
        first = first_of(errors)
        _complain(program, str(first))
        # A file or a setting that is wrong stays so: nobody has to start the program again.
        code = ExitCode.WRONG_SETTINGS if isinstance(first, InvalidInput) else ExitCode.FAILED
    finally:
        clear_ready_file(settings.ready_file)
    return code


def _check_written(settings: ProcessSettings) -> None:
    """Raises InvalidInput for a path of the settings that cannot be written to."""
    for name, path in settings.written_files():
        if path is not None:
            check_written_file(path, f"--{name.replace('_', '-')}")
    for name, path in settings.written_folders():
        if path is not None:
            check_written_folder(path, f"--{name.replace('_', '-')}")


def _show_config(program: str, report: Report, output: str) -> ExitCode:
    """What is in force on stdout, what is wrong on stderr as a start says it."""
    print(report.as_json() if output == "json" else report.as_table())
    for fault in report.faults:
        _complain(program, f"{fault.setting}: {fault.message}" if fault.setting else fault.message)
    return ExitCode.WRONG_SETTINGS if report.faults else ExitCode.STOPPED


def _complain(program: str, words: str) -> None:
    """On stderr, without the control characters of a file or an answer."""
    print(f"{program}: {printable_lines(words)}", file=sys.stderr)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep groups stand in groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run_on_uvloop(body: Coroutine[object, object, T]) -> T:
    """asyncio.run on uvloop's loop where there is one: a third more calls per second."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:  # there is none for Windows
        pass
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(body)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. The service manager hears of them, and that the loop
    turns."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ended() -> None:
        notify(STOPPING)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended)
    feed_watchdog(loop)
    return stop


def serving_tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> TlsFiles | None:
    """What secures a server, of the settings tls_certificate, tls_key and tls_client_ca, which fit
    together; None: something before it does. Raises InvalidInput."""
    if certificate is None or key is None:
        return None
    return TlsFiles(certificate, key, client_ca, clock=time.monotonic)
