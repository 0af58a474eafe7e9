"""Push: notices handed to push services, on PyPI `apprise`, where an operator lets them.

An address is a URL of apprise's (`ntfys://ntfy.talk.example/anna`). Which schemas and hosts may be
used is the operator's list, and what is not on it is never asked: an address comes from an account,
and whoever could name any host could have the unit knock at it. Redirects are not followed for the
same reason. A service says that it has taken a notice, and nothing of any device.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from control_plane.errors import InvalidInput
from control_plane.printable import printable, quoted
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult

MOST_TEXT = 1_000
MOST_AT_ONCE = 16
# Nothing by which two readers of URLs see two hosts, and no parameters.
_ADDRESS = re.compile(r"[A-Za-z0-9:/@._~%+-]{1,1000}\Z")
_SCHEMA = re.compile(r"[a-z][a-z0-9]{1,19}\Z")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}\Z")
_STATUS = re.compile(r"\berror=(\d{3})\b")
ANY_HOST = "*"
OFFERED: Mapping[str, str] = {
    "gotifys": "Gotify over TLS: gotifys://HOST/TOKEN",
    "ntfys": "ntfy over TLS: ntfys://HOST/TOPIC",
    "mmosts": "Mattermost over TLS: mmosts://HOST/TOKEN",
    "rockets": "Rocket.Chat over TLS: rockets://USER:PASSWORD@HOST/CHANNEL",
    "nctalks": "Nextcloud Talk over TLS: nctalks://USER:PASSWORD@HOST/ROOM",
    "gotify": "Gotify: gotify://HOST/TOKEN",
    "ntfy": "ntfy: ntfy://HOST/TOPIC",
}
"""Schemas whose address names the host that is asked, and whose notices have one request each."""


class Notified(NamedTuple):
    """Whether the service took a notice; status: of HTTP, where it answered that it has not."""

    taken: bool
    status: int | None = None


Notify = Callable[[str, str, str, float], Notified]
"""(address, title, text, seconds for each ask). Blocks. Raises ValueError for an address that is
none."""


class Push:
    """allowed: hosts by schema, of OFFERED; ANY_HOST: all. notify: as apprise does it."""

    channel = Channel.PUSH
    knows_duplicates = False

    def __init__(
        self, allowed: Mapping[str, frozenset[str]], *, notify: Notify | None = None
    ) -> None:
        self._allowed = allowed
        hosts = {host for some in allowed.values() for host in some}
        # Of several, or of anybody's, one that fails says nothing of the others.
        self._failed_up = False if len(hosts) == 1 and ANY_HOST not in hosts else None
        if notify is None:
            import_module("apprise")  # seconds: not while somebody waits
        self._notify = notify or by_apprise
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="push")
        self._free = asyncio.Semaphore(MOST_AT_ONCE)

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """See OutgoingChannel."""
        address = checked_address(message.address, self._allowed)
        title = printable(" ".join((message.sender_name or message.subject).split()))[:100]
        text = message.text[:MOST_TEXT]
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        try:
            async with asyncio.timeout(within_s):
                await self._free.acquire()
        except TimeoutError:
            return SendResult(SendOutcome.NOT_NOW, "too many notices are under way", None)
        ask_s = max(0.1, end - loop.time())
        asked = loop.run_in_executor(self._threads, self._notify, address, title, text, ask_s)
        # A thread that is given up goes on, and has its place until it ends.
        asked.add_done_callback(self._ended)
        try:
            async with asyncio.timeout_at(end):
                return _result(await asyncio.shield(asked), self._failed_up)
        except TimeoutError:
            words = "the push service did not answer in time"
            return SendResult(SendOutcome.UNKNOWN, words, self._failed_up)
        except ValueError as error:
            raise InvalidInput("address", f"address: {error}") from error
        except Exception as error:  # noqa: BLE001  # a plug-in's, of which nothing is promised
            words = f"the push failed: {type(error).__name__}"
            return SendResult(SendOutcome.UNKNOWN, words, self._failed_up)

    def _ended(self, done: asyncio.Future[Notified]) -> None:
        self._free.release()
        if not done.cancelled():
            done.exception()  # where nobody waits for it any more, it is not to be told as unread

    def close(self) -> None:
        """Once nothing is sent any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def read_allowed(text: str) -> dict[str, frozenset[str]]:
    """`schema=host`, by comma; `schema=*`: any host. Raises InvalidInput."""
    found: dict[str, set[str]] = {}
    for part in (one.strip() for one in text.split(",")):
        if not part:
            continue
        schema, _, host = part.partition("=")
        if schema not in OFFERED:
            raise InvalidInput(
                "push", f"push: {quoted(schema)} is not offered; use one of {', '.join(OFFERED)}"
            )
        if host != ANY_HOST and not _HOST.match(host):
            raise InvalidInput("push", f"push: {part} names no host; say {schema}=HOST")
        found.setdefault(schema, set()).add(host.lower())
    return {schema: frozenset(hosts) for schema, hosts in found.items()}


