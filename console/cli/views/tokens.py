"""API tokens, for people and for programs; never the token itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from control_plane.auth.token_editor import ListedToken


def document_of(token: ListedToken) -> dict[str, Any]:
    """One token for programs; times are Unix seconds."""
    return {
        "name": token.name,
        "id": token.id,
        "roles": list(token.roles),
        "bound_to": token.bound,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "state": state_of(token),
    }


def state_of(token: ListedToken) -> str:
    """active or expired; what was revoked is not there."""
    return "expired" if token.expired else "active"


def tokens_table(tokens: Iterable[ListedToken]) -> Table:
    """For people, in the order of the file."""
    table = Table(
        whole("name"), whole("id"), whole("roles"), whole("bound to"), whole("issued"),
        whole("expires"), whole("state"),
    )  # fmt: skip
    for one in tokens:
        colour = "dim" if one.expired else "green"
        table.add_row(
            escape(one.name),
            one.id,
            escape(", ".join(one.roles)) or "none",
            escape(", ".join(f"{key} {_text(value)}" for key, value in one.bound.items())),
            "" if one.issued_at is None else time_text(int(one.issued_at * 1_000)),
            "never" if one.expires_at is None else time_text(int(one.expires_at * 1_000)),
            f"[{colour}]{state_of(one)}[/]",
        )
    return table


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)
