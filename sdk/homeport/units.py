"""Unit and AsyncUnit: clients of a deployment unit, which checks tickets."""

from __future__ import annotations

from types import TracebackType

from homeport.async_calls import AsyncCalls
from homeport.channels import Tls
from homeport.credentials import ClientCredentials
from homeport.endpoints import parse_servers
from homeport.local_stack import access_of
from homeport.retrying import RetryPolicy
from homeport.sync_calls import SyncCalls
from homeport.values import Admission
from homeport.wiring import DEFAULT_TENANT, DEFAULT_TIMEOUT_S, build_core

_NOTHING = ClientCredentials(tenant=DEFAULT_TENANT)


class Unit:
    """The unit at an assignment's `endpoint`. Serves all threads of a process."""

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: bool | Tls | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Connects at the first call. Raises ValueError for settings that cannot work."""
        self._core, _ = build_core(
            endpoint, tenant=DEFAULT_TENANT, timeout_s=timeout_s, cache_dir=None, retry=retry
        )
        secured, _ = access_of(parse_servers(endpoint), tls, None)
        self._calls = SyncCalls(tls=secured, shown=_NOTHING, cache=None)

    def admit(self, ticket: str, *, timeout_s: float | None = None) -> Admission:
        """Shows the ticket. A refusal is an answer, with its reason. Raises
        InvalidRequest (no ticket), Unavailable, DeadlineExceeded."""
        return self._calls.run(self._core.admit(ticket, timeout_s))

    def close(self) -> None:
        """Ends calls under way and connections. Idempotent."""
        self._calls.close()

    def __enter__(self) -> Unit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncUnit:
    """The same on asyncio. Serves all tasks of an event loop."""

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: bool | Tls | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Connects at the first call. Raises ValueError for settings that cannot work."""
        self._core, _ = build_core(
            endpoint, tenant=DEFAULT_TENANT, timeout_s=timeout_s, cache_dir=None, retry=retry
        )
        secured, _ = access_of(parse_servers(endpoint), tls, None)
        self._calls = AsyncCalls(tls=secured, shown=_NOTHING, cache=None)

    async def admit(self, ticket: str, *, timeout_s: float | None = None) -> Admission:
        """See Unit.admit."""
        return await self._calls.run(self._core.admit(ticket, timeout_s))

    async def close(self) -> None:
        """Ends calls under way and connections. Idempotent."""
        await self._calls.close()

    async def __aenter__(self) -> AsyncUnit:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def admit(
    endpoint: str,
    ticket: str,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    tls: bool | Tls | None = None,
) -> Admission:
    """Shows one ticket to the unit at `endpoint`, over a connection made for it. Programs
    that ask more than once keep a Unit."""
    with Unit(endpoint, timeout_s=timeout_s, tls=tls) as unit:
        return unit.admit(ticket)
