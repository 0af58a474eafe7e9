"""What a start of agents does with its settings and files before it asks anybody: the same calls,
for `--check-config`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from control_plane.errors import InvalidInput
from control_plane.fleet.file import read_fleet
from control_plane.fleet.unit import UnitSpec
from control_plane.process import serving_tls
from deployment_units.agent.channels import mail_relay_of
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.transport import connector


def checks(settings: AgentSettings) -> Iterator[Callable[[], object]]:
    """One call for each part; it raises ServiceError for what a start refuses."""
    yield lambda: specs_of(settings)
    yield lambda: connector(settings)
    yield lambda: serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    if settings.mail_relay:
        yield lambda: mail_relay_of(settings)
    yield lambda: _refuse_files(settings)


def specs_of(settings: AgentSettings) -> Sequence[UnitSpec | None]:
    """The units of the fleet file; of one that is named, None, as the server knows it. Raises
    InvalidInput, also where several would listen on one port; BadFleetFile."""
    if settings.units is None:
        return [None]
    specs = read_fleet(settings.units)
    if len(specs) > 1 and int(settings.http_listen.rpartition(":")[2] or 0):
        raise InvalidInput(
            "http_listen",
            f"the {len(specs)} units of {settings.units} need a port each; use --http-listen "
            "HOST:0",
        )
    return specs


def _refuse_files(settings: AgentSettings) -> None:
    folder, file = settings.state_dir, settings.ready_file
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InvalidInput("state_dir", f"state_dir: {folder} is not a folder")
    if file is not None and file.is_dir():
        raise InvalidInput("ready_file", f"ready_file: {file} is a folder")
