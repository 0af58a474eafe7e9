"""What a server does before its session begins, whose lease nobody renews until all is built."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Page
from provisioner.settings import Settings
from provisioner.wiring import server, startup

WITHIN_S = 60.0
LISTED = (keys.UNITS, keys.LIVE, keys.TENANTS, keys.CAPACITY, keys.SESSIONS, keys.STARVING)


class RecordingStore(EmbeddedStore):
    """Notes what is listed, and what becomes of leases."""

    steps: list[object]

    async def range(self, prefix: bytes, **more: Any) -> Page:
        self.steps.append(prefix)
        return await super().range(prefix, **more)

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        self.steps.append("session")
        return await super().lease_grant(ttl_s, timeout_s=timeout_s)

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        left = await super().lease_keep_alive(lease, timeout_s=timeout_s)
        self.steps.append("renewed")
        return left


async def test_what_takes_long_is_over_when_the_session_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    real = server.read_geo

    async def open_store(*_: Any, **__: Any) -> RecordingStore:
        store = await RecordingStore.open(tmp_path / "store.db")
        store.steps = steps
        return store

    def read_geo(settings: Settings) -> Any:
        assert threading.current_thread() is not threading.main_thread(), "on the event loop"
        steps.append("geo")
        return real(settings)

    monkeypatch.setattr(startup, "open_store", open_store)
    monkeypatch.setattr(server, "read_geo", read_geo)
    settings = Settings(
        store=f"embedded:{tmp_path / 'store.db'}",
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(server.serve(settings, stop=stop, on_ready=lambda _: ready.set()))
        await ready.wait()
        while "renewed" not in steps:  # noqa: ASYNC110  # a list, which nothing announces
            await asyncio.sleep(0.01)
        stop.set()
    begun = steps[: steps.index("session")]
    assert {"geo", *LISTED} <= set(begun)
