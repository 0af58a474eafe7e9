"""The chain of the audit log: how an entry is tied to the one before it, and how a walk over all
of them finds the first that was altered, removed, inserted or put elsewhere.

    hash(n) = SHA-256(hash(n - 1) || content(n)),  hash(0) = 32 zero bytes

as in RFC 9162 and its predecessors, with a chain in place of a tree: an entry is proved by those
after it. Each content names its sequence and the hash before it, too, which tells an altered entry
from the one after it. Who can write the whole store can make a whole new chain: against that helps
a head that was noted elsewhere. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from control_plane.audit.entry import (
    START,
    AuditEntry,
    AuditPhase,
    ChainPoint,
    DamagedEntry,
    decode_entry,
    encode_entry,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One entry as it is kept. sequence: where it stands; content: its canonical JSON."""

    sequence: int
    content: bytes
    hash: bytes

    @property
    def point(self) -> ChainPoint:
        return ChainPoint(sequence=self.sequence, hash=self.hash.hex())


def link(previous: bytes, content: bytes) -> bytes:
    """The hash of an entry whose predecessor has the hash `previous`."""
    return hashlib.sha256(previous + content).digest()


def extend(head: ChainPoint, entry: AuditEntry, time_ms: int) -> AuditRecord:
    """The record of an entry that follows `head`."""
    placed = replace(entry, sequence=head.sequence + 1, previous=head.hash, time_ms=time_ms)
    content = encode_entry(placed)
    return AuditRecord(
        sequence=placed.sequence, content=content, hash=link(bytes.fromhex(head.hash), content)
    )


class BrokenChain(Exception):
    """sequence: the first entry that is not what it was. The message says what became of it."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"entry {sequence} {why}")
        self.sequence = sequence


class ChainWalk:
    """A walk from `trimmed` (the last entry that was deleted) to `head`. known: entries that
    somebody has noted elsewhere; those of them that are not trimmed have to be met."""

    def __init__(
        self, head: ChainPoint, trimmed: ChainPoint = START, known: Iterable[ChainPoint] = ()
    ) -> None:
        self._head = head
        self._trimmed = trimmed
        self._known = {one.sequence: one.hash for one in known}
        self._trim_seen = False
        self.last = trimmed
        self.open: set[int] = set()  # asked, and no outcome met yet

    def step(self, record: AuditRecord) -> None:
        """Takes the next record. Raises BrokenChain."""
        expected = self.last.sequence + 1
        if record.sequence > expected:
            raise BrokenChain(expected, "is missing")
        if record.sequence < expected:
            raise BrokenChain(record.sequence, "stands there twice, or is out of order")
        try:
            entry = decode_entry(record.content)
        except DamagedEntry as error:
            raise BrokenChain(expected, "was altered: it cannot be read any more") from error
        if not _fits_itself(entry, record):
            raise BrokenChain(expected, "was altered: its hash is that of another content")
        if entry.sequence == self.last.sequence > self._trimmed.sequence:
            raise BrokenChain(
                entry.sequence, "was inserted: the one written there stands behind it"
            )
        if entry.sequence != expected:
            raise BrokenChain(
                expected, f"is out of order: what stands there was entry {entry.sequence}"
            )
        if entry.previous != self.last.hash:
            if self.last == self._trimmed:
                raise BrokenChain(expected, "does not follow what was trimmed: some are missing")
            raise BrokenChain(
                self.last.sequence, f"was altered: entry {expected} was written after another one"
            )
        if expected == self._head.sequence and record.hash.hex() != self._head.hash:
            raise BrokenChain(expected, "was altered: the head has another hash")
        if self._known.get(expected, record.hash.hex()) != record.hash.hex():
            raise BrokenChain(expected, "is another one than was noted: the chain was rewritten")
        if entry.phase is AuditPhase.ASKED:
            self.open.add(expected)
        elif entry.phase is AuditPhase.TRIMMED:
            self._trim_seen = self._trim_seen or entry.trimmed == self._trimmed
        elif entry.asked:
            self.open.discard(entry.asked)
        self.last = record.point

    def end(self) -> None:
        """There is no further record. Raises BrokenChain."""
        if self.last.sequence < self._head.sequence:
            raise BrokenChain(self.last.sequence + 1, "is missing, and all after it")
        if self._trimmed.sequence and not self._trim_seen:
            raise BrokenChain(
                self._trimmed.sequence, "and those before it are missing: nobody trimmed them"
            )
        for sequence in sorted(self._known):
            if sequence > self.last.sequence:
                raise BrokenChain(self.last.sequence + 1, "is missing, and was noted elsewhere")


def _fits_itself(entry: AuditEntry, record: AuditRecord) -> bool:
    """Whether its hash is that of its content and the hash before it that it names."""
    try:
        previous = bytes.fromhex(entry.previous)
    except ValueError:
        return False
    return link(previous, record.content) == record.hash
