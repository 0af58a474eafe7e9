"""Adapters: both clients behind one asynchronous interface, so that one suite tests both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

import homeport
from homeport import (
    Admission,
    Assignment,
    AssignmentChange,
    ClientAt,
    Explanation,
    ProvisionResult,
    RetryPolicy,
)

# Rounds enough for a loaded machine, with waits too short to notice.
QUICK = RetryPolicy(max_rounds=5, initial_backoff_s=0.01, max_backoff_s=0.05)


class ClientAdapter(Protocol):
    """What the suite asks of a client; the arguments are the client's own."""

    name: str

    async def provision(self, client_id: str, **how: Any) -> Assignment: ...
    async def provision_many(
        self, clients: Iterable[ClientAt | str], *, take: int | None = None, **how: Any
    ) -> list[ProvisionResult]:
        """All results; with `take`, leaves the loop after so many."""
        ...

    async def get(self, client_id: str, **how: Any) -> Assignment: ...
    async def cached(self, client_id: str) -> Assignment | None: ...
    async def release(self, client_id: str, **how: Any) -> bool: ...
    async def explain(self, client_id: str, **how: Any) -> Explanation: ...
    async def admit(self, endpoint: str, ticket: str, **how: Any) -> Admission: ...
    def watch(self, client: Assignment | str, **how: Any) -> WatchAdapter: ...
    async def close(self) -> None: ...


class WatchAdapter(Protocol):
    """A watch, change by change."""

    async def next(self) -> AssignmentChange: ...
    async def close(self) -> None: ...


class _AsyncWatchAdapter:
    def __init__(self, watch: homeport.AsyncAssignmentWatch) -> None:
        self._watch = watch
        self.close = watch.aclose

    async def next(self) -> AssignmentChange:
        return await anext(self._watch)


class _BlockingWatchAdapter:
    def __init__(self, watch: homeport.AssignmentWatch) -> None:
        self._watch = watch

    async def next(self) -> AssignmentChange:
        change = await asyncio.to_thread(next, self._watch, None)
        if change is None:
            raise StopAsyncIteration
        return change

    async def close(self) -> None:
        await asyncio.to_thread(self._watch.close)


class AsyncClientAdapter:
    """homeport.AsyncClient, as it is."""

    name = "async"

    def __init__(self, servers: str | list[str], **how: Any) -> None:
        self.client = homeport.AsyncClient(servers, **how)
        self.provision = self.client.provision
        self.get = self.client.get
        self.cached = self.client.cached
        self.release = self.client.release
        self.explain = self.client.explain
        self.close = self.client.close

    def watch(self, client: Assignment | str, **how: Any) -> WatchAdapter:
        return _AsyncWatchAdapter(self.client.watch(client, **how))

    async def provision_many(
        self, clients: Iterable[ClientAt | str], *, take: int | None = None, **how: Any
    ) -> list[ProvisionResult]:
        results: list[ProvisionResult] = []
        source = self.client.provision_many(clients, **how)
        try:
            async for result in source:
                results.append(result)
                if len(results) == take:
                    break
        except homeport.HomeportError as error:
            error.add_note(f"after {len(results)} results")
            raise
        finally:
            await source.aclose()  # type: ignore[attr-defined]
        return results

    async def admit(self, endpoint: str, ticket: str, **how: Any) -> Admission:
        async with homeport.AsyncUnit(endpoint, **how) as unit:
            return await unit.admit(ticket)


class BlockingClientAdapter:
    """homeport.Client, each call in a thread of the loop's pool."""

    name = "blocking"

    def __init__(self, servers: str | list[str], **how: Any) -> None:
        self.client = homeport.Client(servers, **how)

    def watch(self, client: Assignment | str, **how: Any) -> WatchAdapter:
        return _BlockingWatchAdapter(self.client.watch(client, **how))

    async def provision(self, client_id: str, **how: Any) -> Assignment:
        return await asyncio.to_thread(self.client.provision, client_id, **how)

    async def provision_many(
        self, clients: Iterable[ClientAt | str], *, take: int | None = None, **how: Any
    ) -> list[ProvisionResult]:
        def collect() -> list[ProvisionResult]:
            results: list[ProvisionResult] = []
            source = self.client.provision_many(clients, **how)
            try:
                for result in source:
                    results.append(result)
                    if len(results) == take:
                        break
            except homeport.HomeportError as error:
                error.add_note(f"after {len(results)} results")
                raise
            finally:
                source.close()  # type: ignore[attr-defined]
            return results

        return await asyncio.to_thread(collect)

    async def get(self, client_id: str, **how: Any) -> Assignment:
        return await asyncio.to_thread(self.client.get, client_id, **how)

    async def cached(self, client_id: str) -> Assignment | None:
        return await asyncio.to_thread(self.client.cached, client_id)

    async def release(self, client_id: str, **how: Any) -> bool:
        return await asyncio.to_thread(self.client.release, client_id, **how)

    async def explain(self, client_id: str, **how: Any) -> Explanation:
        return await asyncio.to_thread(self.client.explain, client_id, **how)

    async def admit(self, endpoint: str, ticket: str, **how: Any) -> Admission:
        return await asyncio.to_thread(homeport.admit, endpoint, ticket, **how)

    async def close(self) -> None:
        await asyncio.to_thread(self.client.close)
