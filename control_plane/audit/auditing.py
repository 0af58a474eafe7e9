"""Auditing: the parts of one server that keep its audit log, built over one log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from control_plane.audit.interceptor import AuditInterceptor
from control_plane.audit.objects import AuditedObject, audited_methods
from control_plane.audit.port import AuditLog
from control_plane.audit.recorder import AuditRecorder
from control_plane.audit.service import AuditService
from control_plane.auth.access_control import AccessControl
from control_plane.auth.method_access import MethodAccess
from control_plane.serving.peers import Proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditing:
    """interceptor: behind the one that checks access. The recorder's `run` is a task for the
    server's owner."""

    interceptor: AuditInterceptor
    recorder: AuditRecorder
    service: AuditService


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRetention:
    """How long entries are kept, in seconds, and how many at most."""

    age_s: float
    entries: int


def build_auditing(
    audit_log: AuditLog,
    methods: Mapping[str, MethodAccess],
    objects: Mapping[str, AuditedObject],
    access: AccessControl,
    proxies: Proxies,
    retention: AuditRetention,
    *,
    wall_ms: Callable[[], int],
) -> Auditing:
    """methods: of all services of the server; objects: what those of them change that are
    audited. Raises ValueError where the two do not fit."""
    recorder = AuditRecorder(
        audit_log, wall_ms=wall_ms, keep_s=retention.age_s, keep=retention.entries
    )
    return Auditing(
        interceptor=AuditInterceptor(
            audited_methods(methods, objects), recorder, access, proxies, new_id=new_entry_id
        ),
        recorder=recorder,
        service=AuditService(audit_log),
    )


def new_entry_id() -> str:
    """Of an entry; no two the same."""
    return secrets.token_hex(8)
