"""What requests to DeviceService say, checked. Raises InvalidInput."""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.duration_pb2 import Duration

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Flaw
from control_plane.printable import quoted
from deployment_units.services.device_graph.evidence import MAX_UPTIME_MS
from homeport.api.communication.v1 import device_pb2 as pb

MAX_SITE: Final = 253
_DEVICE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_BROWSER: Final = re.compile(r"[A-Za-z0-9._-]{16,64}\Z")
REACH: Final = "reach"
_PURPOSES: Final = {pb.PURPOSE_REACH: REACH}


def device_of(text: str) -> str:
    if not _DEVICE.match(text):
        raise InvalidInput("device", "device is 1 to 64 of A-Z a-z 0-9 . _ -")
    return text


def purpose_of(value: pb.Purpose.ValueType) -> str:
    found = _PURPOSES.get(value)
    if found is None:
        raise InvalidInput("purpose", "name a purpose: PURPOSE_REACH")
    return found


def uptime_ms_of(uptime: Duration) -> int:
    milliseconds = uptime.seconds * 1_000 + uptime.nanos // 1_000_000
    if not 0 <= uptime.nanos < 10**9 or not 0 <= milliseconds <= MAX_UPTIME_MS:
        raise InvalidInput("uptime", "uptime is from 0 to ten years")
    return milliseconds


def browser_of(site: str, browser: str) -> str:
    """SITE/BROWSER."""
    if len(site) > MAX_SITE:
        raise InvalidInput("site", f"site has more than {MAX_SITE} characters")
    domain = read_domain(site)
    if isinstance(domain, Flaw):
        raise InvalidInput("site", f"site {quoted(site)} is no host name: {domain}")
    if not _BROWSER.match(browser):
        raise InvalidInput("browser", "browser is 16 to 64 of A-Z a-z 0-9 . _ -")
    return f"{domain.normal}/{browser}"


def known_browser_of(text: str) -> str:
    """As `browser_of` makes it, from one text."""
    site, _, browser = text[: MAX_SITE + 80].partition("/")
    try:
        return browser_of(site, browser)
    except InvalidInput as error:
        raise InvalidInput(
            "browser", f"browser is SITE/BROWSER, as the map of devices shows it; {error}"
        ) from error
