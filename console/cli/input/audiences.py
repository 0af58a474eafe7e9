"""Audiences and modes as people type them: `everyone`, `contacts`, `nobody`, `account:ID`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import typer

from control_plane.printable import quoted
from homeport.api.communication.v1 import profile_pb2 as pb

_ACCOUNT = "account:"


class ModeName(StrEnum):
    """Modes, as they are typed and shown."""

    IN_APP = "in-app"
    MAIL = "mail"
    TEXT = "text"
    TELEPHONE = "telephone"


MODES = {
    ModeName.IN_APP: pb.MODE_IN_APP,
    ModeName.MAIL: pb.MODE_MAIL,
    ModeName.TEXT: pb.MODE_TEXT,
    ModeName.TELEPHONE: pb.MODE_TELEPHONE,
}
NAMES = {mode: name for name, mode in MODES.items()}


def audience_of(words: Sequence[str], option: str = "--to") -> pb.Audience:
    """Raises typer.BadParameter."""
    audience = pb.Audience()
    for word in words:
        if word == "everyone":
            audience.everyone = True
        elif word == "contacts":
            audience.contacts = True
        elif word.startswith(_ACCOUNT) and word != _ACCOUNT:
            audience.accounts.append(word.removeprefix(_ACCOUNT))
        elif word != "nobody":
            why = f"{quoted(word)} is no audience; use everyone, contacts, nobody or account:ID"
            raise typer.BadParameter(why, param_hint=option)
    if "nobody" in words and len(words) > 1:
        raise typer.BadParameter("nobody stands alone", param_hint=option)
    return audience


def audience_words(audience: pb.Audience) -> list[str]:
    """The same as words."""
    words = ["everyone"] if audience.everyone else []
    words += ["contacts"] if audience.contacts else []
    return words + [f"{_ACCOUNT}{one}" for one in audience.accounts] or ["nobody"]
