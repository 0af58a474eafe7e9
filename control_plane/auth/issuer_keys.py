"""IssuerKeys: an issuer's keys, kept in step with the file or address they are published at.

`run` is a task of the owner's; nobody who verifies a token waits for it. While the source is away
or publishes what is no key set, the last good keys are used, for a bounded time. A file is read
again every second, an address every few minutes, and sooner where a token names a key that is not
known: at most every ten seconds, however many such tokens come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.auth.jwks import KeySet, parse_jwks
from control_plane.auth.jwks_source import JwksSource, SourceAway
from control_plane.errors import InvalidInput

log = logging.getLogger(__name__)

MAX_AGE_S = 86_400.0
FETCH_S = 15.0


class IssuerKeys:
    """A KeySource. clock: monotonic seconds. max_age_s: how long keys are used after their source
    was last heard."""

    def __init__(
        self,
        source: JwksSource,
        *,
        clock: Callable[[], float],
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._source = source
        self._clock = clock
        self._max_age_s = max_age_s
        self._keys: KeySet | None = None
        self._document: bytes | None = None
        self._heard_at = 0.0
        self._asked = asyncio.Event()
        self._faulty = ""
        self.failures = 0

    def current(self) -> KeySet | None:
        """See KeySource."""
        if self._keys is None or self._clock() - self._heard_at > self._max_age_s:
            return None
        return self._keys

    def ask_anew(self) -> None:
        """See KeySource."""
        self._asked.set()

    async def run(self) -> None:
        """Reads the source for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._source.min_pause_s)
            if not self._faulty:
                await _wait(self._asked, self._source.interval_s - self._source.min_pause_s)

    async def refresh(self) -> None:
        """Reads the source once. What is wrong with it is logged, once for each fault."""
        self._asked.clear()
        try:
            async with asyncio.timeout(FETCH_S):
                document = await self._source.read()
            if document != self._document:
                # In a thread: a document may cost some ms.
                keys = await asyncio.to_thread(parse_jwks, document)
                if not len(keys):
                    log.warning(
                        "%s has no key to check signatures with; its tokens are refused",
                        self._source.where,
                    )
                self._keys, self._document = keys, document
        except (SourceAway, InvalidInput, TimeoutError) as error:
            self.failures += 1
            why = str(error) or f"no answer within {FETCH_S:g} s"
            if why != self._faulty:
                self._faulty = why
                log.error(
                    "keys of %s could not be read: %s; %s",
                    self._source.where,
                    why,
                    "the last good ones are used" if self._keys else "its tokens are refused",
                )
            return
        if self._faulty:
            self._faulty = ""
            log.info("keys of %s could be read again", self._source.where)
        self._heard_at = self._clock()


async def _wait(asked: asyncio.Event, most_s: float) -> None:
    try:
        async with asyncio.timeout(most_s):
            await asked.wait()
    except TimeoutError:
        return
