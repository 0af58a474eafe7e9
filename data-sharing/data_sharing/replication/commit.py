"""Commit: everything that one transaction changed, as values that go through a changelog.

A row is told as it is after the transaction, a row that is gone by its key; so a commit applied
twice, or to a database that has it already, changes nothing. The bytes of a commit are cut into
pieces that a message holds, and its head says how many and what they sum up to. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from control_plane.errors import DataLoss

Row: TypeAlias = tuple[Any, ...]
"""Values as SQLite has them: int, float, str, bytes, None."""


class TableChange(msgspec.Struct, frozen=True, array_like=True):
    """What a transaction made of one table."""

    table: str
    columns: tuple[str, ...]  # of `rows`
    keys: tuple[str, ...]  # columns that name a row; of `gone`
    rows: list[Row]  # new or changed, as they are now
    gone: list[Row]  # keys of rows that are not there any more


class CommitHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a commit besides its changes; it goes in the commit's last message."""

    owner: str  # the worker that made it, of this run of its process
    id: str  # the commit's own, never used twice
    layout: int  # of the tables; see change_capture.layout_of
    pieces: int  # of its body, the last of which is in this message
    size: int  # bytes of its body
    checksum: int  # CRC-32 of its body
    snapshot: str = ""  # the name of a snapshot that holds everything before this commit
    body: bytes = b""  # the last piece


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that was read back, and where it is in its changelog."""

    sequence: int
    head: CommitHead
    changes: list[TableChange]


_encode = msgspec.msgpack.Encoder().encode
_changes = msgspec.msgpack.Decoder(list[TableChange]).decode
_head = msgspec.msgpack.Decoder(CommitHead).decode


def encode(
    changes: Sequence[TableChange],
    *,
    owner: str,
    id: str,
    layout: int,
    piece_bytes: int,
    snapshot: str = "",
) -> list[bytes]:
    """The messages of a commit, in order; the last one is its head. piece_bytes: of the body in
    one message, at most."""
    body = _encode(changes)
    cuts = range(0, max(1, len(body)), piece_bytes)
    pieces = [body[start : start + piece_bytes] for start in cuts]
    head = CommitHead(
        owner=owner, id=id, layout=layout, pieces=len(pieces), size=len(body),
        checksum=zlib.crc32(body), snapshot=snapshot, body=pieces.pop(),
    )  # fmt: skip
    return [*pieces, _encode(head)]


def head_of(message: bytes) -> CommitHead:
    """Of a commit's last message. Raises DataLoss where it is none."""
    try:
        return _head(message)
    except msgspec.MsgspecError as error:
        raise DataLoss(f"the changelog holds what is no commit ({error})") from error


def decode(sequence: int, pieces: Sequence[bytes], head: CommitHead) -> Commit:
    """A commit of the messages before its head, and the head. Raises DataLoss where they are not
    what was written."""
    body = b"".join([*pieces, head.body])
    if (len(pieces) + 1, len(body), zlib.crc32(body)) != (head.pieces, head.size, head.checksum):
        raise DataLoss(f"the commit at {sequence} of the changelog is not what was written")
    try:
        return Commit(sequence=sequence, head=head, changes=_changes(body))
    except msgspec.MsgspecError as error:
        raise DataLoss(f"the commit at {sequence} cannot be read ({error})") from error
