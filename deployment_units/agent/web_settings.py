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
_LOOPBACK: Final = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::[0-9]{1,5})?\Z")


class WebSettings(BaseModel):
    """Part of AgentSettings."""

    http_listen: Annotated[
        str,
        Field(
            description="host:port of the web client, needs accounts; empty: none; with --units "
            "the port must be 0"
        ),
    ] = ""
    web_url: Annotated[
        str,
        Field(
            description="where browsers reach http_listen, such as https://{unit}.talk.example, "
            "for links in mail; {unit} stands for the id of a unit, and with it links of accounts "
            "that moved lead on; empty: mail has no such links"
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
        written = address_of(self.web_url, "u")
        fits = _ADDRESS.match(written) or _LOOPBACK.match(written)
        if not fits or len(self.web_url) > MOST_ADDRESS:
            yield f"--web-url {self.web_url} is not https://name or https://name:port"
        if fleet and UNIT not in self.web_url:
            yield f"with --units each unit has an address of its own; write {UNIT} into --web-url"


def address_of(web_url: str, unit_id: str) -> str:
    """Where browsers reach a unit.

    >>> address_of("https://{unit}.talk.example", "eu")
    'https://eu.talk.example'
    """
    return web_url.rstrip("/").replace(UNIT, unit_id)


def client_of(web_url: str, unit_id: str) -> str:
    """Where browsers reach another unit; empty: nobody knows."""
    return address_of(web_url, unit_id) if UNIT in web_url and unit_id else ""
