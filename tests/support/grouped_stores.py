"""A GroupedStore with its tasks, as a server has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from control_plane import keys
from control_plane.store.grouped_store import GroupedStore


@asynccontextmanager
async def running_groups(inner: Any, *, readers: int = 2) -> AsyncIterator[GroupedStore]:
    """Over `inner`, by a clock that stands."""
    store = GroupedStore(
        inner, turn_of=keys.directory_tenant, alone=lambda: False, clock=lambda: 0.0
    )
    works = [store.run_writes, *(store.run_reads for _ in range(readers))]
    tasks = [asyncio.get_running_loop().create_task(work()) for work in works]
    try:
        yield store
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
