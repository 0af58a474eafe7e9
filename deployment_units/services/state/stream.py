"""The account stream: all of an account that a unit keeps, as bytes that another unit takes over.

    magic "homeport-account", version (1 byte)
    frames: length of what follows (4 bytes, big-endian), kind (1 byte), content in MessagePack
      A  account   when this life of the client began, Unix ms
      P  part      [name, version]                    in order of names, if it has rows
      T  table     name                               in order of names, if it has rows
      R  row       the values but for the owner       in order of keys
      E  end       how many rows there were

Nothing in it depends on the unit, the clock or the order of writing: equal state gives equal bytes,
so a move can be checked by its digest. An account without rows is no bytes at all. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec

from control_plane.errors import DataLoss, Refused
from control_plane.printable import quoted
from deployment_units.services.state.parts import MAX_ROW_BYTES, Part, Row, Table

MAGIC = b"homeport-account"
VERSION = 1
FRAME_BYTES = 4_096  # at most, of a stream besides what its rows count (see parts)
_BEGIN = MAGIC + bytes([VERSION])
_FRAME = struct.Struct(">I")
_ACCOUNT, _PART, _TABLE, _ROW, _END = b"A", b"P", b"T", b"R", b"E"
_read_time = msgspec.msgpack.Decoder(Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]).decode
_encode = msgspec.msgpack.Encoder().encode
_SPOILT = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)


class UnknownState(Refused):
    """The state has something that this version of Homeport does not know."""

    reason = "UNKNOWN_STATE"


class ArrivingRow(NamedTuple):
    """One row of a stream, checked."""

    table: Table
    values: Row


class StreamWriter:
    """Writes one stream. first_ms: when this life of the client began; 0: not known."""

    def __init__(self, first_ms: int) -> None:
        self._first_ms = first_ms
        self._part = ""
        self._table = ""
        self._rows = 0

    def row(self, part: Part, table: Table, row: Row) -> bytes:
        """What the next row adds. Parts, tables and keys come in their order."""
        before = b""
        if not self._rows:
            before = _BEGIN + _frame(_ACCOUNT, self._first_ms)
        if part.name != self._part:
            before += _frame(_PART, [part.name, part.version])
            self._part, self._table = part.name, ""
        if table.name != self._table:
            before += _frame(_TABLE, table.name)
            self._table = table.name
        self._rows += 1
        return before + _frame(_ROW, row)

    def finish(self) -> bytes:
        """How it ends: not at all, without any row."""
        return _frame(_END, self._rows) if self._rows else b""


def _frame(kind: bytes, content: Any) -> bytes:
    encoded = _encode(content)
    return _FRAME.pack(len(encoded) + 1) + kind + encoded


class StreamReader:
    """Reads one stream as it comes. `first_ms` is known once there are rows."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self._pending = bytearray()
        self._begun = False
        self._account = False  # the frame was read
        self._part: Part | None = None
        self._version = 0
        self._table_name = ""
        self._last: tuple[str, Any] | None = None  # key of the last row, by table
        self._rows = 0
        self._ended = False
        self.first_ms = 0

    def feed(self, data: bytes) -> Iterator[ArrivingRow]:
        """The rows that are whole with these bytes; take all of them before the next ones. Raises
        DataLoss for what is no such stream; UnknownState."""
        self._pending += data
        if not self._begun:
            if len(self._pending) < len(_BEGIN):
                return
            self._check_beginning()
        at = len(_BEGIN) if not self._begun else 0
        self._begun = True
        pending, size = self._pending, _FRAME.size
        while len(pending) - at >= size:
            (length,) = _FRAME.unpack_from(pending, at)
            if not 0 < length <= MAX_ROW_BYTES + 1:
                raise DataLoss(
                    f"the state has a frame of {length} bytes; hand the client over again"
                )
            if len(pending) - at - size < length:
                break
            start = at + size
            yield from self._take(
                pending[start : start + 1], bytes(pending[start + 1 : start + length])
            )
            at = start + length
        del pending[:at]

    def finish(self) -> None:
        """The stream is over. Raises DataLoss when it was not whole."""
        empty = not (self._begun or self._pending)
        if not empty and (self._pending or not self._ended):
            raise DataLoss("the state ends in its middle; hand the client over again")

    def _check_beginning(self) -> None:
        if self._pending[: len(MAGIC)] != MAGIC:
            raise DataLoss("this is not the state of an account; the other unit keeps another kind")
        version = self._pending[len(MAGIC)]
        if version != VERSION:
            raise UnknownState(
                f"the state is of format {version}, this unit reads {VERSION}; "
                "upgrade the older one of the units"
            )

    def _take(self, kind: bytes | bytearray, content: bytes) -> Iterator[ArrivingRow]:
        if self._ended:
            raise DataLoss("the state goes on after its end; hand the client over again")
        try:
            if kind == _ROW:
                yield from self._row(content)
            elif kind == _ACCOUNT and not self._account:
                self.first_ms = _read_time(content)
                self._account = True
            elif kind == _PART and self._account:
                self._begin_part(*msgspec.msgpack.decode(content, type=tuple[str, int]))
            elif kind == _TABLE and self._part is not None:
                self._begin_table(msgspec.msgpack.decode(content, type=str))
            elif kind == _END and self._account:
                self._end(msgspec.msgpack.decode(content, type=int))
            else:
                raise DataLoss(
                    "the frames of the state are out of order; hand the client over again"
                )
        except _SPOILT as error:
            raise DataLoss(
                f"the state cannot be read ({error}); hand the client over again"
            ) from error

    def _begin_part(self, name: str, version: int) -> None:
        if self._part is not None and name <= self._part.name:
            raise DataLoss(
                f"part {quoted(name)} of the state is out of order; hand the client over again"
            )
        part = self._parts.get(name)
        if part is None:
            raise UnknownState(
                f"this unit does not keep {quoted(name)}; upgrade it, or let it serve that"
            )
        if not 1 <= version <= part.version:
            raise UnknownState(
                f"{quoted(name)} is of version {version}, this unit reads {part.version}; "
                "upgrade this unit"
            )
        self._part, self._version, self._table_name, self._last = part, version, "", None

    def _begin_table(self, name: str) -> None:
        if name <= self._table_name:
            raise DataLoss(
                f"table {quoted(name)} of the state is out of order; hand the client over again"
            )
        self._table_name = name

    def _row(self, content: bytes) -> Iterator[ArrivingRow]:
        part = self._part
        if part is None or not self._table_name:
            raise DataLoss("the state has a row of no table; hand the client over again")
        self._rows += 1
        if self._version == part.version:
            table = self._known(part, self._table_name)
            yield self._in_order(table, msgspec.structs.astuple(table.decode(content)))
            return
        values = msgspec.msgpack.decode(content, type=list)
        for name, upgraded in part.upgraded(self._version, self._table_name, values):
            table = self._known(part, name)
            yield ArrivingRow(table, msgspec.structs.astuple(table.convert(upgraded)))

    def _known(self, part: Part, name: str) -> Table:
        for table in part.tables:
            if table.name == name:
                return table
        raise UnknownState(f"this unit does not keep {quoted(name)} of {part.name}; upgrade it")

    def _in_order(self, table: Table, values: Row) -> ArrivingRow:
        key = (table.name, values[: table.key])
        if self._last is not None and self._last[0] == table.name and key <= self._last:
            raise DataLoss(f"a row of {table.name} is out of order; hand the client over again")
        self._last = key
        return ArrivingRow(table, values)

    def _end(self, rows: int) -> None:
        if rows != self._rows:
            raise DataLoss(
                f"{self._rows} rows came where {rows} were sent; hand the client over again"
            )
        self._ended = True
