"""Settings of a unit that serves browsers: where it listens, and how they reach it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import BaseModel, Field

MOST_ADDRESS: Final = 200  # characters
UNIT: Final = "{unit}"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_ADDRESS: Final = re.compile(rf"https://{_NAME}(?::[0-9]{{1,5}})?\Z")
_LOOPBACK: Final = re.compile(
    rf"http://(?:(?:{_LABEL}\.)*localhost|127\.0\.0\.1)(?::[0-9]{{1,5}})?\Z"
)


class WebSettings(BaseModel):
    """Part of AgentSettings."""

    http_listen: Annotated[
        str,
        Field(
            description="host:port of the web client, needs accounts; empty: none; with several "
            "--units the port must be 0"
        ),
    ] = ""
    web_url: Annotated[
        str,
        Field(
            description="where browsers reach http_listen, such as https://{unit}.talk.example, "
            "for links in mail; {unit} stands for the id of a unit, and with it links of accounts "
            "that moved lead on, as with UNIT=URL for each unit, by comma; empty: mail has no such "
            "links"
        ),
    ] = ""

    def web_misfits(self, *, accounts: bool, fleet: bool) -> Iterator[str]:
        """What is wrong with them, for people. fleet: there may be several units."""
        if self.http_listen and not accounts:
            yield "the web client is for accounts; add --accounts to --http-listen"
        if not self.web_url:
            return
        if not self.http_listen:
            yield "--web-url says where browsers reach --http-listen; name that as well"
        known = _addresses(self.web_url)
        for written in known.values():
            url = written.replace(UNIT, "u")
            if len(url) > MOST_ADDRESS or not (_ADDRESS.match(url) or _LOOPBACK.match(url)):
                yield f"--web-url {written} is not https://name or https://name:port"
        if "" in known and len(known) > 1:
            yield f"--web-url is one URL, or UNIT=URL for each unit: {self.web_url}"
        if fleet and "" in known and UNIT not in self.web_url:
            yield (
                f"with --units each unit has an address of its own; write {UNIT} into --web-url, "
                "or UNIT=URL for each"
            )


def address_of(web_url: str, unit_id: str) -> str:
    """Where browsers reach a unit; empty: nobody knows.

    >>> address_of("https://{unit}.talk.example", "eu")
    'https://eu.talk.example'
    >>> address_of("eu=https://localhost:7711,us=https://localhost:7712", "us")
    'https://localhost:7712'
    """
    known = _addresses(web_url)
    return known.get(unit_id, known.get("", "")).replace(UNIT, unit_id)


def client_of(web_url: str, unit_id: str) -> str:
    """Where browsers reach another unit; empty: nobody knows."""
    is_known = UNIT in web_url or unit_id in _addresses(web_url)
    return address_of(web_url, unit_id) if is_known and unit_id else ""


def _addresses(web_url: str) -> dict[str, str]:
    """By unit; under '' that of any."""
    found = {}
    for one in web_url.split(","):
        unit, between, url = one.strip().partition("=")
        found[unit if between else ""] = (url if between else unit).rstrip("/")
    return found
