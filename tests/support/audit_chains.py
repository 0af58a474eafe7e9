"""Chains of audit entries for tests, what somebody could do to one, and the walk that finds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from control_plane.audit.chain import AuditRecord, BrokenChain, ChainWalk, extend, link
from control_plane.audit.entry import START, AuditCaller, AuditEntry, AuditPhase, ChainPoint

ANN = AuditCaller(name="ann", roles=("admin",), address="192.0.2.7")


def asked(number: int = 1, **what) -> AuditEntry:
    """An entry from before a change."""
    return AuditEntry(
        id=f"{number:016x}",
        phase=AuditPhase.ASKED,
        service="homeport.api.fleet.v1.FleetService",
        method="DrainUnit",
        caller=ANN,
        **{"kind": "unit", "target": "dublin", **what},
    )


def chain(length: int, start: ChainPoint = START) -> list[AuditRecord]:
    """So many records, one behind the other."""
    records: list[AuditRecord] = []
    head = start
    for number in range(length):
        records.append(extend(head, asked(number), 1_000 + number))
        head = records[-1].point
    return records


def fault_of(
    records: Sequence[AuditRecord],
    head: ChainPoint,
    trimmed: ChainPoint = START,
    known: Sequence[ChainPoint] = (),
) -> int | None:
    """The first entry that a walk finds at fault; None: the chain is whole."""
    walk = ChainWalk(head, trimmed, known)
    try:
        for record in records:
            walk.step(record)
        walk.end()
    except BrokenChain as broken:
        return broken.sequence
    return None


def altered(record: AuditRecord) -> AuditRecord:
    """Another name in it, and the hash as it was."""
    return replace(record, content=record.content.replace(b"ann", b"bob"))


def altered_and_hashed(record: AuditRecord, previous: bytes) -> AuditRecord:
    """The same with a hash that fits."""
    content = altered(record).content
    return replace(record, content=content, hash=link(previous, content))


Tampering = Callable[[list[AuditRecord], int], list[AuditRecord]]


def alter(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    return [*records[:at], altered(records[at]), *records[at + 1 :]]


def alter_with_hash(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    previous = records[at - 1].hash if at else bytes(32)
    return [*records[:at], altered_and_hashed(records[at], previous), *records[at + 1 :]]


def remove(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    return [*records[:at], *records[at + 1 :]]


def close_up(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    """Removed, and those behind it moved up."""
    behind = [replace(one, sequence=one.sequence - 1) for one in records[at + 1 :]]
    return [*records[:at], *behind]


def swap(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    """With the next one, or the one before where it is the last."""
    other = at + 1 if at + 1 < len(records) else at - 1
    made = list(records)
    made[at] = replace(records[other], sequence=records[at].sequence)
    made[other] = replace(records[at], sequence=records[other].sequence)
    return made


def insert(records: list[AuditRecord], at: int) -> list[AuditRecord]:
    """One more, made with all care, and those behind it moved on."""
    before = records[at - 1].point if at else START
    made = extend(before, asked(99, target="forged"), 1_000)
    behind = [replace(one, sequence=one.sequence + 1) for one in records[at:]]
    return [*records[:at], made, *behind]


TAMPERINGS: dict[str, Tampering] = {
    "altered": alter,
    "altered, with a hash that fits": alter_with_hash,
    "removed": remove,
    "removed, and the others moved up": close_up,
    "swapped": swap,
    "inserted": insert,
}
