"""To whom somebody writes, as people type it: accounts, handles, addresses and numbers, several by
commas or by the option again.

A space parts nobody: `anna ben` could be one id or two, so it is refused with what would do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer

from console.cli.calls.conversations import ACCOUNT
from control_plane.printable import quoted

_NUMBER = re.compile(r"(?:tel:)?\+[\d\s().-]+\Z")
_BETWEEN_DIGITS = re.compile(r"[\s().-]+")


def names_of(words: Sequence[str], option: str) -> list[str]:
    """The names, in order, each once; a number without what stands between its digits. option: as
    which they were given. Raises typer.BadParameter."""
    found: list[str] = []
    for word in words:
        if word.startswith(ACCOUNT):
            found.append(_named(word, option))
            continue
        parts = [one.strip() for one in word.split(",")]
        found += [_named(one, option) for one in parts if one or len(parts) == 1]
    if not found:
        raise typer.BadParameter("to whom? give a name", param_hint=option)
    return list(dict.fromkeys(found))


def _named(name: str, option: str) -> str:
    if not name.removeprefix(ACCOUNT):
        raise typer.BadParameter("to whom? give a name", param_hint=option)
    if name.startswith(ACCOUNT):
        return name
    if _NUMBER.match(name):
        return _BETWEEN_DIGITS.sub("", name)
    if any(sign.isspace() for sign in name):
        several = ",".join(name.split())
        raise typer.BadParameter(
            f"{quoted(name)} has a space in it; for several write {several}, for an id with a "
            f"space {ACCOUNT}{name}",
            param_hint=option,
        )
    return name
