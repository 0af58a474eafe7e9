"""DnsChallenges: ChallengeReader of DNS, on PyPI `dnspython`.

Each of the resolvers is asked for the record, and by the first that knows them the domain's own
name servers, which have what was published a moment ago. An answer that there is no such name or no
such record is one; a server that fails, refuses, is silent or says what is not signed as it should
be gives none. A CNAME at the record's name is followed by resolvers.

Who the name servers of a domain are, its owner says; so those at private, loopback and link-local
addresses are not asked, unless an operator says so: nobody has this server call at places that only
it can reach. The resolvers are an operator's.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from control_plane.errors import InvalidInput
from provisioner.organisations.challenges import (
    MOST_VALUES,
    NOT_SAID,
    ChallengeAnswer,
    challenge_name,
    combined,
)

READ_S = 12.0  # all of one domain
OWN_ALL_S = 9.0  # its own name servers, who they are among it
ASK_S = 4.0  # one resolver
OWN_S = 2.0  # one of the domain's own name servers
MOST_OWN = 4  # of them that are asked, until one answers
MOST_LABELS_UP = 10  # above the name at which its zone may begin
DNS_PORT = 53
# IPv4 inside IPv6: NAT64 (RFC 6052, 8215), 6to4, Teredo. No name server is reached by them alone.
_OTHER_FORMS = tuple(
    ipaddress.IPv6Network(one)
    for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)


class DnsChallenges:
    """servers: ADDRESS:PORT of resolvers; none: those of the machine, each by itself, two at most.
    own_port: of the domains' own name servers; internal: they may be at addresses of this network.
    read_s, own_all_s: as READ_S, OWN_ALL_S. Raises
    InvalidInput for a server that is none."""

    def __init__(
        self,
        servers: Sequence[str] = (),
        *,
        own_port: int = DNS_PORT,
        internal: bool = False,
        read_s: float = READ_S,
        own_all_s: float = OWN_ALL_S,
    ) -> None:
        self._resolvers = [_resolver(one) for one in servers] or _of_the_machine()
        self._own_port = own_port
        self._internal = internal
        self._read_s = read_s
        self._own_all_s = own_all_s

    async def read(self, domain: str) -> ChallengeAnswer:
        """See ChallengeReader."""
        try:
            name = dns.name.from_text(challenge_name(domain))
        except dns.exception.DNSException:
            return ChallengeAnswer(conclusive=True)  # too long for a record to be there
        try:
            async with asyncio.timeout(self._read_s):
                asked = asyncio.gather(*(_asked(one, name) for one in self._resolvers))
                said, own = await asyncio.gather(asked, self._own_in_time(name))
        except TimeoutError:
            return NOT_SAID
        return combined(said, own)

    async def _own_in_time(self, name: dns.name.Name) -> ChallengeAnswer | None:
        """However slow they are, what resolvers have said counts."""
        try:
            async with asyncio.timeout(self._own_all_s):
                return await self._own(name)
        except TimeoutError:
            return NOT_SAID

    async def _own(self, name: dns.name.Name) -> ChallengeAnswer | None:
        """What one of the domain's own name servers says; None: none of them may be asked."""
        for resolver in self._resolvers:
            found = await _own_servers(resolver, name)
            addresses = [one for one in found if self._internal or is_public(one)]
            if found and not addresses:
                return None
            for address in addresses[:MOST_OWN]:
                answer = await self._from_own(address, name)
                if answer is not NOT_SAID:
                    return answer
            if addresses:
                break
        return NOT_SAID

    async def _from_own(self, address: str, name: dns.name.Name) -> ChallengeAnswer:
        query = dns.message.make_query(name, dns.rdatatype.TXT)
        query.flags &= ~dns.flags.RD
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, address, timeout=OWN_S, port=self._own_port
            )
        except (dns.exception.DNSException, OSError):
            return NOT_SAID
        if not response.flags & dns.flags.AA:
            return NOT_SAID  # it is not the one to ask
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return NOT_SAID
        values = _values(response.answer)
        if not values and any(one.rdtype == dns.rdatatype.CNAME for one in response.answer):
            return NOT_SAID  # where it leads, resolvers know
        return ChallengeAnswer(values=values, conclusive=True)


def is_public(address: str) -> bool:
    """Whether an address is one that anybody may be at; not of this machine, of a network behind
    it, or another form of such a one.

    >>> is_public("9.9.9.9"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in one for one in _OTHER_FORMS):
            return False
        found = found.ipv4_mapped or found
    return found.is_global and not found.is_multicast


async def _asked(resolver: dns.asyncresolver.Resolver, name: dns.name.Name) -> ChallengeAnswer:
    try:
        answer = await resolver.resolve(name, dns.rdatatype.TXT, lifetime=ASK_S, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ChallengeAnswer(conclusive=True)
    except (dns.exception.DNSException, OSError):
        return NOT_SAID
    return ChallengeAnswer(values=_values(answer.response.answer), conclusive=True)


async def _own_servers(resolver: dns.asyncresolver.Resolver, name: dns.name.Name) -> list[str]:
    """Addresses of the name servers of the zone that a name is in; none: they are not known."""
    zone = name.parent()
    for _ in range(MOST_LABELS_UP):
        if zone == dns.name.root:
            return []
        try:
            found = await resolver.resolve(
                zone, dns.rdatatype.NS, lifetime=ASK_S, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            found = None
        except (dns.exception.DNSException, OSError):
            return []
        if found is not None and found.rrset is not None:
            hosts = [one.target for one in list(found.rrset)[:MOST_OWN]]
            return [one for host in hosts for one in await _addresses(resolver, host)]
        zone = zone.parent()
    return []


async def _addresses(resolver: dns.asyncresolver.Resolver, host: dns.name.Name) -> list[str]:
    found: list[str] = []
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            answer = await resolver.resolve(
                host, kind, lifetime=ASK_S, search=False, raise_on_no_answer=False
            )
        except (dns.exception.DNSException, OSError):
            continue
        found += [one.address for one in answer.rrset or ()]
    return found


def _values(answer: Sequence[Any]) -> frozenset[str]:
    """The texts of an answer, each of its strings put together (RFC 7208, 3.3 reads them so)."""
    texts = [
        b"".join(one.strings).decode("ascii", "replace")
        for rrset in answer
        if rrset.rdtype == dns.rdatatype.TXT
        for one in rrset
    ]
    return frozenset(texts[:MOST_VALUES])


def _of_the_machine() -> list[dns.asyncresolver.Resolver]:
    try:
        servers = dns.resolver.Resolver().nameservers[:2]
    except dns.resolver.NoResolverConfiguration:
        return []
    made = []
    for server in servers:
        one = dns.asyncresolver.Resolver(configure=False)
        one.nameservers = [server]
        made.append(one)
    return made


def _resolver(server: str) -> dns.asyncresolver.Resolver:
    host, _, port = server.rpartition(":")
    resolver = dns.asyncresolver.Resolver(configure=False)
    try:
        resolver.nameservers = [host.strip("[]")]
        resolver.port = int(port)
    except ValueError as error:
        raise InvalidInput(
            "directory_dns", f"directory_dns: {server} is not ADDRESS:PORT"
        ) from error
    return resolver
