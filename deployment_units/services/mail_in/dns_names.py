"""DnsNames: DomainNames of DNS, on PyPI `dnspython`, with its resolver of asyncio."""

from __future__ import annotations

from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from control_plane.errors import InvalidInput
from deployment_units.services.mail_in.names import (
    MOST_ANSWERS,
    MOST_TEXT_BYTES,
    NamesUnavailable,
)

ASK_S = 5.0


class DnsNames:
    """server: host:port of a resolver; empty: those of the machine. Raises InvalidInput for one
    that is none."""

    def __init__(self, server: str = "") -> None:
        if not server:
            self._resolver = dns.asyncresolver.Resolver()
        else:
            host, _, port = server.rpartition(":")
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            try:
                self._resolver.nameservers = [host.strip("[]")]
                self._resolver.port = int(port)
            except ValueError as error:
                raise InvalidInput("mail_dns", f"mail_dns: {server} is not ADDRESS:PORT") from error
        self._resolver.cache = dns.resolver.LRUCache(10_000)

    async def ask(self, name: str, kind: str) -> tuple[str | bytes | tuple[int, str], ...]:
        """See DomainNames."""
        try:
            answer = await self._resolver.resolve(name, kind, lifetime=ASK_S, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.LabelTooLong,
                dns.name.EmptyLabel, dns.name.NameTooLong):  # fmt: skip
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise NamesUnavailable(f"DNS does not say what {name} is: {error}") from error
        found = [_value(one, kind) for one in list(answer)[:MOST_ANSWERS]]
        return tuple(one for one in found if one is not None)


def _value(record: Any, kind: str) -> str | bytes | tuple[int, str] | None:
    match kind:
        case "A" | "AAAA":
            return str(record.address)
        case "MX":
            return int(record.preference), record.exchange.to_text(omit_final_dot=True)
        case "PTR":
            return str(record.target.to_text(omit_final_dot=True))
        case _:
            text = b"".join(record.strings)
            return text if len(text) <= MOST_TEXT_BYTES else None
