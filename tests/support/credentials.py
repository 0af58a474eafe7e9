"""Authenticators as tests give them: tokens that are written down in the test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from control_plane.auth.authenticator import Authenticator, TokenSource
from control_plane.auth.callers import Caller
from control_plane.auth.refusals import Refusals
from control_plane.auth.shown import ShownCredentials
from control_plane.auth.tokens import TokenEntry, Tokens, digest_of


def tokens_of(**callers: Caller) -> Tokens:
    """Each caller by the text of its token; they never expire."""
    return Tokens({digest_of(token): TokenEntry(caller=who) for token, who in callers.items()})


def authenticator_of(tokens: TokenSource, **more: Any) -> Authenticator:
    """One for which no time passes, unless it is given a clock."""
    settings: dict[str, Any] = {
        "refusals": Refusals(clock=lambda: 0.0),
        "wall": lambda: 0.0,
        **more,
    }
    return Authenticator(tokens, **settings)


def bearer(token: str) -> list[tuple[str, str | bytes]]:
    """The metadata of a caller who shows it."""
    return [("authorization", f"Bearer {token}")]


def showing(metadata: Iterable[tuple[str, str | bytes]] = ()) -> ShownCredentials:
    """What is shown with this metadata."""
    return ShownCredentials(metadata)
