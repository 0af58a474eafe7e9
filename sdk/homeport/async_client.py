"""AsyncClient: the provisioning service, for programs on asyncio.

One client serves all tasks of an event loop. Cancelling a task cancels its call.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from homeport.async_calls import AsyncCalls
from homeport.async_stream import run_stream
from homeport.async_watch import AsyncAssignmentWatch, AsyncFollower
from homeport.batches import MAX_BATCH, provision_many
from homeport.channels import Tls
from homeport.client_keys import ClientKeys
from homeport.credentials import ClientCredentials, Enrolment
from homeport.endpoints import parse_servers
from homeport.local_stack import access_of
from homeport.retrying import RetryPolicy
from homeport.values import (
    Assignment,
    AssignmentChange,
    ClientAt,
    Explanation,
    LatencyReport,
    ProvisionResult,
)  # fmt: skip
from homeport.watching import watch
from homeport.wiring import DEFAULT_TENANT, DEFAULT_TIMEOUT_S, build_core


class AsyncClient:
    """Asks the provisioning service where clients belong. Every method has a deadline and
    raises a HomeportError when it cannot do what it says.

    servers: `host:port`, or several, tried in their order; the one that answers is kept.
    token: shown to the server as a bearer token. timeout_s: for each call, retries included.
    tls: True, a Tls with certificates of your own, or False; left out: False, but for a stack that
    `homeport up` runs here for this user, whose CA and token are then used. cache_dir: where to
    keep assignments for the time when no server can be reached; None: nowhere (see
    user_cache_dir).
    key_dir: where to keep the keys by which clients prove themselves; None: with the
    assignments, and where those are nowhere, until this object goes. enrolment: what new
    clients show, a token or a function that makes one of a client's id; instead of `token`.
    """

    def __init__(
        self,
        servers: str | Iterable[str],
        *,
        tenant: str = DEFAULT_TENANT,
        token: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: bool | Tls | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        key_dir: str | os.PathLike[str] | None = None,
        enrolment: Enrolment | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Connects at the first call. Raises ValueError for settings that cannot work."""
        named = parse_servers(servers)
        self._core, cache = build_core(
            named, tenant=tenant, timeout_s=timeout_s, cache_dir=cache_dir, retry=retry
        )
        secured, found = access_of(named, tls, token)
        keys = ClientKeys(key_dir if key_dir is not None else cache_dir)
        shown = ClientCredentials(
            tenant=self._core.tenant,
            keys=keys,
            token=found if enrolment is None else token,
            enrolment=enrolment,
        )
        self._calls = AsyncCalls(tls=secured, shown=shown, cache=cache)

    async def provision(
        self,
        client_id: str,
        *,
        address: str | None = None,
        position: tuple[float, float] | None = None,
        with_ticket: bool = True,
        with_network: bool = False,
        prefer_cache: bool = False,
        timeout_s: float | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Assignment:
        """The client's home: the one it has, or a new one. Idempotent.

        Without address or position (latitude, longitude in degrees) the client is where the
        call comes from. When no server can answer, the last known assignment is returned
        with `stale` set, if the cache has one. prefer_cache: while the cached ticket is good
        for another minute, no server is asked. with_network: `network` of a new home says for
        which network it would have been decided alike. attributes: what a gateway knows of the
        client, for the tenant's policy; kept with its home until told otherwise, and an empty value
        takes one away.

        Raises InvalidRequest, NotFound (the tenant), PermissionDenied, Refused, NoRoom,
        Unavailable, DeadlineExceeded.
        """
        return await self._calls.run(
            self._core.provision(
                client_id,
                address=address,
                position=position,
                with_ticket=with_ticket,
                with_network=with_network,
                prefer_cache=prefer_cache,
                timeout_s=timeout_s,
                attributes=attributes,
            )
        )

    def provision_many(
        self,
        clients: Iterable[ClientAt | str] | AsyncIterable[ClientAt | str],
        *,
        with_tickets: bool = True,
        batch_size: int = MAX_BATCH,
        window: int = 4,
        timeout_s: float | None = None,
    ) -> AsyncIterator[ProvisionResult]:
        """Provisions any number of clients over one stream; one result for each, in order.

        A client's own trouble (no room, a bad address) is its result's `error` and leaves
        the others alone. `window` batches of `batch_size` are under way at once; when the
        stream breaks, those without an answer are sent again. timeout_s: the longest wait
        for the next batch's answer, retries included (default 60 s). The cache stays out of
        it.

        Raises, between results, what concerns everybody: NotFound (the tenant),
        PermissionDenied, Unavailable, DeadlineExceeded. To stop early, leave the loop inside
        `contextlib.aclosing`, so that the stream ends at once.
        """
        steps = provision_many(
            self._core,
            with_tickets=with_tickets,
            batch_size=batch_size,
            window=window,
            timeout_s=timeout_s,
        )
        return run_stream(self._calls, steps, clients)

    async def get(self, client_id: str, *, timeout_s: float | None = None) -> Assignment:
        """The assignment that the client has, with a fresh ticket; makes none. Raises
        NotFound when it has none, and otherwise like `provision`."""
        return await self._calls.run(self._core.get(client_id, timeout_s))

    async def cached(self, client_id: str) -> Assignment | None:
        """The assignment in the cache, without asking anybody; `stale` when its ticket is no
        longer good."""
        return await self._calls.run(self._core.cached(client_id))

    async def release(self, client_id: str, *, timeout_s: float | None = None) -> bool:
        """Gives the client's place back, and forgets it in the cache. False: it had none.
        Idempotent."""
        return await self._calls.run(self._core.release(client_id, timeout_s))

    async def explain(
        self,
        client_id: str,
        *,
        address: str | None = None,
        position: tuple[float, float] | None = None,
        timeout_s: float | None = None,
        attributes: Mapping[str, str] | None = None,
        waited_s: float | None = None,
    ) -> Explanation:
        """Where the client would go and why, unit by unit. Changes nothing. attributes: as if they
        were told of it now. waited_s: as if it had waited so long for room within a cap in
        latency; None: as this client object knows."""
        return await self._calls.run(
            self._core.explain(
                client_id,
                address=address,
                position=position,
                timeout_s=timeout_s,
                attributes=attributes,
                waited_s=waited_s,
            )
        )

    async def report_latencies(
        self,
        client_id: str,
        *,
        connect_timeout_s: float = 2.0,
        timeout_s: float | None = None,
    ) -> LatencyReport:
        """Measures how long a TCP connect to the units nearest to this client takes, at most eight
        at once, and reports it, for policies that rank by latency. Once in a few minutes is
        enough; raises NoRoom when it was done a moment ago, and PermissionDenied where the client
        has no home."""
        return await self._calls.run(
            self._core.report_latencies(
                client_id, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s
            )
        )

    def watch(
        self, client: Assignment | str, *, give_up_s: float | None = None
    ) -> AsyncAssignmentWatch:
        """Changes of the client's assignment, until the watch is closed. It survives its
        servers: after a broken stream it asks the next one, and misses nothing.

        With an Assignment only what differs from it is a change; with an id, the assignment
        comes first. The cache is kept up to date. give_up_s: raise Unavailable when no server
        could be watched for so long; None: never.

        Raises, while it is iterated, NotFound (a client, given by its id, without a home),
        PermissionDenied, Unavailable.
        """
        return AsyncAssignmentWatch(self._calls, watch(self._core, client, give_up_s=give_up_s))

    def follow(
        self,
        client: Assignment | str,
        on_change: Callable[[AssignmentChange], Any],
        *,
        give_up_s: float | None = None,
    ) -> AsyncFollower:
        """Calls `on_change` for each change that `watch` would give, in the background, until
        the follower is closed. What a callback raises is logged. It
        may be a coroutine function; the next change waits for it. Call inside a running loop.
        """
        home = client if isinstance(client, Assignment) else None
        return AsyncFollower(self.watch(client, give_up_s=give_up_s), home, on_change)

    async def close(self) -> None:
        """Ends calls under way, which raise RuntimeError, and connections. Idempotent."""
        await self._calls.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
