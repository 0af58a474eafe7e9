"""Ids of conversations, messages and presses, as people give them."""

from __future__ import annotations

from hashlib import sha256

import typer


def id_of(text: str, option: str) -> bytes:
    """16 bytes, of 32 hexadecimal digits. Raises typer.BadParameter."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise typer.BadParameter("an id has 32 hexadecimal digits", param_hint=option)
    return found


def begun_by(message: bytes) -> bytes:
    """The id of the conversation that a message begins: the same for the same one, so that it may
    be sent again where nobody knows what became of it."""
    return sha256(b"homeport conversation" + message).digest()[:16]
