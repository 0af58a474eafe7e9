"""Settings of a unit with a call server: where it listens, and its trunks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from control_plane.errors import InvalidInput
from deployment_units.services.telephony.sip.source_rates import DEFAULT_PER_S
from deployment_units.services.telephony.sip.trunks import read_trunks

_REGION = re.compile(r"(?:[A-Z]{2})?\Z")
_ADDRESS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})\Z")


class SipSettings(BaseModel):
    """Part of AgentSettings."""

    sip_listen: Annotated[
        str,
        Field(
            description="IPv4 address:port for SIP over UDP, needs accounts, sip_trunks and the "
            "extra sip; empty: none; with --units the port must be 0"
        ),
    ] = ""
    sip_address: Annotated[
        str,
        Field(
            description="the same as trunks reach it, address:port; empty: that of sip_listen, "
            "which must then be no 0.0.0.0"
        ),
    ] = ""
    sip_trunks: Annotated[
        str,
        Field(
            description="who may bring calls and takes them, NAME=ADDRESS[:PORT][/REGION], by "
            "comma; without a port requests come from any, and calls go to 5060; REGION is the "
            "ISO 3166 code in which its national numbers are read"
        ),
    ] = ""
    sip_out: Annotated[
        str, Field(description="trunk by which calls leave; empty: the first of sip_trunks")
    ] = ""
    sip_emergency: Annotated[
        str,
        Field(description="trunk of emergency calls; empty: the first of sip_trunks"),
    ] = ""
    sip_region: Annotated[
        str, Field(description="REGION of trunks that name none, such as GB; empty: unknown")
    ] = ""
    sip_rate: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="messages a second that are read of one address"),
    ] = DEFAULT_PER_S

    def sip_misfits(self, *, accounts: bool, fleet: bool) -> Iterator[str]:
        """What is wrong with them, for people. fleet: of several units."""
        if not self.sip_listen:
            if self.sip_trunks or self.sip_address:
                yield "--sip-trunks and --sip-address are for --sip-listen; add it"
            return
        if not accounts:
            yield "calls are of accounts; add --accounts to --sip-listen"
        listen, shown = _ADDRESS.match(self.sip_listen), _ADDRESS.match(self.sip_address)
        if listen is None or int(listen[2]) > 65_535:
            yield f"--sip-listen {self.sip_listen} is not an IPv4 address:port"
        elif fleet and int(listen[2]):
            yield "with --units each unit needs a port of its own; use --sip-listen ADDRESS:0"
        elif listen[1] == "0.0.0.0" and not self.sip_address:
            yield "trunks answer to an address; name it with --sip-address beside 0.0.0.0"
        if self.sip_address and (shown is None or fleet):
            yield f"--sip-address {self.sip_address} is not the IPv4 address:port of one unit"
        if not _REGION.match(self.sip_region):
            yield f"--sip-region {self.sip_region} is no code of ISO 3166, such as GB"
        try:
            read_trunks(self.sip_trunks, out=self.sip_out, emergency=self.sip_emergency)
        except InvalidInput as error:
            yield error.message


def sip_address(text: str) -> tuple[str, int]:
    """Of a setting that was checked."""
    host, _, port = text.rpartition(":")
    return host, int(port)
