"""SPF (RFC 7208): whether a domain lets a host send its mail; by PyPI `pyspf`, with names of ours.

The library asks as it goes, in calls that block, so it runs in a thread of its own pool and asks
the event loop. What it may ask is bounded by the RFC (10 mechanisms that ask, 2 that find nothing)
and the time that it has.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address
from typing import Any

import spf

from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw
from deployment_units.services.mail_in.authentication_results import MethodResult
from deployment_units.services.mail_in.incoming import MailSession
from deployment_units.services.mail_in.names import DomainNames, NamesUnavailable

CHECK_S = 15.0
MOST_AT_ONCE = 16
_RESULTS = frozenset({"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"})


class SendingHosts:
    """Of one unit; use from its event loop. check_s: for one mail."""

    def __init__(self, names: DomainNames, *, check_s: float = CHECK_S) -> None:
        self._names = names
        self._check_s = check_s
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="sending hosts")

    async def check(self, session: MailSession) -> tuple[MethodResult, ...]:
        """Of the address of MAIL FROM; nothing where there is none."""
        read = read_email(session.sender)
        if isinstance(read, Flaw):
            return ()
        local, _, domain = read.normal.rpartition("@")
        loop = asyncio.get_running_loop()
        query = _Query(self._names, loop, self._check_s, _plain_peer(session.peer), local, domain)
        asked = loop.run_in_executor(self._threads, query.result)
        try:
            async with asyncio.timeout(self._check_s):
                result = await asyncio.shield(asked)
        except TimeoutError:
            result = "temperror"
        return (MethodResult(method="spf", result=result, properties={"smtp.mailfrom": domain}),)

    def close(self) -> None:
        """Once nobody asks any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Query(spf.query):  # type: ignore[misc]  # the library has no types
    def __init__(
        self,
        names: DomainNames,
        loop: asyncio.AbstractEventLoop,
        check_s: float,
        peer: str,
        local: str,
        domain: str,
    ) -> None:
        self._names = names
        self._loop = loop
        self._end = loop.time() + check_s
        super().__init__(i=peer, s=f"{local}@{domain}", h=domain, querytime=0)

    def result(self) -> str:
        """In a thread. Blocks."""
        try:
            found, _, _ = self.check()
        except Exception:  # noqa: BLE001  # what it raises of records is not bounded by its words
            return "permerror"
        return found if found in _RESULTS else "permerror"

    def dns(
        self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False
    ) -> list[Any]:
        """In place of the library's: it would ask the machine's resolvers."""
        if qtype == "SPF":  # a type of record that RFC 7208 has given up
            return []
        left_s = self._end - self._loop.time()
        if left_s <= 0:
            raise spf.TempError("DNS took too long")
        asked = asyncio.run_coroutine_threadsafe(
            self._names.ask(str(name).rstrip(".").lower(), qtype), self._loop
        )
        try:
            found = list(asked.result(left_s))
        except (NamesUnavailable, TimeoutError) as error:
            asked.cancel()
            raise spf.TempError(f"DNS: {error}") from error
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("too many names that are not there")
        return [(one,) if isinstance(one, bytes) else one for one in found]


def _plain_peer(peer: str) -> str:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return "0.0.0.0"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
