"""What an audit log in a test writes to, and who calls."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from control_plane.audit.entry import AuditEntry
from control_plane.audit.port import ChainPage


class FakeLog:
    """Keeps entries in a list. failing: what appends raise from then on."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.failing: Exception | None = None

    async def append(self, entry: AuditEntry) -> int:
        if self.failing is not None:
            raise self.failing
        self.entries.append(replace(entry, sequence=len(self.entries) + 1))
        return len(self.entries)

    async def read(self, *, after: int, limit: int) -> ChainPage:
        raise NotImplementedError

    async def end_abandoned(self, under_way: Collection[int]) -> int:
        return 0

    async def trim(self, *, before_ms: int, keep: int) -> int:
        return 0


class Context:
    """A call of somebody with this token, from a proxy."""

    def __init__(self, token: str) -> None:
        self._token = token

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        shown = (("authorization", f"Bearer {self._token}"),) if self._token else ()
        return (*shown, ("x-forwarded-for", "203.0.113.9"))

    def peer(self) -> str:
        return "ipv4:10.0.0.1:4711"

    def auth_context(self) -> dict[str, Any]:
        return {}
