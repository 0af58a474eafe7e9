"""Ids of conversations, messages and presses, as people give them."""

from __future__ import annotations

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
