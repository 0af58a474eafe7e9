"""Trunks: who may bring calls, who takes them, and whose word on the caller is believed. Pure.

A trunk is an operator's gateway, listed by its addresses. What comes from anywhere else is not
read. Only a listed trunk says who calls, in P-Asserted-Identity (RFC 3325): From is what the
telephone writes there itself, and counts for nothing. Over UDP an address can be forged, so trunks
belong on a network where it cannot: SIP over TLS is not spoken here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from control_plane.errors import InvalidInput
from deployment_units.services.telephony.sip.fields import NameAddr
from deployment_units.services.telephony.sip.messages import Request

DEFAULT_PORT = 5060
MOST_TRUNKS = 64
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")
_ENTRY = re.compile(
    r"([^=]+)=(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?:/([A-Z]{2}))?\Z"
)
_NUMBER = re.compile(r"\+[1-9]\d{2,14}\Z")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """address: where it takes calls: host without brackets, port. region: ISO 3166, in which its
    national numbers are read; empty: unknown. any_port: its requests come from any port there."""

    name: str
    address: Address
    region: str
    any_port: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunks:
    """all: as they were listed; out: by which calls leave; emergency: by which emergency calls do.
    Built by `read_trunks`."""

    all: tuple[Trunk, ...]
    out: Trunk
    emergency: Trunk
    _exact: Mapping[Address, Trunk]
    _hosts: Mapping[str, Trunk]

    def of(self, source: Address) -> Trunk | None:
        """Whose a datagram is; None: nobody's, and it is not to be read."""
        return self._exact.get(source) or self._hosts.get(source[0])

    def is_listed(self, host: str) -> bool:
        """Whether anything may be sent to an address."""
        return any(one.address[0] == host for one in self.all)


def read_trunks(text: str, *, out: str, emergency: str) -> Trunks:
    """Of NAME=ADDRESS[:PORT][/REGION], by comma; a name may have several. Without a port its
    requests come from any, and 5060 takes calls. out, emergency: names; empty: the first one.
    Raises InvalidInput naming the setting."""
    found = list(_trunks(text))
    if not found or len(found) > MOST_TRUNKS:
        raise InvalidInput("sip_trunks", f"sip_trunks: names 1 to {MOST_TRUNKS} trunks")
    exact = {one.address: one for one in found if not one.any_port}
    hosts = {one.address[0]: one for one in found if one.any_port}
    if len(exact) + len(hosts) != len(found):
        raise InvalidInput("sip_trunks", "sip_trunks: names one address twice")
    return Trunks(
        all=tuple(found),
        out=_named(found, out, "sip_out"),
        emergency=_named(found, emergency, "sip_emergency"),
        _exact=exact,
        _hosts=hosts,
    )


def caller_of(request: Request) -> str | None:
    """Who calls, E.164, as the trunk that brought the request asserts; None: it does not say, or
    says that it is not to be known."""
    if request.asserted is None or request.private:
        return None
    return number_in(request.asserted)


def number_in(address: NameAddr) -> str | None:
    """The number in an address, E.164 without what people write between digits; None: none."""
    user = address.uri.user.partition(";")[0]
    plain = re.sub(r"[\s().\-]", "", user)
    return plain if _NUMBER.match(plain) else None


def dialled_in(request: Request) -> str:
    """What was dialled, as it stands in the request URI."""
    return request.target.user


def _trunks(text: str) -> Iterator[Trunk]:
    for part in (one.strip() for one in text.split(",")):
        if not part:
            continue
        read = _ENTRY.match(part)
        if read is None or not _NAME.match(read[1]):
            raise InvalidInput(
                "sip_trunks", f"sip_trunks: {part[:80]} is not NAME=ADDRESS[:PORT][/REGION]"
            )
        host, port = read[2].strip("[]"), int(read[3] or DEFAULT_PORT)
        try:
            host = str(ip_address(host))
        except ValueError:
            raise InvalidInput("sip_trunks", f"sip_trunks: {host} is no address") from None
        if not 0 < port <= 65_535:
            raise InvalidInput("sip_trunks", f"sip_trunks: {port} is no port")
        yield Trunk(
            name=read[1], address=(host, port), region=read[4] or "", any_port=read[3] is None
        )


def _named(trunks: list[Trunk], name: str, setting: str) -> Trunk:
    for one in trunks:
        if not name or one.name == name:
            return one
    raise InvalidInput(setting, f"{setting}: no trunk is called {name[:80]}; see sip_trunks")
