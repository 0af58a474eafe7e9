"""The judge of names: the directory's history from its first revision, and what people were told.

It shares no code with the directory. At each revision: a handle has one owner at most, and an owner
one handle; whoever a claim names says so in its record; a name goes from one to another through
nobody's hands, and is kept from others once it was given back. Whoever was told that a name is
theirs had it at the revision that they were told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from control_plane.store.port import Event, Store
from tests.support.judge.verdict import Verdict

ROOT = b"/homeport/v1/directory/"


class Told(NamedTuple):
    """Somebody was told that a name is theirs. handle: empty: another identifier, by digest."""

    account: str
    handle: str
    digest: str
    revision: int


class Counts(NamedTuple):
    """What stands in the end: of handles held and kept from others, of other identifiers and their
    holders, of records, and of what these list."""

    held: int
    quarantined: int
    identifiers: int
    holders: int
    records: int
    listed: int


@dataclass(slots=True)
class NameHistory:
    """`follow` is given every event of the directory, a revision at a time; `finish` judges."""

    verdict: Verdict = field(default_factory=Verdict)
    claims: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    records: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    owners: dict[tuple[bytes, int], tuple[str, ...]] = field(default_factory=dict)

    def follow(self, revision: int, events: Sequence[Event]) -> None:
        """All changes of one revision."""
        self.verdict.revisions += 1
        before = {event.kv.key: self.claims.get(event.kv.key) for event in events}
        for event in events:
            kept = self.records if event.kv.key.startswith(ROOT + b"accounts/") else self.claims
            if event.deleted:
                kept.pop(event.kv.key, None)
            else:
                kept[event.kv.key] = json.loads(event.kv.value)
        for key, was in before.items():
            if key.startswith(ROOT + b"accounts/"):
                continue
            now = self.claims.get(key)
            self.owners[key, revision] = tuple(_accounts(now))
            self._judge_change(revision, key, was or {}, now or {})
        self._judge_owners(revision)

    def _judge_change(
        self, revision: int, key: bytes, was: dict[str, Any], now: dict[str, Any]
    ) -> None:
        had, have = _accounts(was), _accounts(now)
        is_handle = b"/handles/" in key
        if is_handle and len(have) > 1:
            self._accuse(revision, key, f"it has {len(have)} owners")
        if is_handle and had and have and had != have:
            self._accuse(revision, key, f"it went from {had[0]} to {have[0]} by itself")
        freed_by = was.get("freed_by", "")
        if have and freed_by and have[0] != freed_by:
            self._accuse(revision, key, f"{freed_by} gave it back, and {have[0]} has it already")

    def _judge_owners(self, revision: int) -> None:
        handles: Counter[str] = Counter()
        for key, claim in self.claims.items():
            kind, tenant, name = _parts(key)
            for account in _accounts(claim):
                handles[account] += kind == "handle"
                record = self.records.get(ROOT + f"accounts/{tenant}/{account}".encode(), {})
                listed = {
                    (one.get("kind", "handle"), one["key"]) for one in record.get("listed", ())
                }
                if (kind, name) not in listed:
                    self._accuse(revision, key, f"the record of {account} does not say so")
        for account, count in handles.items():
            if count > 1:
                self._accuse(revision, account.encode(), f"it has {count} handles")

    def finish(self, told: Sequence[Told]) -> Verdict:
        """Holds what people were told against the history."""
        by_handle = {
            claim["handle"]: key for key, claim in self.claims.items() if claim.get("handle")
        }
        for one in told:
            self.verdict.answers += 1
            key = by_handle.get(one.handle) or self._identifier(one.digest)
            if key is None or one.account not in self.owners.get((key, one.revision), ()):
                self._accuse(one.revision, (one.handle or one.digest).encode(),
                             f"{one.account} was told that it is theirs")  # fmt: skip
        return self.verdict

    def counts(self, prefix: str) -> Counts:
        """Of accounts with this prefix."""
        claims = [
            (b"/handles/" in key, claim)
            for key, claim in self.claims.items()
            if any(name.startswith(prefix) for name in (*_accounts(claim), *_freed(claim)))
        ]
        records = [
            record
            for key, record in self.records.items()
            if key.rpartition(b"/")[2].startswith(prefix.encode())
        ]
        others = [claim for is_handle, claim in claims if not is_handle]
        return Counts(
            held=sum(is_handle and bool(_accounts(claim)) for is_handle, claim in claims),
            quarantined=sum(is_handle and not _accounts(claim) for is_handle, claim in claims),
            identifiers=len(others),
            holders=sum(len(_accounts(claim)) for claim in others),
            records=len(records),
            listed=sum(len(record["listed"]) for record in records),
        )

    def _identifier(self, digest: str) -> bytes | None:
        return next((key for key in self.claims if digest and key.endswith(digest.encode())), None)

    def _accuse(self, revision: int, key: bytes, what: str) -> None:
        self.verdict.accuse("names", revision, key.decode(), what)


async def history_of(store: Store) -> NameHistory:
    """The directory's, from its first revision to now."""
    found, last = NameHistory(), (await store.range(ROOT, limit=1, keys_only=True)).revision
    watch = store.watch(b"/homeport/v1/", from_revision=1)
    async for batch in watch:
        grouped: dict[int, list[Event]] = {}
        for event in batch.events:
            if event.kv.key.startswith(ROOT):
                grouped.setdefault(event.kv.mod_revision, []).append(event)
        for revision, events in sorted(grouped.items()):
            found.follow(revision, events)
        if batch.revision >= last:
            break
    return found


def _accounts(claim: dict[str, Any] | None) -> list[str]:
    return [one["account"] for one in (claim or {}).get("holders", ())]


def _freed(claim: dict[str, Any]) -> list[str]:
    return [claim["freed_by"]] if claim.get("freed_by") else []


def _parts(key: bytes) -> tuple[str, str, str]:
    """(kind, tenant, what its record lists it under)."""
    area, tenant, rest = key[len(ROOT) :].decode().split("/", 2)
    if area == "handles":
        return "handle", tenant, rest
    kind, _, digest = rest.partition("/")
    return kind, tenant, digest
