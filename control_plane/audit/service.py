"""AuditService: the audit log for admins to read; nobody writes it by a call."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from google.protobuf import timestamp_pb2
from grpc import aio

from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import AuditEntry, AuditPhase, ChainPoint, DamagedEntry, decode_entry
from control_plane.audit.port import AuditLog, ChainPage
from control_plane.errors import InvalidInput
from control_plane.serving.server import Service
from homeport.api.audit.v1 import audit_pb2 as pb
from homeport.api.audit.v1 import audit_pb2_grpc as pb_grpc

NAME = "homeport.api.audit.v1.AuditService"
LOOKED_AT = 200  # entries a call looks at
MOST_ENTRIES, MOST_RECORDS, DEFAULT_SIZE = 500, 100, 100
MOST_BYTES = 2 << 20  # of entries in an answer


class AuditService(pb_grpc.AuditServiceServicer):
    """Servicer of homeport.api.audit.v1."""

    def __init__(self, audit_log: AuditLog) -> None:
        self._log = audit_log

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_AuditServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListAuditEntriesResponse:
        size = _size(request.page_size, MOST_ENTRIES)
        end = _sequence(request.page_token)
        if end is None:
            end = (await self._log.read(after=0, limit=1)).head.sequence + 1
        after = max(0, end - 1 - LOOKED_AT)
        page = await self._log.read(after=after, limit=end - 1 - after)
        # In a thread: entries may be large.
        return await asyncio.to_thread(_listed, request, page, end, size)

    async def ReadAuditRecords(
        self, request: pb.ReadAuditRecordsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReadAuditRecordsResponse:
        if request.after_sequence >= 1 << 63:
            raise InvalidInput("after_sequence", "after_sequence is larger than any entry's")
        page = await self._log.read(
            after=request.after_sequence, limit=_size(request.page_size, MOST_RECORDS)
        )
        return pb.ReadAuditRecordsResponse(
            records=[
                pb.AuditRecord(sequence=one.sequence, content=one.content, hash=one.hash)
                for one in page.records
            ],
            head=_point(page.head),
            trimmed=_point(page.trimmed),
        )


def _listed(
    request: pb.ListAuditEntriesRequest, page: ChainPage, end: int, size: int
) -> pb.ListAuditEntriesResponse:
    """Those of a page below `end` that were asked for, newest first."""
    start_ms = request.start_time.ToMilliseconds() if request.HasField("start_time") else None
    response = pb.ListAuditEntriesResponse()
    room, lowest, passed = MOST_BYTES, end, False
    for record in reversed(page.records):
        if len(response.entries) == size or room <= 0:
            break
        lowest = record.sequence
        try:
            entry = decode_entry(record.content)
        except DamagedEntry:
            if not request.tenant:  # nobody can say whose it was
                response.entries.append(_damaged(record))
            continue
        if start_ms is not None and entry.time_ms < start_ms:
            passed = True  # times never go back, so that all before are earlier
            break
        still_open = record.sequence in page.open
        if _wanted(request, entry, still_open):
            response.entries.append(_to_proto(entry, record, still_open))
            room -= len(record.content)
    oldest = page.trimmed.sequence + 1
    if not passed and page.records and lowest > oldest:
        response.next_page_token = str(lowest)
    return response


def _wanted(request: pb.ListAuditEntriesRequest, entry: AuditEntry, still_open: bool) -> bool:
    if entry.phase is AuditPhase.ASKED and not still_open and not request.with_asked:
        return False
    if request.HasField("end_time") and entry.time_ms >= request.end_time.ToMilliseconds():
        return False
    name = entry.caller.name if entry.caller is not None else ""
    return all(
        not wanted or wanted == found
        for wanted, found in (
            (request.tenant, entry.tenant),
            (request.caller, name),
            (request.method, entry.method),
        )
    )


def _to_proto(entry: AuditEntry, record: AuditRecord, still_open: bool) -> pb.AuditEntry:
    made = pb.AuditEntry(
        sequence=entry.sequence,
        record_time=_time(entry.time_ms),
        phase=pb.AuditPhase.Value(f"AUDIT_PHASE_{entry.phase.upper()}"),
        asked_sequence=entry.asked,
        service=entry.service,
        method=entry.method,
        tenant=entry.tenant,
        object_kind=entry.kind,
        object_id=entry.target,
        code=entry.code,
        message=entry.message,
        request_json=_json(entry.request),
        before_json=_json(entry.before),
        after_json=_json(entry.after),
        hash=record.hash.hex(),
        open=still_open,
    )
    if entry.trimmed is not None:
        made.message = f"entries up to {entry.trimmed.sequence} were deleted by age or number"
    if entry.caller is not None:
        made.caller.CopyFrom(
            pb.AuditCaller(
                name=entry.caller.name,
                roles=entry.caller.roles,
                tenant=entry.caller.tenant,
                certificate=entry.caller.certificate,
                address=entry.caller.address,
            )
        )
    return made


def _damaged(record: AuditRecord) -> pb.AuditEntry:
    return pb.AuditEntry(
        sequence=record.sequence,
        message="this entry cannot be read: it was altered; run `homeport audit verify`",
        hash=record.hash.hex(),
    )


def _json(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _point(point: ChainPoint) -> pb.AuditPoint:
    return pb.AuditPoint(sequence=point.sequence, hash=bytes.fromhex(point.hash))


def _time(at_ms: int) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 1_000_000)


def _size(asked: int, most: int) -> int:
    return min(asked or DEFAULT_SIZE, most)


def _sequence(token: str) -> int | None:
    """Where a page ends; None: at the newest. Raises InvalidInput."""
    if not token:
        return None
    if not (token.isascii() and token.isdecimal() and len(token) <= 18 and int(token) > 0):
        raise InvalidInput("page_token", "page_token is none that this service has given out")
    return int(token)
