"""EtcdStore: the store port on an etcd cluster, version 3.4 or later.

Says what each operation of the port is in etcd's API and hands it to `calls` (how often and
where to), `transactions` (the hot path's bytes) and `watching`. Keeps no data of its own.
What is taken from the etcd3aio package, and what is not, is in docs/decisions/0001.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from control_plane.errors import InvalidInput
from control_plane.keys import ROOT, prefix_end
from control_plane.store.etcd.calls import Calls, CompactedAway, Credentials
from control_plane.store.etcd.connection import Members, Tls
from control_plane.store.etcd.first_span import FirstSpan, first_span
from control_plane.store.etcd.messages import first_key, key_value
from control_plane.store.etcd.page_spans import SHORT, PageSpans, RangeMemory
from control_plane.store.etcd.transactions import decode_txn, encode_txn
from control_plane.store.etcd.watching import compact_revision, latest_keys, watch
from control_plane.store.port import (
    Compacted,
    Health,
    KeyValue,
    LeaseLost,
    Page,
    Txn,
    TxnResult,
    WatchBatch,
)

MOST_PREFIXES = 256  # whose spans are remembered
FEW_REVISIONS = 2_000  # a store of no more has at most 250,000 keys: all are walked in moments
SAMPLES_KEPT_S = 30.0
USUAL_PAGE = 256  # keys: what is remembered of a range is for pages, not for a look at one key
SAMPLES_S = 0.5  # etcd tells what was written lately within a tenth of a second


class EtcdStore:
    """control_plane.store.port.Store over etcd; make one with `connect`."""

    def __init__(
        self,
        calls: Calls,
        *,
        health: Health,
        timeout_s: float,
        short_range: int = SHORT,
        few_revisions: int = FEW_REVISIONS,
    ) -> None:
        self.health = health
        self._calls = calls
        self._members = calls.members
        self._timeout_s = timeout_s
        self._short_range = short_range
        self._few_revisions = few_revisions
        self._latest: list[bytes] = []  # keys that were written lately, of all prefixes
        self._latest_until = 0.0  # of the loop's clock
        self._ranges: dict[bytes, RangeMemory] = {}

    @classmethod
    async def connect(
        cls,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout_s: float = 5.0,
        try_timeout_s: float = 0.3,
        keepalive_s: float = 10.0,
        required: bool = True,
        rng: random.Random | None = None,
        short_range: int = SHORT,
        few_revisions: int = FEW_REVISIONS,
    ) -> EtcdStore:
        """A store over the cluster behind `endpoints` (host:port).

        `timeout_s`: deadline of every call that is not given one; `try_timeout_s`: of one
        try of a read, before it is tried elsewhere. `keepalive_s`: between pings, at least
        5 with etcd's defaults; a silent connection is given up 3 s after one. `required`:
        raise StoreUnavailable (StoreRefused) unless etcd answers within `timeout_s`; without
        it the store is returned at once, and its calls raise until etcd is there.
        `short_range`: a range of no more keys is read whole, page by page; `few_revisions`: in a
        store of no more, no range is looked at before it is.
        """
        if (user is None) != (password is None):
            raise InvalidInput("store", "etcd needs both a user and a password, or neither")
        members = Members(endpoints, tls=tls, keepalive_s=keepalive_s)
        credentials = (
            Credentials(user=user, password=password)
            if user is not None and password is not None
            else None
        )
        health = Health()
        calls = Calls(
            members,
            credentials=credentials,
            health=health,
            try_timeout_s=try_timeout_s,
            rng=rng or random.Random(),
        )
        store = cls(
            calls, health=health, timeout_s=timeout_s, short_range=short_range,
            few_revisions=few_revisions,
        )  # fmt: skip
        if required:
            try:
                if credentials:
                    await calls.log_in(None, timeout_s)
                await store.get(ROOT.encode())
            except BaseException:  # whatever it was, nobody else can close the channels
                await store.close()
                raise
        return store

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        """The key as it stands now, or None."""
        answer = await self._calls.read(
            "read a key",
            lambda member, try_s: member.kv.get(key, timeout=try_s),
            self._within(timeout_s),
        )
        self._answered(answer.header)
        return key_value(answer.kvs[0]) if answer.kvs else None

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        """Keys that start with `prefix`, in key order. See the port."""
        within_s = self._within(timeout_s)
        try:
            if limit:
                return await self._page(
                    prefix, start_after, limit, at_revision, keys_only, within_s
                )
            start = first_key(prefix)
            if start_after is not None:
                start = max(start, start_after + b"\x00")
            answer = await self._span(
                prefix, start, prefix_end(prefix), 0, at_revision, keys_only, within_s
            )
        except CompactedAway:
            oldest = await compact_revision(
                self._members.current, self._members.metadata, prefix, within_s
            )
            raise Compacted(max(oldest, at_revision + 1)) from None
        return Page(
            items=[key_value(kv) for kv in answer.kvs],
            revision=at_revision or answer.header.revision,
            more=answer.more,
        )

    async def _page(
        self,
        prefix: bytes,
        start_after: bytes | None,
        limit: int,
        at_revision: int,
        keys_only: bool,
        within_s: float,
    ) -> Page:
        """A page, span by span, all at one revision; shorter than `limit`, where that is compacted
        meanwhile. Raises CompactedAway."""
        if len(self._ranges) >= MOST_PREFIXES and prefix not in self._ranges:
            self._ranges.clear()
        memory = self._ranges.setdefault(prefix, RangeMemory())
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        if memory.is_new and self.health.last_revision > self._few_revisions:
            if start_after is not None:
                memory.is_long = True  # for all that is known here
            else:
                span = await self._first_span(prefix, limit, at_revision, within_s / 2)
                if span is not None:
                    memory.begins_with(span)
        spans = PageSpans(prefix, start_after, limit, memory, short=self._short_range)
        revision = at_revision
        items: list[KeyValue] = []
        while not spans.over:
            try:
                answer = await self._span(
                    prefix, spans.start, spans.end, spans.wanted, revision, keys_only,
                    max(0.001, deadline - clock()),
                )  # fmt: skip
            except CompactedAway:
                if at_revision or not items:
                    raise
                return Page(items=items[:limit], revision=revision, more=True)
            revision = revision or answer.header.revision
            items += [key_value(kv) for kv in answer.kvs]
            last = answer.kvs[-1].key if answer.kvs else b""
            spans.heard(len(answer.kvs), answer.count, last)
        return Page(items=items[:limit], revision=revision, more=spans.more)

    async def _first_span(
        self, prefix: bytes, limit: int, at_revision: int, within_s: float
    ) -> FirstSpan | None:
        """Where a range begins, as far as what was written there lately tells. Raises
        CompactedAway, StoreUnavailable."""
        members = self._members
        now = asyncio.get_running_loop().time()
        if now >= self._latest_until:
            revision, wait_s = self.health.last_revision, min(SAMPLES_S, within_s)
            self._latest = await latest_keys(
                members.current, members.metadata, ROOT.encode(), revision, wait_s
            )
            self._latest_until = now + SAMPLES_KEPT_S
        search = first_span(prefix, self._latest, max(limit, USUAL_PAGE))
        try:
            ranges = next(search)
            async with asyncio.timeout_at(now + within_s):
                while True:
                    answers = await asyncio.gather(
                        *(
                            self._span(prefix, *one, 1, at_revision, True, within_s)
                            for one in ranges
                        )
                    )
                    ranges = search.send([answer.count for answer in answers])
        except TimeoutError:
            return None
        except StopIteration as ended:
            found: FirstSpan | None = ended.value
            return found

    async def _span(
        self,
        prefix: bytes,
        start: bytes,
        end: bytes,
        limit: int,
        at_revision: int,
        keys_only: bool,
        within_s: float,
    ) -> Any:
        """What etcd answers about keys from `start` to `end`."""
        answer = await self._calls.read(
            f"list {prefix.decode(errors='replace')}",
            lambda member, try_s: member.kv.get(
                start,
                range_end=end,
                revision=at_revision,
                limit=limit,
                keys_only=keys_only,
                timeout=try_s,
            ),
            within_s,
        )
        self._answered(answer.header)
        return answer

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        """Applies the transaction, or its else branch. See the port. A transaction of Gets
        alone is a read, and is tried again like one."""
        encoded = encode_txn(txn)
        request = encoded.request
        members = self._members
        call = self._calls.write if encoded.writes else self._calls.read
        response: bytes = await call(
            "commit",
            lambda member, try_s: member.txn(request, timeout=try_s, metadata=members.metadata),
            self._within(timeout_s),
        )
        result = decode_txn(response, txn, encoded)
        self._calls.answered(result.revision)
        return result

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        """Every change of keys with `prefix` at `from_revision` and later. See the port."""
        return watch(self._calls, prefix, max(1, from_revision))  # to etcd 0 would mean now

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        """A new lease. etcd lengthens a TTL below one and a half election timeouts (1.5 s
        by default). After OutcomeUnknown a lease may exist that nobody knows; it expires."""
        if ttl_s < 1:
            raise ValueError(f"a lease of {ttl_s} s; it must live one second or longer")
        answer = await self._calls.write(
            "grant a lease",
            lambda member, try_s: member.lease.grant(ttl_s, timeout=try_s),
            self._within(timeout_s),
        )
        lease: int = answer.ID
        return lease

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        """Renews once; returns the seconds it has now. Renewing twice is renewing later, so
        this is tried again like a read."""
        answer = await self._calls.read(
            f"keep lease {lease:x} alive",
            lambda member, try_s: member.keep_alive(lease, try_s),
            self._within(timeout_s),
        )
        if answer.TTL <= 0:
            raise LeaseLost(f"lease {lease:x} has expired or was revoked")
        return float(answer.TTL)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        """Ends the lease and deletes its keys."""
        try:
            await self._calls.write(
                f"revoke lease {lease:x}",
                lambda member, try_s: member.lease.revoke(lease, timeout=try_s),
                self._within(timeout_s),
            )
        except LeaseLost:
            return  # gone already, as the caller wants it

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        """Forgets history before `revision`. Raises ValueError for a future revision."""
        try:
            await self._calls.write(
                f"compact to revision {revision}",
                lambda member, try_s: member.kv.compact(revision, timeout=try_s),
                self._within(timeout_s),
            )
        except CompactedAway:
            return  # forgotten already

    async def close(self) -> None:
        """Ends watches and connections. Idempotent."""
        self.health.connected = False
        await self._members.close()

    def _answered(self, header: Any) -> None:
        """Notes which cluster answered and as of when. Transactions, the hot path, are taken
        apart without their header."""
        self.health.cluster = f"{header.cluster_id:x}"
        self._calls.answered(header.revision)

    def _within(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s
