"""Entries of the audit log, and what became of its verification, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.audit.v1 import audit_pb2 as audit

_COLOURS = {"done": "green", "failed": "yellow", "unknown": "red", "open": "red"}


def document_of(entry: audit.AuditEntry) -> dict[str, Any]:
    """One entry for programs; times are Unix ms."""
    from homeport.api.audit.v1 import audit_pb2 as pb

    caller = entry.caller
    return {
        "sequence": entry.sequence,
        "time_ms": entry.record_time.ToMilliseconds(),
        "phase": pb.AuditPhase.Name(entry.phase).removeprefix("AUDIT_PHASE_").lower(),
        "open": entry.open,
        "asked_sequence": entry.asked_sequence or None,
        "service": entry.service,
        "method": entry.method,
        "caller": {
            "name": caller.name,
            "roles": list(caller.roles),
            "tenant": caller.tenant,
            "certificate": caller.certificate,
            "address": caller.address,
        },
        "tenant": entry.tenant,
        "object": {"kind": entry.object_kind, "id": entry.object_id},
        "code": entry.code,
        "message": entry.message,
        "request": _value(entry.request_json),
        "before": _value(entry.before_json),
        "after": _value(entry.after_json),
        "hash": entry.hash,
    }


def entries_table(entries: Iterable[audit.AuditEntry]) -> Table:
    """Entries for people: who did what to what, and what came of it."""
    table = Table(
        number("entry"), whole("time"), whole("who"), optional(whole("from")), whole("what"),
        optional(whole("tenant")), fold("object"), whole("outcome"), fold("changed"),
    )  # fmt: skip
    for one in entries:
        facts = document_of(one)
        phase = "open" if one.open else facts["phase"]
        colour = _COLOURS.get(phase, "dim")
        code = f" {one.code}" if one.code not in ("", "OK") else ""
        table.add_row(
            f"{one.sequence}",
            time_text(facts["time_ms"]),
            escape(one.caller.name),
            escape(one.caller.certificate or one.caller.address),
            escape(one.method),
            escape(one.tenant),
            escape(f"{one.object_kind} {one.object_id}".strip()),
            f"[{colour}]{phase}[/]{code}",
            escape(one.message or ", ".join(changed_fields(facts["before"], facts["after"]))),
        )
    return table


def changed_fields(before: Any, after: Any) -> list[str]:
    """The paths at which two JSON values differ, as far as both have members.

    >>> changed_fields({"spec": {"capacity": 1}}, {"spec": {"capacity": 2}})
    ['spec.capacity']
    """
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return []
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        deeper = changed_fields(one, other)
        found += [f"{name}.{path}" for path in deeper] if deeper else [name]
    return found


def _value(text: str) -> Any:
    return json.loads(text) if text else None
