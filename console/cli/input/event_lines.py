"""Events as NDJSON: lines to publish, in batches as they come, and lines of what was read.

Each line in gets one line out, in order; a line that cannot be read is answered with an error
in its place. A batch is whatever lines are there, up to a limit: a file goes in large batches,
and what trickles through a pipe goes at once.
"""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import msgspec

from console.cli.output import json_text
from data_sharing.api.cloudevent_json import NotEvents, envelope_from_json
from data_sharing.api.cloudevent_message import envelope_to_proto
from data_sharing.feeds.intake import Refusal
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb

if TYPE_CHECKING:
    from console.cli.calls.data_sharing import DataSharingCalls

MAX_LINE_BYTES = 600_000
BATCH_EVENTS = 500
BATCH_BYTES = 400_000
LINES_AHEAD = 4 * BATCH_EVENTS


def publish_lines(
    service: DataSharingCalls,
    tenant: str,
    lines: BinaryIO,
    out: TextIO,
    advance: Callable[[int], None],
) -> bool:
    """Answers every line. True when every event was kept. Raises what the service does once
    lines have no answer; to go on, publish all of them again: what was kept stays one."""
    publishing = _Publishing(tenant, out, advance)
    for response in service.publish_events(publishing.batches(_lines_as_they_come(lines))):
        publishing.answer(response)
    publishing.finish()
    return publishing.all_kept


class _Publishing:
    """Remembers, batch by batch, which line waits for which answer."""

    def __init__(self, tenant: str, out: TextIO, advance: Callable[[int], None]) -> None:
        self.all_kept = True
        self._tenant = tenant
        self._out = out
        self._advance = advance
        # A line's answer where it has one already; else the id of the event that waits for its.
        self._open: deque[list[dict[str, Any] | str]] = deque()
        self._tail: list[dict[str, Any] | str] = []

    def batches(self, groups: Iterable[list[bytes]]) -> Iterator[pb.PublishBatchRequest]:
        """Runs in gRPC's own thread, ahead of the answers."""
        waiting: list[dict[str, Any] | str] = []
        number = 0
        for group in groups:
            events: list[ce.CloudEvent] = []
            for line in group:
                number += 1
                if not line.strip():
                    continue
                event = event_of(line, number)
                if isinstance(event, Refusal):
                    waiting.append(
                        {"id": None, "error": _error(event.code, event.field, event.message)}
                    )
                else:
                    waiting.append(event.id)
                    events.append(event)
            if events:
                self._open.append(waiting)
                waiting = []
                yield pb.PublishBatchRequest(tenant=self._tenant, events=events)
        self._tail = waiting

    def answer(self, response: pb.PublishBatchResponse) -> None:
        """The answer to the oldest batch that waits."""
        results = iter(response.results)
        self._write(self._open.popleft(), results)

    def finish(self) -> None:
        """What stood behind the last batch."""
        self._write(self._tail, iter(()))

    def _write(
        self, waiting: list[dict[str, Any] | str], results: Iterator[pb.PublishResult]
    ) -> None:
        for one in waiting:
            document = one if isinstance(one, dict) else result_document(one, next(results))
            self.all_kept &= "error" not in document
            self._out.write(json_text(document) + "\n")
        self._out.flush()
        self._advance(len(waiting))


def event_of(line: bytes, number: int) -> ce.CloudEvent | Refusal:
    """The event of a line."""
    if len(line) > MAX_LINE_BYTES:
        said = f"line {number}: longer than {MAX_LINE_BYTES:,} bytes"
        return Refusal("INVALID_ARGUMENT", "line", said)
    try:
        envelope = envelope_from_json(line)
    except NotEvents as error:
        return Refusal("INVALID_ARGUMENT", "line", f"line {number}: {error}")
    if isinstance(envelope, Refusal):
        said = f"line {number}: {envelope.message}"
        return Refusal(envelope.code, envelope.field, said)
    try:
        return envelope_to_proto(envelope)
    except ValueError as error:  # a name that is not UTF-8, or a time that protobuf has not
        return Refusal("INVALID_ARGUMENT", "line", f"line {number}: {error}")


def line_of(attributes: dict[str, Any], data: str) -> bytes:
    """The line of an event with this data, JSON, which stays as it was written but for line
    breaks. Raises ValueError where it is no JSON, or a text is not UTF-8."""
    content = data.encode().replace(b"\n", b" ").replace(b"\r", b" ")
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    return msgspec.json.encode({**attributes, "data": msgspec.Raw(content)})


def result_document(name: str, result: pb.PublishResult) -> dict[str, Any]:
    """What became of an event, for programs."""
    if result.HasField("error"):
        error = result.error
        return {"id": name, "error": _error(error.code, error.field, error.message)}
    return {"id": name, "position": result.position, "duplicate": result.duplicate}


def document_of(kept: pb.FeedEvent) -> dict[str, Any]:
    """An event as CloudEvents writes it in JSON, with its place in the log as extensions."""
    event = kept.event
    document: dict[str, Any] = {
        "specversion": event.spec_version, "id": event.id, "source": event.source,
        "type": event.type,
    }  # fmt: skip
    for name, attribute in sorted(event.attributes.items()):
        kind = attribute.WhichOneof("attr")
        value: Any = getattr(attribute, kind) if kind else None
        if kind == "ce_timestamp":
            value = value.ToJsonString()
        elif kind == "ce_bytes":
            value = base64.b64encode(value).decode()
        document[name] = value
    document["position"] = kept.position
    document["feedkey"] = kept.key
    document["accepttime"] = kept.accept_time.ToJsonString()
    document["data"] = json.loads(event.text_data)
    return document


def _error(code: str, field: str, message: str) -> dict[str, str]:
    return {"code": code, "field": field, "message": message}


def _lines_as_they_come(lines: BinaryIO) -> Iterator[list[bytes]]:
    """Groups of lines: those that are there, without waiting for more."""
    ready: queue.Queue[bytes | Exception | None] = queue.Queue(LINES_AHEAD)

    def read() -> None:
        try:
            while line := lines.readline(MAX_LINE_BYTES + 1):
                rest = line
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = lines.readline(MAX_LINE_BYTES + 1)
                ready.put(line)
        except (OSError, ValueError) as error:
            ready.put(error)
        else:
            ready.put(None)

    threading.Thread(target=read, name="lines", daemon=True).start()
    while True:
        one = ready.get()
        group: list[bytes] = []
        size = 0
        while isinstance(one, bytes):
            group.append(one)
            size += len(one)
            if len(group) >= BATCH_EVENTS or size >= BATCH_BYTES:
                break
            try:
                one = ready.get_nowait()
            except queue.Empty:
                break
        if group:
            yield group
        if one is None:
            return
        if isinstance(one, Exception):
            raise one
