"""Heads of the audit log as options give them: ENTRY:HASH, as `audit verify` told them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from control_plane.audit.entry import ChainPoint

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-fA-F]{64})")


def parse_head(text: str) -> ChainPoint:
    """Raises typer.BadParameter."""
    from control_plane.audit.entry import ChainPoint

    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text[:100]} is not ENTRY:HASH, such as an earlier verify told", param_hint="--head"
        )
    return ChainPoint(sequence=int(found[1]), hash=found[2].lower())
