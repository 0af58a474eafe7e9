"""Provisioning from a stream of NDJSON lines: each line in gets one line out, in order.

Holds the few thousand lines that are under way, never the file. A line that cannot be read is
answered with an error in its place; when the whole call fails, so are all lines that have no
answer yet, and the failure is raised.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from console.cli.input.client_csv import CsvClients
from console.cli.input.client_entry import MAX_LINE_BYTES, BadLine, client_from
from console.cli.output import json_text
from control_plane.printable import quoted, why_unreadable
from homeport import Client, ClientAt
from homeport.errors import HomeportError, WaitingForRoom
from homeport.values import ProvisionResult

_KEYS = frozenset({"client_id", "ip", "at", "attributes", "waiting_token"})
_BLOCK = 1 << 20


def count_lines(path: Path) -> int | None:
    """How many lines a file has, for the progress bar; None for stdin and other streams."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def run(
    client: Client,
    lines: BinaryIO,
    out: TextIO,
    *,
    with_tickets: bool,
    advance: Callable[[int], None],
    csv: bool = False,
) -> bool:
    """Answers every line, of NDJSON or of CSV. True when every client has a home. Raises
    HomeportError for what concerns all of them, after every line has its answer; CommandFailed
    for CSV without a header."""
    entries = iter(CsvClients(lines)) if csv else ndjson_clients(lines)
    bulk = _BulkAnswers(entries, out, with_tickets, advance)
    try:
        for result in client.provision_many(bulk.clients(), with_tickets=with_tickets):
            bulk.answer(result)
    except HomeportError as error:
        bulk.answer_the_rest(error)
        raise
    finally:
        bulk.flush()
    return bulk.all_done


class _BulkAnswers:
    """Remembers, in order, which lines wait for a result and which have their error already."""

    def __init__(
        self,
        entries: Iterator[tuple[int, ClientAt | BadLine]],
        out: TextIO,
        with_tickets: bool,
        advance: Callable[[int], None],
    ) -> None:
        self.all_done = True
        self._entries = entries
        self._out = out
        self._with_tickets = with_tickets
        self._advance = advance
        # A client's id while it waits for its result; else the answer its line gets.
        self._open: deque[str | dict[str, Any]] = deque()

    def clients(self) -> Iterator[ClientAt]:
        """The clients of the lines that can be read."""
        for number, client in self._entries:
            if isinstance(client, BadLine):
                message = f"line {number}: {client.message}"
                self._open.append(_refusal(client.client_id, "INVALID_ARGUMENT", message))
                continue
            self._open.append(client.client_id)
            yield client

    def answer(self, result: ProvisionResult) -> None:
        """The result of the oldest line that waits."""
        self.flush()
        self._open.popleft()
        self._write(self._document(result))

    def flush(self) -> None:
        """Writes what no line has to wait for any more."""
        while self._open and not isinstance(self._open[0], str):
            answer = self._open.popleft()
            assert not isinstance(answer, str)
            self._write(answer)
        if not self._open:
            self._out.flush()

    def answer_the_rest(self, error: HomeportError) -> None:
        """The same error for every line without an answer, read or not."""
        for _ in self.clients():
            self._refuse_open(error)
        self._refuse_open(error)

    def _refuse_open(self, error: HomeportError) -> None:
        while self._open:
            waits = self._open.popleft()
            if isinstance(waits, str):
                waits = _refusal(waits, error.code.value, error.message)
            self._write(waits)

    def _document(self, result: ProvisionResult) -> dict[str, Any]:
        home = result.assignment
        if home is None:
            error = result.error
            assert error is not None
            refusal = _refusal(result.client_id, error.code.value, error.message)
            if isinstance(error, WaitingForRoom):
                refusal["error"]["waiting_token"] = error.waiting_token
                refusal["error"]["retry_after_s"] = error.retry_after_s
            return refusal
        distance_km = home.distance_km
        document: dict[str, Any] = {
            "client_id": result.client_id,
            "unit": home.unit_id,
            "epoch": home.epoch,
            "source": home.source.value,
            "distance_km": None if distance_km is None else round(distance_km, 1),
        }
        if self._with_tickets:
            document["ticket"] = home.ticket
        return document

    def _write(self, document: dict[str, Any]) -> None:
        if "error" in document:
            self.all_done = False
        self._out.write(json_text(document) + "\n")
        self._advance(1)


def _refusal(client_id: str | None, code: str, message: str) -> dict[str, Any]:
    return {"client_id": client_id, "error": {"code": code, "message": message}}


def numbered_lines(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1, without empty ones. One longer than MAX_LINE_BYTES
    comes cut, and the rest of it is passed over."""
    number = 0
    while line := lines.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = lines.readline(MAX_LINE_BYTES + 1)
        if line.strip():
            yield number, line


def ndjson_clients(lines: BinaryIO) -> Iterator[tuple[int, ClientAt | BadLine]]:
    """The client of each line that is not empty, or what is wrong with it."""
    for number, line in numbered_lines(lines):
        try:
            yield number, client_of(line)
        except BadLine as problem:
            yield number, problem


def client_of(line: bytes) -> ClientAt:
    """The client that a line describes. Raises BadLine."""
    if len(line) > MAX_LINE_BYTES:
        raise BadLine(f"longer than {MAX_LINE_BYTES:,} bytes; a line is one client")
    try:
        entry = json.loads(line)
    except UnicodeDecodeError as error:
        raise BadLine(f"cannot be read: {why_unreadable(error)}") from error
    except RecursionError as error:
        raise BadLine("cannot be read: brackets are nested too deep") from error
    except json.JSONDecodeError as error:
        raise BadLine(f"is not JSON: {error.msg} at column {error.colno}") from error
    except ValueError as error:  # a number of 5,000 digits
        raise BadLine("cannot be read: a number has too many digits") from error
    if not isinstance(entry, dict):
        raise BadLine('is not an object such as {"client_id": "alice", "ip": "81.2.69.142"}')
    client_id = entry.get("client_id")
    if not isinstance(client_id, str):
        raise BadLine("client_id must be a string")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise BadLine(
            f"unknown key {quoted(unknown[0])}; known: client_id, ip, at, attributes, "
            "waiting_token",
            client_id,
        )
    client = client_from(client_id, entry.get("ip"), entry.get("at"))
    token = entry.get("waiting_token")
    if token is not None:
        if not isinstance(token, str):
            raise BadLine("waiting_token must be a string", client_id)
        client = replace(client, waiting_token=token)
    told = entry.get("attributes")
    if told is None:
        return client
    if not isinstance(told, dict) or not all(isinstance(one, str) for one in told.values()):
        raise BadLine("attributes must be an object of strings", client_id)
    return replace(client, attributes=told)
