"""Requests that publish, read from their bytes: an event that is no message, or whose texts are not
UTF-8, is refused alone, and the others of its batch are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from control_plane.errors import InvalidInput
from control_plane.serving.lenient_batch import lenient_class
from data_sharing.api.cloudevent_message import envelope_from_bytes, envelope_from_proto
from data_sharing.feeds.intake import Envelope, Refusal
from homeport.api.datasharing.v1 import feed_pb2 as pb

MAX_BATCH = 1_000


class _Lazily(Sequence[Envelope | Refusal]):
    """What `read` makes of an entry and its place, whenever it is asked for: so that a batch is not
    read in one go, but as its events are checked."""

    def __init__(self, entries: Sequence[Any], read: Callable[[Any, int], Envelope | Refusal]):
        self._entries, self._read = entries, read

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: Any) -> Any:
        return self._read(self._entries[place], place)


class ReadEvent(NamedTuple):
    """What PublishEvent is sent."""

    tenant: str
    envelope: Envelope | Refusal
    direct: bool


class ReadBatch(NamedTuple):
    """What PublishBatch is sent: an envelope or refusal for each event, read where it is asked
    for."""

    tenant: str
    envelopes: Sequence[Envelope | Refusal]
    direct: bool


def read_event(payload: bytes) -> ReadEvent:
    """One event. Raises InvalidInput where there is none."""
    try:
        request = pb.PublishEventRequest.FromString(payload)
    except DecodeError:
        lenient, tenant = _lenient(_LENIENT_EVENT, payload)
        return ReadEvent(tenant, envelope_from_bytes(lenient.event, "event"), lenient.direct)
    if not request.HasField("event"):
        raise InvalidInput("event", "event is missing")
    return ReadEvent(request.tenant, envelope_from_proto(request.event), request.direct)


def read_batch(payload: bytes) -> ReadBatch:
    """Raises InvalidInput for a batch that is
    wrong as a whole."""
    try:
        request = pb.PublishBatchRequest.FromString(payload)
    except DecodeError:
        return _read_one_by_one(payload)
    _check_size(len(request.events))
    envelopes = _Lazily(request.events, lambda one, _: envelope_from_proto(one))
    return ReadBatch(request.tenant, envelopes, request.direct)


def _read_one_by_one(payload: bytes) -> ReadBatch:
    """A batch with an event that is no message or has a text that is not UTF-8: the generated
    class refuses it whole, so its events are taken as bytes first."""
    request, tenant = _lenient(_LENIENT_BATCH, payload)
    _check_size(len(request.events))
    envelopes = _Lazily(
        request.events, lambda one, place: envelope_from_bytes(one, f"events[{place}]")
    )
    return ReadBatch(tenant, envelopes, request.direct)


def _lenient(kind: Any, payload: bytes) -> tuple[Any, str]:
    """(the request with its events unread, its tenant). Raises InvalidInput."""
    try:
        request = kind.FromString(payload)
        return request, request.tenant.decode()
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "request", "the request is not the message this method takes, or its tenant not UTF-8"
        ) from error


def _check_size(count: int) -> None:
    if not 0 < count <= MAX_BATCH:
        raise InvalidInput(
            "events", f"events holds {count:,} entries; a batch takes 1 to {MAX_BATCH:,}"
        )


_LENIENT_EVENT = lenient_class(pb.PublishEventRequest, unparsed=["event"])
_LENIENT_BATCH = lenient_class(pb.PublishBatchRequest, unparsed=["events"])
