"""A plan of moves from a file: what `policy simulate -o json` or `policy move --dry-run -o json`
wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import name_of, read_text
from homeport.api.policy.v1 import policy_pb2 as pb


def plan_in(file: Path) -> list[pb.PolicyWay]:
    """From where to where how many; who lives nowhere, before or after, is left out. Raises
    CommandFailed for a file that is no plan, and for one that has no way."""
    try:
        said: Any = msgspec.json.decode(read_text(file))
        moved = said["moved"]
        rows, ways = moved["largest"], moved["ways"]
        found = [
            pb.PolicyWay(
                from_unit_id=one["from"], to_unit_id=one["to"], clients=int(one["clients"])
            )
            for one in rows
            if one["from"] and one["to"]
        ]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CommandFailed(
            f"{name_of(file)} is no plan; write one with `homeport policy simulate --population "
            "live -o json`, or `homeport policy move --dry-run -o json`",
            ExitCode.USAGE,
        ) from error
    if not found:
        raise CommandFailed(f"by {name_of(file)} nobody moves from a unit to another")
    if ways > len(rows):
        raise CommandFailed(
            f"{name_of(file)} has {len(rows):,} of {ways:,} ways; plan with --population live, "
            "which has more of them",
            ExitCode.USAGE,
        )
    return found
