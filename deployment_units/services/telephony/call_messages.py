"""Calls, links and refusals as messages of homeport.api.communication.v1, and back."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.phones import read_phone
from control_plane.printable import quoted
from deployment_units.services.telephony.kept import BY_STRANGER, LinkRow
from deployment_units.services.telephony.port import CallKind, EndCause, RefusedCause
from deployment_units.services.telephony.records import ID_BYTES, CallRow
from homeport.api.communication.v1 import telephony_pb2 as pb

MOST_PAGE = 100
_KINDS = {pb.CALL_KIND_CALL: CallKind.CALL, pb.CALL_KIND_TEXT: CallKind.TEXT}
KINDS = {kind: number for number, kind in _KINDS.items()}


def refusal_number(cause: RefusedCause) -> pb.CallRefusal.ValueType:
    """As the contract numbers it."""
    return pb.CallRefusal.Value("CALL_REFUSAL_" + _word(cause))


def refusal_of(number: pb.CallRefusal.ValueType) -> RefusedCause:
    """The same back; one that is unknown here is UNAVAILABLE."""
    return _REFUSALS.get(number, RefusedCause.UNAVAILABLE)


def end_number(cause: EndCause) -> pb.CallEnd.ValueType:
    """As the contract numbers it."""
    return pb.CallEnd.Value("CALL_END_" + _word(cause))


def end_of(number: pb.CallEnd.ValueType) -> EndCause:
    """Raises InvalidInput."""
    found = _ENDS.get(number)
    if found is None:
        raise InvalidInput("end", "end is none of the contract's, or missing")
    return found


def kind_of(number: pb.CallKind.ValueType) -> CallKind:
    """Raises InvalidInput."""
    found = _KINDS.get(number)
    if found is None:
        raise InvalidInput("kind", "kind is CALL_KIND_CALL or CALL_KIND_TEXT")
    return found


def number_of(text: str, field: str) -> str:
    """E.164. Raises InvalidInput."""
    read = read_phone(text)
    if isinstance(read, Flaw):
        raise InvalidInput(field, f"{field}: {read}")
    if read.normal != text:
        raise InvalidInput(field, f"{field} is {quoted(text)}; write it in E.164, {read.normal}")
    return text


def contact_of(text: str, region: str) -> str:
    """E.164, of what is dialled in a region, empty: in none. Raises InvalidInput."""
    read = read_phone(text, region or None)
    if isinstance(read, Flaw):
        raise InvalidInput("contact", f"contact: {read}")
    return read.normal


def record_of(text: bytes) -> bytes:
    """Raises InvalidInput."""
    if len(text) != ID_BYTES:
        raise InvalidInput("record", f"record has {ID_BYTES} bytes")
    return text


def page_of(size: int) -> int:
    """Raises InvalidInput."""
    size = size or MOST_PAGE
    if not 0 < size <= MOST_PAGE:
        raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {MOST_PAGE}")
    return size


def link_to_proto(row: LinkRow) -> pb.ContactLink:
    return pb.ContactLink(
        technical=row.technical,
        contact=row.contact,
        since=_time(row.since_ms),
        last=_time(row.last_ms),
        by_stranger=row.made_by == BY_STRANGER,
    )


def call_to_proto(row: CallRow) -> pb.Call:
    took = None
    if row.answered_ms is not None and row.ended_ms is not None:
        ms = max(0, row.ended_ms - row.answered_ms)
        took = Duration(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)
    return pb.Call(
        record=row.id,
        kind=KINDS[CallKind(row.kind)],
        outgoing=bool(row.outgoing),
        technical=row.technical,
        other=row.other.hex(),
        time=_time(row.routed_ms),
        answer_time=_time(row.answered_ms),
        duration=took,
        end=end_number(EndCause(row.ended)) if row.ended else pb.CALL_END_UNSPECIFIED,
    )


def _time(unix_ms: int | None) -> Timestamp | None:
    if unix_ms is None:
        return None
    return Timestamp(seconds=unix_ms // 1_000, nanos=unix_ms % 1_000 * 1_000_000)


def _word(cause: RefusedCause | EndCause) -> str:
    return cause.value.upper().replace("-", "_")


_REFUSALS = {refusal_number(one): one for one in RefusedCause}
_ENDS = {end_number(one): one for one in EndCause}
