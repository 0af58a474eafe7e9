"""Manifest: what an application declares about itself, as values.

A manifest that exists is sound in itself: its form, its schemas, its samples against them.
What only others can tell, the sandbox or the consumers of its feeds, comes later. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as given_by
from typing import Any

from control_plane.printable import quoted
from data_sharing.instruction import NO_TERMS, ApprovalTerms
from data_sharing.runtimes.port import ArtifactKind, Limits

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")  # `name` of the manifest's schema


def not_a_name(text: str) -> str | None:
    """Why no application, nor an action, can have this name; None: one can."""
    if _NAME.fullmatch(text) is not None:
        return None
    shown = quoted(text if len(text) <= 64 else f"{text[:64]}…")
    return (
        f"{shown} is no name; a name is 1 to 63 of a-z 0-9 - . and starts and ends with none of -."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFault:
    """One thing that is wrong with a submission, for the developer to mend."""

    path: str  # JSON Pointer into the manifest
    message: str  # a sentence that says what to do
    consumer: str = ""  # the application that a change would break
    field: str = ""  # what it reads, as JSON Pointer into the feed's data


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """A feed it produces."""

    type: str  # CloudEvents type
    schema: Mapping[str, Any]  # JSON Schema 2020-12 of the data
    key: str  # JSON Pointer into the event
    samples: tuple[Mapping[str, Any], ...]
    shared_with: tuple[str, ...] = ()  # applications of the tenant
    shared_with_everyone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """A feed it wants to read."""

    feed: str  # CloudEvents type
    purpose: str  # why, for people and for consent
    fields: tuple[str, ...] = ()  # JSON Pointers into the data; none: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something it can be ordered to do."""

    name: str
    input: Mapping[str, Any] | bool  # JSON Schema 2020-12
    output: Mapping[str, Any] | bool
    sample: Any  # an input
    idempotent: bool = False
    needs_approval: bool = False
    approval: ApprovalTerms = NO_TERMS  # on which terms, where it does
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Which of its actions answer what is sent to it. Empty: none does."""

    message: str = ""
    click: str = ""  # a press of a card that it sent


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A folder it wants to see; which one of its own that is, the platform says."""

    path: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCapabilities:
    """What it asks for beyond computing. To ask is not to be granted."""

    clock: bool = False
    random: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[FileRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeNeeds:
    """What runs it, within which limits."""

    kind: ArtifactKind
    sha256: str = ""  # of the artifact, lower-case hex; empty: not said
    limits: Limits = given_by(default_factory=Limits)
    requested: RequestedCapabilities = given_by(default_factory=RequestedCapabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One version of one application."""

    tenant: str
    application: str
    version: str  # MAJOR.MINOR.PATCH
    description: str = ""
    produces: tuple[Produced, ...] = ()
    consumes: tuple[Consumed, ...] = ()
    actions: tuple[Action, ...] = ()
    answers: Answers = Answers()
    runtime: RuntimeNeeds | None = None

    def produced(self, type_: str) -> Produced | None:
        """The feed of that type, where it produces it."""
        return next((one for one in self.produces if one.type == type_), None)

    def consumed(self, type_: str) -> Consumed | None:
        """Its declaration that it reads that feed."""
        return next((one for one in self.consumes if one.feed == type_), None)

    def action(self, name: str) -> Action | None:
        return next((one for one in self.actions if one.name == name), None)
