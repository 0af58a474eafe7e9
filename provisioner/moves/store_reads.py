"""Reads that wait: what the store answers, however long it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from control_plane.errors import Unavailable

log = logging.getLogger(__name__)

RETRY_S = 0.5
T = TypeVar("T")


async def read_when_available(read: Callable[[], Awaitable[T]]) -> T:
    """What `read` returns, once it does not raise Unavailable."""
    while True:
        try:
            return await read()
        except Unavailable as error:
            log.info("a job that moves clients waits: %s", error)
        await asyncio.sleep(RETRY_S)
