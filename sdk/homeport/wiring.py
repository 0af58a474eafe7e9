"""Builds the core and the cache of a client, with real clocks and random jitter."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from typing import NamedTuple

from homeport.cache import AssignmentCache
from homeport.core import Core
from homeport.endpoints import Endpoints
from homeport.retrying import RetryPolicy

DEFAULT_TENANT = "default"
DEFAULT_TIMEOUT_S = 10.0


class CoreAndCache(NamedTuple):
    """The core of a client, and the cache that its steps read and write."""

    core: Core
    cache: AssignmentCache | None


def build_core(
    servers: str | Iterable[str],
    *,
    tenant: str,
    timeout_s: float,
    cache_dir: str | os.PathLike[str] | None,
    retry: RetryPolicy | None,
) -> CoreAndCache:
    """Raises ValueError for settings that cannot work."""
    endpoints = Endpoints(servers)
    cache = AssignmentCache(cache_dir, endpoints.servers) if cache_dir is not None else None
    core = Core(
        endpoints,
        retry or RetryPolicy(),
        tenant=tenant or DEFAULT_TENANT,
        timeout_s=timeout_s,
        uses_cache=cache is not None,
        clock=time.monotonic,
        wall=time.time,
        jitter=random.random,
    )
    return CoreAndCache(core, cache)
