"""What an operator says of a client: --attribute NAME=VALUE, any number of times."""

from __future__ import annotations

from collections.abc import Sequence

from console.cli.failure import CommandFailed, ExitCode


def parse_attributes(given: Sequence[str] | None) -> dict[str, str]:
    """By name; an empty value takes the attribute away. Raises CommandFailed (usage); what names
    and values may be, the service says."""
    found: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise CommandFailed(
                f"--attribute {one} is not NAME=VALUE, such as kind=government", ExitCode.USAGE
            )
        if name in found:
            raise CommandFailed(f"--attribute {name} is given twice", ExitCode.USAGE)
        found[name] = value
    return found
