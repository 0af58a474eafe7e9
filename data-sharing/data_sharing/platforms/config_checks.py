"""What a start of a platform does with its settings and files before it asks anybody: the same
calls, for `--check-config`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from control_plane.errors import InvalidInput
from control_plane.serving.dialing import FileDialer
from data_sharing.clock import clock_of
from data_sharing.platforms.settings import PlatformSettings
from data_sharing.platforms.wiring import read_keys


def checks(settings: PlatformSettings) -> Iterator[Callable[[], object]]:
    """One call for each part; it raises ServiceError for what a start refuses."""
    yield lambda: clock_of(settings.clock_file)
    if (keys := settings.instruction_keys) is not None:
        yield lambda: read_keys(keys)
    yield lambda: FileDialer(
        ca=settings.ca,
        certificate=settings.certificate,
        key=settings.certificate_key,
        settings=("ca", "certificate", "certificate_key"),
    )
    yield lambda: _refuse_files(settings)


def _refuse_files(settings: PlatformSettings) -> None:
    if settings.data_dir.exists() and not settings.data_dir.is_dir():
        raise InvalidInput("data_dir", f"data_dir: {settings.data_dir} is not a folder")
    if settings.ready_file is not None and settings.ready_file.is_dir():
        raise InvalidInput("ready_file", f"ready_file: {settings.ready_file} is a folder")
