"""Whose JWTs name the clients of a tenant, as a file lists them.

- issuer: https://login.example.net
  audience: homeport
  jwks_url: https://login.example.net/keys   # or jwks: the JWK Set itself
  client_claim: device_id                    # left out: sub
  attribute_claims: {kind: customer_kind}    # attributes of clients, each with its claim
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import name_of, read_text
from control_plane.yaml_files import UnreadableYaml, parse

if TYPE_CHECKING:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy

_KEYS = ("issuer", "audience", "jwks_url", "jwks", "client_claim", "attribute_claims")


def read_issuers(file: str) -> list[tenancy.TrustedIssuer]:
    """Raises CommandFailed that names the file, the entry and what is wrong; what the values may
    be, the service says."""
    path = Path(file)
    try:
        listed, problems = parse(read_text(path))
    except UnreadableYaml as error:
        raise _faulty(path, str(error)) from error
    if problems:
        raise _faulty(path, problems[0])
    if not isinstance(listed, list):
        raise _faulty(path, "is no list of issuers")
    return [_issuer(path, place, entry) for place, entry in enumerate(listed)]


def _issuer(path: Path, place: int, entry: Any) -> tenancy.TrustedIssuer:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    if not isinstance(entry, dict):
        raise _faulty(path, f"entry {place + 1} is no mapping")
    for key in entry:
        if key not in _KEYS:
            raise _faulty(path, f"entry {place + 1}: unknown key {key}; known: {', '.join(_KEYS)}")
    if isinstance(entry.get("jwks"), dict):
        try:
            entry = {**entry, "jwks": json.dumps(entry["jwks"])}
        except (TypeError, ValueError) as error:
            raise _faulty(path, f"entry {place + 1}: jwks is no JSON: {error}") from error
    if "jwks" in entry and "jwks_url" in entry:
        raise _faulty(path, f"entry {place + 1} has jwks and jwks_url; give one of them")
    for key, value in entry.items():
        if key == "attribute_claims":
            if not isinstance(value, dict) or not all(
                isinstance(one, str) for pair in value.items() for one in pair
            ):
                raise _faulty(path, f"entry {place + 1}: {key} has to be names with their claims")
        elif not isinstance(value, str):
            raise _faulty(path, f"entry {place + 1}: {key} is no text")
    return tenancy_pb.TrustedIssuer(**entry)


def _faulty(path: Path, what: str) -> CommandFailed:
    return CommandFailed(f"{name_of(path)} {what}", ExitCode.USAGE)
