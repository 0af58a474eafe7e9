"""ClientState: the port through which an agent reads and replaces what the service in its unit
keeps of a client.

Homeport never looks into the bytes. What is kept of a client carries the epoch of the
assignment it was brought for, so that orders that arrive late cannot undo newer ones.
Adapters: `memory`, `folder` and `accounts`, under one contract suite. A service with a
store of its own brings its own adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from control_plane.errors import Refused


class NewerStateKept(Refused):
    """The unit keeps state of a later assignment of the client."""

    reason = "NEWER_STATE_KEPT"

    def __init__(self, epoch: int, kept: int) -> None:
        super().__init__(
            f"the unit keeps the client's state of epoch {kept}; that of epoch {epoch} is older"
        )


class Import(Protocol):
    """State on its way in. Nothing can be seen of it before `commit` has returned; whoever
    began it ends it with `commit` or `abort`."""

    async def append(self, data: bytes) -> None:
        """The next bytes. Raises Unavailable when they cannot be kept; DataLoss or Refused where
        they are no state of what this unit keeps."""
        ...

    async def commit(self) -> None:
        """Keeps all of it, durably, instead of what was kept before. Raises NewerStateKept;
        Unavailable, and then nothing has changed."""
        ...

    def abort(self) -> None:
        """Drops what was appended; nothing after a commit. Never waits, so that it can end
        whatever was cancelled."""
        ...


class ClientState(Protocol):
    """What a service keeps of its clients. The names have been checked."""

    def export(self, tenant: str, client_id: str) -> AsyncIterator[bytes]:
        """The state as it was when the first bytes were asked for, in parts of any size; no
        part at all for a client without state. Raises Unavailable."""
        ...

    async def begin(self, tenant: str, client_id: str, epoch: int) -> Import:
        """Begins to import state for the assignment of `epoch`. A repeat of the same epoch
        replaces it. Raises NewerStateKept, Unavailable."""
        ...

    async def forget(self, tenant: str, client_id: str, epoch: int) -> None:
        """Drops what is kept of the client, of `epoch` or before; newer state stays.
        Idempotent. Raises Unavailable."""
        ...


async def replace_state(
    state: ClientState, tenant: str, client_id: str, epoch: int, data: bytes
) -> None:
    """Replaces a client's state in one go. Raises NewerStateKept, Unavailable."""
    incoming = await state.begin(tenant, client_id, epoch)
    try:
        await incoming.append(data)
        await incoming.commit()
    finally:
        incoming.abort()


async def read_state(state: ClientState, tenant: str, client_id: str) -> bytes:
    """A client's whole state; empty where there is none. Raises Unavailable."""
    return b"".join([part async for part in state.export(tenant, client_id)])
