"""Verification: a walk over the chain of an audit log, page by page, while it goes on growing.

What is trimmed under the walk begins it anew, since the oldest entries are not there any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from control_plane.audit.chain import AuditRecord, BrokenChain, ChainWalk
from control_plane.audit.entry import START, ChainPoint

if TYPE_CHECKING:
    from homeport.api.audit.v1 import audit_pb2 as pb

WALKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """broken: what is wrong, empty: nothing; first_bad: with which entry. entries: that were
    walked; trimmed: before them; open: without outcome; last: the head."""

    broken: str = ""
    first_bad: int | None = None
    entries: int = 0
    trimmed: int = 0
    open: int = 0
    last: ChainPoint = START


def verified(
    pages: Callable[[], Iterator[pb.ReadAuditRecordsResponse]], known: Sequence[ChainPoint] = ()
) -> Verification:
    """What becomes of a walk over `pages()`, the records from the oldest on."""
    for _ in range(WALKS - 1):
        result = _walk(pages(), known, last_try=False)
        if result is not None:
            return result
    result = _walk(pages(), known, last_try=True)
    assert result is not None
    return result


def _walk(
    pages: Iterable[pb.ReadAuditRecordsResponse], known: Sequence[ChainPoint], *, last_try: bool
) -> Verification | None:
    """None: entries were trimmed meanwhile."""
    walk: ChainWalk | None = None
    trimmed = START
    entries = 0
    try:
        for page in pages:
            if walk is None:
                trimmed = _point(page.trimmed)
                walk = ChainWalk(_point(page.head), trimmed, known)
            elif page.trimmed.sequence > walk.last.sequence and not last_try:
                return None
            for record in page.records:
                walk.step(
                    AuditRecord(sequence=record.sequence, content=record.content, hash=record.hash)
                )
                entries += 1
        if walk is not None:
            walk.end()
    except BrokenChain as broken:
        return Verification(
            broken=str(broken),
            first_bad=broken.sequence,
            entries=entries,
            trimmed=trimmed.sequence,
            last=walk.last if walk is not None else START,
        )
    return Verification(
        entries=entries,
        trimmed=trimmed.sequence,
        open=len(walk.open) if walk is not None else 0,
        last=walk.last if walk is not None else START,
    )


def _point(point: pb.AuditPoint) -> ChainPoint:
    return ChainPoint(sequence=point.sequence, hash=point.hash.hex())
