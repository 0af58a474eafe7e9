"""MemoryState: client state in memory. Gone with the process; for tests, and for units whose
service keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deployment_units.services.state.port import Import, NewerStateKept


class MemoryState:
    """A ClientState. Use from one event loop."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[int, bytes]] = {}  # client -> (epoch, state)

    async def export(self, tenant: str, client_id: str) -> AsyncIterator[bytes]:
        found = self._kept.get((tenant, client_id))
        if found is not None and found[1]:
            yield found[1]

    async def begin(self, tenant: str, client_id: str, epoch: int) -> Import:
        self.check(tenant, client_id, epoch)
        return _MemoryImport(self, tenant, client_id, epoch)

    async def forget(self, tenant: str, client_id: str, epoch: int) -> None:
        found = self._kept.get((tenant, client_id))
        if found is not None and found[0] <= epoch:
            del self._kept[tenant, client_id]

    def check(self, tenant: str, client_id: str, epoch: int) -> None:
        """Raises NewerStateKept."""
        kept, _ = self._kept.get((tenant, client_id), (0, b""))
        if kept > epoch:
            raise NewerStateKept(epoch, kept)

    def replace(self, tenant: str, client_id: str, epoch: int, data: bytes) -> None:
        """Raises NewerStateKept."""
        self.check(tenant, client_id, epoch)
        self._kept[tenant, client_id] = (epoch, data)


class _MemoryImport:
    def __init__(self, state: MemoryState, tenant: str, client_id: str, epoch: int) -> None:
        self._state = state
        self._for = (tenant, client_id, epoch)
        self._parts: list[bytes] = []

    async def append(self, data: bytes) -> None:
        self._parts.append(data)

    async def commit(self) -> None:
        self._state.replace(*self._for, b"".join(self._parts))

    def abort(self) -> None:
        self._parts.clear()
