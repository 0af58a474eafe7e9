"""A name server for tests: a table of answers over UDP on this machine, with dnspython's messages.

Authoritative for everything in its table; what it is told to break, it breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class NameServer:
    """records: by name and kind, each in the words of a zone file; `*.` at the front is a wildcard.
    rcodes: names that are answered so; silent: names that are not answered; recurses: whether it
    says that what it tells is another's. asked: what was, in order."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    rcodes: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    recurses: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """What is sent back; None: nothing."""
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        if name in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA if self.recurses else dns.flags.AA
        if name in self.rcodes:
            response.set_rcode(dns.rcode.from_text(self.rcodes[name]))
            return response
        at, seen = name, 0
        while (target := self._of(at, "CNAME")) and seen < 8:
            response.answer.append(dns.rrset.from_text(f"{at}.", 60, "IN", "CNAME", *target))
            at, seen = target[0].rstrip("."), seen + 1
        if found := self._of(at, dns.rdatatype.to_text(kind)):
            response.answer.append(dns.rrset.from_text_list(f"{at}.", 60, "IN", kind, found))
        elif not any(one == at or one.endswith(f".{at}") for one, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _of(self, name: str, kind: str) -> list[str]:
        wildcard = "*." + name.partition(".")[2]
        return self.records.get((name, kind)) or self.records.get((wildcard, kind)) or []


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = self._server.answer(dns.message.from_wire(data))
        if response is not None:
            self._transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def serving(server: NameServer, *, port: int = 0) -> AsyncIterator[NameServer]:
    """On 127.0.0.1, at a port of its own."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Protocol(server), local_addr=("127.0.0.1", port)
    )
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
