"""Configured hooks: the operator's file of them, read strictly.

A policy names a hook, never an address: where a server connects, its operator alone says. Beyond
this machine that is over TLS, with a CA that the file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.certificates import check_certificate, read_bounded
from control_plane.errors import FaultyFile
from control_plane.exposure import is_loopback
from control_plane.printable import quoted
from control_plane.yaml_files import UnreadableYaml, parse, read_text
from provisioner.policy.fields import Fields, Problems

MOST_HOOKS = 64
MOST_TENANTS = 1_000
FIELDS = ("endpoint", "tenants", "ca", "certificate", "key", "at_once")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredHook:
    """endpoint: host:port; tenants: whose policies may name it, empty: all; ca None: without TLS,
    on this machine; at_once: questions at a time, whole."""

    name: str
    endpoint: str
    tenants: frozenset[str] = frozenset()
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    at_once: int = 32


def read_hooks(path: Path) -> Mapping[str, ConfiguredHook]:
    """By name. Raises FaultyFile with all that is wrong."""
    try:
        said, doubled = parse(read_text(path))
    except UnreadableYaml as error:
        raise FaultyFile("policy_hooks", f"{path} {error}") from error
    problems = Problems(doubled)
    document = Fields(said, "", ("hooks",), problems)
    found = {
        name: _hook(name, one, path.parent)
        for name, one in document.named("hooks", FIELDS, most=MOST_HOOKS)
    }
    if document.given and not found and not problems.found:
        problems.add("hooks", "there is none; leave the setting out")
    if problems.found:
        raise FaultyFile("policy_hooks", "\n".join(f"{path}: {one}" for one in problems.found))
    return found


def _hook(name: str, said: Fields, folder: Path) -> ConfiguredHook:
    endpoint = said.text("endpoint")
    host, _, port = endpoint.rpartition(":")
    if not host or "/" in host or not port.isdigit() or not 0 < int(port) <= 65535:
        said.problem("endpoint", f"{quoted(endpoint)} is not host:port")
    ca = _content(said, "ca", folder)
    certificate, key = _content(said, "certificate", folder), _content(said, "key", folder)
    if not said.has_problems and ca is None and not is_loopback(endpoint):
        said.problem(
            "ca", "a hook beyond this machine is called over TLS: name the PEM file of its CA"
        )
    if (certificate is None) != (key is None) and not said.has_problems:
        said.problem("key", "certificate and key belong together")
    elif certificate is not None and key is not None:
        try:
            check_certificate(certificate, key)
        except ValueError as error:
            said.problem("certificate", str(error))
    return ConfiguredHook(
        name=name,
        endpoint=endpoint,
        tenants=frozenset(said.texts("tenants", most=MOST_TENANTS)),
        ca=ca,
        certificate=certificate,
        key=key,
        at_once=int(said.number("at_once", 32, low=1, high=1_000)),
    )


def _content(said: Fields, name: str, folder: Path) -> bytes | None:
    """Of a PEM file, named from the folder of the file on."""
    given = said.text(name)
    if not given:
        return None
    path = folder / given
    try:
        return read_bounded(path)
    except OSError as error:
        said.problem(name, f"{path} cannot be read: {error.strerror}")
    except ValueError as error:
        said.problem(name, f"{path}: {error}")
    return None