def checked_address(address: str, allowed: Mapping[str, frozenset[str]]) -> str:
    """The address, where its schema and host may be asked. Raises InvalidInput."""
    if not _ADDRESS.match(address):
        raise InvalidInput("address", "address: it is no URL of letters, digits and :/@._~%+-")
    schema, _, _ = address.partition("://")
    hosts = allowed.get(schema, frozenset()) if _SCHEMA.match(schema) else frozenset()
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise InvalidInput("address", "address: it is no URL") from error
    if not hosts or not _HOST.match(host) or not (host in hosts or ANY_HOST in hosts):
        raise InvalidInput(
            "address", "address: no push service that may be asked here; ask the operator for it"
        )
    if not parts.path.strip("/"):  # apprise takes the host of such a one as the topic elsewhere
        raise InvalidInput("address", f"address: nothing is behind its host; {OFFERED[schema]}")
    if "?" in address or "#" in address:
        raise InvalidInput(
            "address", "address: parameters are not taken; leave out what is behind ?"
        )
    return address


def place_of(address: str) -> str:
    """What the same place has in common however it is written, for counting."""
    parts = urlsplit(address)
    path = unquote(parts.path).strip("/").lower()
    return f"{parts.scheme}://{(parts.hostname or '').lower()}/{path}"


def shown_address(address: str) -> str:
    """Its service and host, without what is secret.

    >>> shown_address("rockets://ben:secret@push.example:8443/room/token")
    'rockets://push.example:8443/…'
    """
    schema, _, rest = address.partition("://")
    return f"{schema}://{rest.partition('/')[0].rpartition('@')[2]}/…"


def by_apprise(address: str, title: str, text: str, ask_s: float) -> Notified:
    """See Notify."""
    import apprise  # with 170 plug-ins: units without push do without

    _quiet(logging.getLogger("apprise"))
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it tells paths, which are secret
    limits = f"rto={ask_s:.1f}&cto={min(ask_s, 10.0):.1f}&redirect=no&format=text&overflow=truncate"
    target: Any = apprise.Apprise.instantiate(f"{address}?{limits}", suppress_exceptions=True)
    if target is None or (target.host or "").lower() != urlsplit(address).hostname:
        raise ValueError(f"it is not as {OFFERED.get(address.partition(':')[0], 'apprise has it')}")
    if len(target) != 1:  # each place is asked, and one code is no proof of all
        raise ValueError("it names more than one place; add each by itself")
    _said.lines = []
    taken = bool(target.notify(body=text, title=title))
    status = next((found for one in _said.lines if (found := _STATUS.search(one))), None)
    return Notified(taken, int(status[1]) if status else None)


class _Listening(logging.Handler):
    """apprise tells the status of a refusal to its log alone, beside addresses with their
    secrets: it is kept for the thread that asks, and goes nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] = getattr(_said, "lines", [])
        lines.append(record.getMessage())


_said = threading.local()
_listening = _Listening(logging.WARNING)


def _quiet(log: logging.Logger) -> None:
    if _listening not in log.handlers:
        log.addHandler(_listening)
    log.propagate = False  # whatever else has been made of it meanwhile


def _result(notified: Notified, failed_up: bool | None) -> SendResult:
    """A status of 4yz is for good, but for those that say later; of 5yz one alone says surely.
    failed_up: what a service that fails says of the channel."""
    taken, status = notified
    if taken:
        return SendResult(SendOutcome.HANDED_OVER, "the push service took it")
    if status is None:
        words = "the push service did not say that it took it"
        return SendResult(SendOutcome.UNKNOWN, words, failed_up)
    words = f"the push service answered {status}"
    if status in (429, 503):
        return SendResult(SendOutcome.NOT_NOW, words, None if status == 429 else failed_up)
    if 300 <= status < 500 and status != 408:
        return SendResult(SendOutcome.REFUSED, words)
    return SendResult(SendOutcome.UNKNOWN, words, failed_up)
