"""DomainChecks: looks at every domain again each day, on one server at a time.

Which server does is a key under its session, so that another one goes on once that is gone. A
domain is due a day after it was looked at last, less up to a tenth that differs between domains, so
that they spread; one that is contested after an hour, as is one that could not be asked about.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable

from control_plane import faultpoints, keys
from control_plane.errors import DataLoss, ServiceError
from control_plane.store.port import Operation, Put, Txn, absent, unchanged
from provisioner.directory.registrar import ServerSession
from provisioner.organisations.challenges import ChallengeReader
from provisioner.organisations.domain import (
    DAY_MS,
    HOUR_MS,
    Domain,
    DomainState,
    Observation,
    Observations,
    domain_step,
)
from provisioner.organisations.domain_notices import notice_writes
from provisioner.organisations.domain_records import DomainRecords
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import decoded, encoded

log = logging.getLogger(__name__)

PASS_S = 60.0  # between passes over all domains
PAGE = 500
AT_ONCE = 16  # domains that are asked about at the same time
SPREAD = 0.1  # of a day


class DomainChecks:
    """`run` is a task of the owner's. jitter: 0 to 1, new at each call. looks: by what came of
    them; states: of the domains at the last pass of this server."""

    def __init__(
        self,
        records: DomainRecords,
        challenges: ChallengeReader,
        *,
        session: Callable[[], ServerSession],
        jitter: Callable[[], float],
    ) -> None:
        self._records = records
        self._challenges = challenges
        self._session = session
        self._jitter = jitter
        self._again_ms: dict[bytes, int] = {}  # when to ask again what could not be asked
        self.looks = dict.fromkeys(Observation, 0)
        self.states = dict.fromkeys(DomainState, 0)

    async def run(self) -> None:
        """Works for ever."""
        while True:
            try:
                if await self.leads():
                    await self.pass_over()
            except ServiceError as error:
                log.warning("domains are looked at later: %s", error)
            await asyncio.sleep(PASS_S * (0.5 + self._jitter()))

    async def leads(self) -> bool:
        """Whether this server is the one that looks; where that one is gone, it becomes it. Raises
        Unavailable, OutcomeUnknown."""
        session, key = self._session(), keys.DOMAIN_CHECKER
        pair = await self._records.store.get(key)
        if pair is not None and pair.value == session.id.encode():
            return True
        compares = [session.compare, unchanged(key, pair.mod_revision if pair else 0)]
        if pair is not None:
            compares.append(absent(keys.session(pair.value.decode())))
        put = Put(key, session.id.encode())
        return (await self._records.store.commit(Txn(compares=compares, then=[put]))).succeeded

    async def pass_over(self) -> None:
        """Looks at all that are due. Raises Unavailable, OutcomeUnknown."""
        states, start = dict.fromkeys(DomainState, 0), None
        again: dict[bytes, int] = {}
        while True:
            page = await self._records.store.range(keys.DOMAINS, start_after=start, limit=PAGE)
            due = []
            for pair in page.items:
                try:
                    domain = decoded(pair, Domain)
                except DataLoss as error:
                    log.warning("%s", error)
                    continue
                assert domain is not None
                states[domain.state] += 1
                if pair.key in self._again_ms:
                    again[pair.key] = self._again_ms[pair.key]
                if self._is_due(pair.key, domain):
                    due.append(pair.key)
            for first in range(0, len(due), AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for key in due[first : first + AT_ONCE]:
                        group.create_task(self._look(key, again))
            if not page.more:
                break
            start = page.items[-1].key
        self.states, self._again_ms = states, again

    def _is_due(self, key: bytes, domain: Domain) -> bool:
        if domain.proof is DomainState.LAPSED and domain.rival is None:
            return False  # its organisation verifies it again
        every_ms = DAY_MS if domain.rival is None else HOUR_MS
        earlier = SPREAD * (zlib.crc32(key) / 2**32)
        due_ms = domain.checked_ms + int(every_ms * (1.0 - earlier))
        return self._records.now_ms() >= max(due_ms, self._again_ms.get(key, 0))

    async def _look(self, key: bytes, again: dict[bytes, int]) -> None:
        """Never raises: one domain takes no other one along."""
        tenant, _, name = key[len(keys.DOMAINS) :].decode().partition("/")
        try:
            seen = await self.check(tenant, name)
        except ServiceError as error:
            log.warning("domain %s is looked at later: %s", name, error)
            seen = None
        if seen is None:
            again[key] = self._records.now_ms() + HOUR_MS

    async def check(self, tenant: str, name: str) -> Domain | None:
        """Looks at a domain again, and writes what comes of it; None: nothing did, for DNS did not
        say, or the domain is gone or was changed meanwhile. Raises Unavailable, OutcomeUnknown."""
        reads = Reads(self._records.store)
        domain = await reads.get(keys.domain(tenant, name), Domain)
        if domain is None:
            return None
        answer = await self._challenges.read(name)
        rival = domain.rival
        seen = Observations(
            owner=answer.observe(domain.token),
            rival=Observation.UNKNOWN if rival is None else answer.observe(rival.token),
        )
        self.looks[seen.owner] += 1
        if Observation.UNKNOWN is seen.owner and seen.rival is not Observation.MISSING:
            return None
        after = domain_step(domain, seen, self._records.now_ms())
        if after.state is not domain.state or after.owner != domain.owner:
            log.info("domain %s of tenant %s is %s, %s's", name, tenant, after.state, after.owner)
        writes: list[Operation] = [Put(keys.domain(tenant, name), encoded(after))]
        if after.owner != domain.owner:
            writes += await self._records.handed_over(
                reads, tenant, name, domain.owner, after.owner
            )
        writes += notice_writes(tenant, name, domain, after, self._records.now_ms())
        faultpoints.passing("domain.checked.after")
        result = await self._records.store.commit(Txn(compares=reads.compares(), then=writes))
        return after if result.succeeded else None
