"""An organisation that a command is about: an argument, or as the option of earlier versions."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

OrganisationArgument: TypeAlias = Annotated[
    str | None, typer.Argument(help="The organisation's id.", metavar="ORGANISATION")
]
OrganisationOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--organisation", hidden=True, help="The same."),
]


def organisation_of(argument: str | None, option: str | None) -> str:
    """Raises typer.BadParameter where neither says it, or each another one."""
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(f"{argument} and {option} are two", param_hint="ORGANISATION")
    found = argument or option
    if found is None:
        raise typer.BadParameter("name the organisation", param_hint="ORGANISATION")
    return found
