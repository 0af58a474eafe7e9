"""What a stack needs before its programs start: a CA, tokens, and where units have processes of
their own, a fleet file for each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import yaml

from console.local.stack import StackFailed
from console.local.stack_options import Sharing, StackOptions
from console.local.stack_plan import (
    AGENT,
    MESSAGES,
    PLATFORM,
    SERVER,
    SHARING,
    agent_name,
    fleet_file,
)
from console.local.stack_security import (
    StackSecurity,
    agent_holder,
    make_security,
    messages_holder,
    platform_holder,
)
from control_plane.auth.credentials import TOKEN_BYTES
from control_plane.errors import ServiceError
from control_plane.files import replace_file
from control_plane.fleet.file import read_fleet
from control_plane.printable import why_failed
from control_plane.private_files import private_folder
from control_plane.yaml_files import parse, read_text


def prepare_stack(options: StackOptions) -> None:
    """To be called by whoever holds the data directory. Raises StackFailed; BadFleetFile."""
    units = [unit.id for unit in read_fleet(options.units)]
    if options.apart:
        document, _ = parse(read_text(options.units))
        private_folder(options.data_dir / "run")
        for entry in document["units"]:
            text = yaml.safe_dump({"units": [entry]}, sort_keys=False, allow_unicode=True)
            replace_file(fleet_file(options.data_dir, entry["id"]), text.encode())
    if options.security is not None:
        make_stack_security(
            options.security,
            units,
            apart=options.apart,
            sharing=options.sharing,
            hosts=tuple(options.host_names),
        )


def make_stack_security(
    security: StackSecurity,
    units: Sequence[str],
    *,
    apart: Sequence[str] = (),
    sharing: Sharing | None = None,
    hosts: Sequence[str] = (),
) -> None:
    """A CA, certificates and tokens; units: the ids of those in the fleet file, apart: of those
    with an agent process of their own; hosts: at which there are pages. To be called by whoever
    holds the data directory. Raises StackFailed."""
    agents = {agent_name(unit): [unit] for unit in apart} or {AGENT: list(units)}
    programs = [SERVER, *agents]
    holders = [agent_holder(name, of) for name, of in agents.items()]
    if sharing is not None:
        programs.append(SHARING)
        holders += [platform_holder(PLATFORM, sharing.tenant)]
        holders += [messages_holder(MESSAGES, sharing.tenant)]
    try:
        make_security(
            security,
            programs=programs,
            holders=holders,
            now=datetime.now(UTC),
            random=partial(secrets.token_bytes, TOKEN_BYTES),
            hosts=hosts,
        )
    except OSError as error:
        raise StackFailed(f"{security.folder} cannot be used: {why_failed(error)}") from error
    except ServiceError as error:
        raise StackFailed(error.message) from error
