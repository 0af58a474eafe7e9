"""What a stack needs before its programs start: a CA, tokens, and where units have processes of
their own, a fleet file for each."""

from __future__ import annotations

import yaml

from console.local.stack import make_stack_security
from console.local.stack_plan import StackOptions, fleet_file
from control_plane.files import replace_file
from control_plane.fleet.file import read_fleet
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
        make_stack_security(options.security, units, apart=options.apart, sharing=options.sharing)
