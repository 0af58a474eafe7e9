"""Both adapters of ClientState under one contract, and what only files can do wrong."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from control_plane.data_folder import MARKER
from control_plane.errors import Unavailable
from deployment_units.services.state.folder import FolderState
from deployment_units.services.state.memory import MemoryState
from deployment_units.services.state.port import read_state, replace_state
from tests.support.contracts.client_state_contract import ClientStateContract


class TestMemoryState(ClientStateContract):
    @pytest.fixture
    def state(self) -> MemoryState:
        return MemoryState()


class TestFolderState(ClientStateContract):
    @pytest.fixture
    def state(self, tmp_path: Path) -> FolderState:
        return FolderState(tmp_path / "state")

    async def test_it_outlives_the_process(self, tmp_path: Path, state: FolderState) -> None:
        await replace_state(state, "t", "alice", 7, b"kept")
        again = FolderState(tmp_path / "state")
        assert await read_state(again, "t", "alice") == b"kept"
        await again.forget("t", "alice", 6)
        assert await read_state(again, "t", "alice") == b"kept"

    async def test_imports_that_a_crash_cut_short_are_swept_away(
        self, tmp_path: Path, state: FolderState
    ) -> None:
        await replace_state(state, "t", "alice", 1, b"kept")
        taking = await state.begin("t", "alice", 2)
        await taking.append(b"x" * 100_000)
        assert list((tmp_path / "state" / ".incoming").iterdir())
        again = FolderState(tmp_path / "state")
        assert not list((tmp_path / "state" / ".incoming").iterdir())
        assert await read_state(again, "t", "alice") == b"kept"
        taking.abort()

    async def test_an_aborted_import_leaves_no_file(
        self, tmp_path: Path, state: FolderState
    ) -> None:
        taking = await state.begin("t", "alice", 1)
        await taking.append(b"half")
        taking.abort()
        left = [path.name for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert left == [MARKER]

    async def test_a_full_disk_changes_nothing(
        self, state: FolderState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await replace_state(state, "t", "alice", 1, b"old")

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            await replace_state(state, "t", "alice", 2, b"new")
        assert await read_state(state, "t", "alice") == b"old"

    async def test_many_imports_of_one_client_leave_one_of_them_whole(
        self, state: FolderState
    ) -> None:
        states = [bytes([n]) * 300_000 for n in range(8)]
        await asyncio.gather(*(replace_state(state, "t", "alice", 1, data) for data in states))
        assert await read_state(state, "t", "alice") in states


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(Unavailable, match="cannot use client state"):
        FolderState(tmp_path / "state")
