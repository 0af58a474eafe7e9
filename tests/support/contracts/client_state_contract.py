"""What every ClientState has to do. Subclasses bring a `state` fixture, and `state_of` where not
any bytes are state."""

from __future__ import annotations

import os

import pytest

from deployment_units.services.state.port import (
    ClientState,
    NewerStateKept,
    read_state,
    replace_state,
)

ODD_CLIENTS = ["a", "A", "..", ".incoming", "é" * 64, "x" * 128, "with space", "a\\b:c*?"]


class ClientStateContract:
    def state_of(self, data: bytes) -> bytes:
        """State that says `data`; of no data, none."""
        return data

    async def read(self, state: ClientState, client: str = "alice", tenant: str = "t") -> bytes:
        return await read_state(state, tenant, client)

    async def replace(self, state: ClientState, epoch: int, data: bytes) -> None:
        await replace_state(state, "t", "alice", epoch, self.state_of(data))

    async def test_a_client_nobody_heard_of_has_no_state(self, state: ClientState) -> None:
        assert await self.read(state) == b""

    async def test_what_was_kept_is_exported_byte_for_byte(self, state: ClientState) -> None:
        data = self.state_of(os.urandom(700_001))
        taking = await state.begin("t", "alice", 1)
        for start in range(0, len(data), 100_000):
            await taking.append(data[start : start + 100_000])
        await taking.commit()
        taking.abort()
        assert await self.read(state) == data

    async def test_empty_state_is_state(self, state: ClientState) -> None:
        await self.replace(state, 1, b"before")
        await self.replace(state, 2, b"")
        assert await self.read(state) == b""
        with pytest.raises(NewerStateKept):
            await state.begin("t", "alice", 1)

    async def test_nothing_is_seen_of_an_import_before_its_commit(self, state: ClientState) -> None:
        await self.replace(state, 1, b"old")
        taking = await state.begin("t", "alice", 2)
        await taking.append(self.state_of(b"new"))
        assert await self.read(state) == self.state_of(b"old")
        taking.abort()
        taking.abort()
        assert await self.read(state) == self.state_of(b"old")

    async def test_a_repeat_of_an_epoch_replaces_and_an_older_one_is_refused(
        self, state: ClientState
    ) -> None:
        await self.replace(state, 5, b"one")
        await self.replace(state, 5, b"two")
        assert await self.read(state) == self.state_of(b"two")
        with pytest.raises(NewerStateKept):
            await self.replace(state, 4, b"late")
        assert await self.read(state) == self.state_of(b"two")

    async def test_an_import_overtaken_by_a_later_epoch_is_refused_at_its_commit(
        self, state: ClientState
    ) -> None:
        slow = await state.begin("t", "alice", 1)
        await slow.append(self.state_of(b"slow"))
        await self.replace(state, 2, b"fast")
        with pytest.raises(NewerStateKept):
            await slow.commit()
        slow.abort()
        assert await self.read(state) == self.state_of(b"fast")

    async def test_an_export_shows_one_moment(self, state: ClientState) -> None:
        old, new = b"o" * 600_000, b"n" * 600_000
        await self.replace(state, 1, old)
        parts = state.export("t", "alice")
        seen = await anext(parts)
        await self.replace(state, 2, new)
        async for part in parts:
            seen += part
        assert seen == self.state_of(old)

    async def test_forgetting_spares_what_came_later(self, state: ClientState) -> None:
        await self.replace(state, 3, b"back again")
        await state.forget("t", "alice", 2)
        assert await self.read(state) == self.state_of(b"back again")
        await state.forget("t", "alice", 3)
        await state.forget("t", "alice", 3)
        assert await self.read(state) == b""
        await self.replace(state, 1, b"anew")
        assert await self.read(state) == self.state_of(b"anew")

    async def test_clients_and_tenants_are_told_apart_whatever_they_are_called(
        self, state: ClientState
    ) -> None:
        for tenant in ("t", "t.t", "u"):
            for client in ODD_CLIENTS:
                data = self.state_of(f"{tenant} {client}".encode())
                await replace_state(state, tenant, client, 1, data)
        for tenant in ("t", "t.t", "u"):
            for client in ODD_CLIENTS:
                data = self.state_of(f"{tenant} {client}".encode())
                assert await self.read(state, client, tenant) == data
