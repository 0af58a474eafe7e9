"""Clients from a CSV file: each record becomes what a line of NDJSON would be.

RFC 4180 with a header: columns are named in the first line, in any order. A record is one line,
and a quoted value ends in it: so a quote that is not closed spoils its own line and no other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.client_entry import MAX_LINE_BYTES, BadLine, client_from
from control_plane.printable import quoted
from homeport import ClientAt

COLUMNS = ("client_id", "ip", "latitude", "longitude")
_MAX_COLUMNS = 64
_VALUE = r'(?:"(?:[^"]|"")*"|[^",]*)'
_RECORD = re.compile(rf"{_VALUE}(?:,{_VALUE})*\Z")


class CsvClients:
    """An iterator of (line, client or what is wrong with it). Raises CommandFailed for a header
    that is missing or names other columns."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = _DecodedLines(lines)
        header = self._next_row()
        if isinstance(header, BadLine) or header is None:
            why = header.message if header is not None else "it is empty"
            raise _wrong_header(why)
        self._columns = [name.strip().lower() for name in header]
        unknown = [name for name in self._columns if name not in COLUMNS]
        twice = len(set(self._columns)) < len(self._columns)
        if unknown or twice or "client_id" not in self._columns:
            names = ", ".join(quoted(name) for name in header[:_MAX_COLUMNS])
            raise _wrong_header(f"its first line is {names}")

    def __iter__(self) -> Iterator[tuple[int, ClientAt | BadLine]]:
        while True:
            row = self._next_row()
            if row is None:
                return
            if row == []:
                continue
            yield self._lines.number, row if isinstance(row, BadLine) else self._client(row)

    def _next_row(self) -> list[str] | BadLine | None:
        try:
            line = next(self._lines).removesuffix("\n").removesuffix("\r")
            if _RECORD.match(line) is None:
                return BadLine(
                    "is not CSV: a value in quotes ends in its line, with a quote before the next "
                    "comma, and a quote in it is written twice"
                )
            return next(csv.reader([line], strict=True))
        except StopIteration:
            return None
        except csv.Error as error:
            return BadLine(f"is not CSV: {error}")
        except BadLine as problem:
            return problem

    def _client(self, row: list[str]) -> ClientAt | BadLine:
        if len(row) != len(self._columns):
            return BadLine(f"has {len(row)} values, and the header {len(self._columns)}")
        given = dict(zip(self._columns, (value.strip() for value in row), strict=True))
        client_id = given["client_id"]
        try:
            position = _position(given.get("latitude", ""), given.get("longitude", ""), client_id)
            return client_from(client_id, given.get("ip") or None, position)
        except BadLine as problem:
            return problem


class _DecodedLines:
    """Lines of text, each bounded, with the number of the last one."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> _DecodedLines:
        return self

    def __next__(self) -> str:
        line = self._lines.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._lines.readline(MAX_LINE_BYTES + 1)
            raise BadLine(f"longer than {MAX_LINE_BYTES:,} bytes; a line is one client")
        try:
            text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadLine(f"is not UTF-8 (byte {error.start + 1})") from error
        if "\0" in text:
            raise BadLine("holds a NUL character")
        return text


def _position(latitude: str, longitude: str, client_id: str) -> list[float] | None:
    if not latitude and not longitude:
        return None
    try:
        return [float(latitude), float(longitude)]
    except ValueError:
        message = (
            f"latitude {quoted(latitude)} and longitude {quoted(longitude)} are not both numbers"
        )
        raise BadLine(message, client_id or None) from None


def _wrong_header(why: str) -> CommandFailed:
    return CommandFailed(
        f"the CSV file needs a header with client_id and any of {', '.join(COLUMNS[1:])}; {why}",
        ExitCode.USAGE,
    )


def looks_like_csv(name: str) -> bool:
    """Whether a file's name says so."""
    return name.lower().endswith(".csv")
