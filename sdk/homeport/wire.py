"""Builds what stands behind a client: the one place where the core meets real clocks."""

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


class Wired(NamedTuple):
    """A core, and the cache that its shell is to read and write."""

    core: Core
    cache: AssignmentCache | None


def wire(
    servers: str | Iterable[str],
    *,
    tenant: str,
    timeout_s: float,
    cache_dir: str | os.PathLike[str] | None,
    retry: RetryPolicy | None,
) -> Wired:
    """Raises ValueError for settings that cannot work."""
    endpoints = Endpoints(servers)
    cache = AssignmentCache(cache_dir, endpoints.servers) if cache_dir is not None else None
    core = Core(
        endpoints,
        retry or RetryPolicy(),
        tenant=tenant or DEFAULT_TENANT,
        timeout_s=timeout_s,
        caches=cache is not None,
        clock=time.monotonic,
        wall=time.time,
        random=random.random,
    )
    return Wired(core, cache)
