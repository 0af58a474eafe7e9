"""replace_state and read_state: whole states in one call, over any adapter."""

from __future__ import annotations

import pytest

from control_plane.errors import Unavailable
from deployment_units.services.state.memory import MemoryState
from deployment_units.services.state.port import NewerStateKept, read_state, replace_state


class FailingState(MemoryState):
    """Breaks where the test says; counts imports that were ended."""

    def __init__(self, fails_at: str) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.aborted = 0

    async def begin(self, tenant, client_id, epoch):
        return FailingImport(self, await super().begin(tenant, client_id, epoch))


class FailingImport:
    def __init__(self, state: FailingState, incoming) -> None:
        self.state = state
        self.incoming = incoming

    async def append(self, data: bytes) -> None:
        if self.state.fails_at == "append":
            raise Unavailable("the disk is full")
        await self.incoming.append(data)

    async def commit(self) -> None:
        if self.state.fails_at == "commit":
            raise Unavailable("the disk is gone")
        await self.incoming.commit()

    def abort(self) -> None:
        self.state.aborted += 1
        self.incoming.abort()


async def test_a_state_is_read_as_it_was_written():
    state = MemoryState()
    await replace_state(state, "t", "alice", 1, b"first")
    await replace_state(state, "t", "alice", 2, b"second")
    assert await read_state(state, "t", "alice") == b"second"
    assert await read_state(state, "t", "bob") == b""
    assert await read_state(state, "u", "alice") == b""


async def test_the_parts_of_a_state_are_joined():
    class InParts(MemoryState):
        async def export(self, tenant, client_id):
            for part in (b"a", b"", b"bc"):
                yield part

    assert await read_state(InParts(), "t", "alice") == b"abc"


async def test_an_older_state_does_not_replace_a_newer_one():
    state = MemoryState()
    await replace_state(state, "t", "alice", 5, b"newer")
    with pytest.raises(NewerStateKept, match=r"epoch 5.*epoch 4 is older"):
        await replace_state(state, "t", "alice", 4, b"older")
    assert await read_state(state, "t", "alice") == b"newer"


@pytest.mark.parametrize("fails_at", ["append", "commit"])
async def test_a_write_that_fails_ends_its_import_and_changes_nothing(fails_at):
    state = FailingState("")
    await replace_state(state, "t", "alice", 1, b"before")
    state.fails_at, state.aborted = fails_at, 0
    with pytest.raises(Unavailable):
        await replace_state(state, "t", "alice", 2, b"after")
    assert state.aborted == 1
    assert await read_state(state, "t", "alice") == b"before"
