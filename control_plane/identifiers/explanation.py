"""Why a text is the identifier that it is, or none: for people who look into it."""

from __future__ import annotations

from typing import Any

from control_plane.identifiers.domains import public_suffix, registrable_domain
from control_plane.identifiers.handles import claim_flaw
from control_plane.identifiers.identifier import Flaw, Identifier, IdentifierKind
from control_plane.identifiers.scripts import scripts_of, scripts_that_look_alike
from control_plane.identifiers.skeleton import skeleton, stored_key


def explanation(text: str, result: Identifier | Flaw) -> dict[str, Any]:
    """What is known of a text that was read, as JSON writes it. `accepted` says whether it is an
    identifier; then there are kind, normal, shown, uri, changes and notes (name and text of
    each), else reason, message and remedy."""
    if isinstance(result, Flaw):
        return {"text": text, "accepted": False, **_flaw(result)}
    document: dict[str, Any] = {
        "text": text,
        "accepted": True,
        "kind": result.kind.value,
        "normal": result.normal,
        "shown": result.shown,
        "uri": None if result.kind is IdentifierKind.DOMAIN else result.uri,
        "changes": [{"name": one.name, "text": one.value} for one in result.changes],
        "notes": [{"name": one.name, "text": one.value} for one in result.notes],
    }
    if result.kind is IdentifierKind.HANDLE:
        document |= _handle(result)
    elif result.kind is IdentifierKind.DOMAIN:
        document |= {
            "public_suffix": public_suffix(result),
            "registrable_domain": registrable_domain(result),
        }
    return document


def _handle(handle: Identifier) -> dict[str, Any]:
    flaw = claim_flaw(handle)
    return {
        "skeleton": skeleton(handle.normal),
        "kept_under": stored_key(handle.normal),
        "scripts": sorted(scripts_of(handle.normal) or ()),
        "scripts_that_look_alike": sorted(scripts_that_look_alike(handle.normal)),
        "claimable": flaw is None,
        "not_claimable": None if flaw is None else _flaw(flaw),
    }


def _flaw(flaw: Flaw) -> dict[str, Any]:
    return {
        "kind": flaw.kind and flaw.kind.value,
        "reason": flaw.reason.value,
        "message": flaw.message,
        "remedy": flaw.remedy,
    }
