"""Calls to the audit log of a service: its entries, and the chain of its records."""

from __future__ import annotations

from collections.abc import Iterator

from console.cli.calls.channel import Calls
from homeport.api.audit.v1 import audit_pb2 as pb
from homeport.api.audit.v1 import audit_pb2_grpc as pb_grpc

PAGE = 100


class AuditCalls(Calls):
    """The audit log of either service. A context manager, like all of them."""

    def entries(self, request: pb.ListAuditEntriesRequest, limit: int) -> list[pb.AuditEntry]:
        """At most `limit` of them, newest first."""
        found: list[pb.AuditEntry] = []
        while len(found) < limit:
            request.page_size = min(PAGE, limit - len(found))
            page: pb.ListAuditEntriesResponse
            page = self._call(pb_grpc.AuditServiceStub, "ListAuditEntries", request)
            found += page.entries
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found

    def pages(self) -> Iterator[pb.ReadAuditRecordsResponse]:
        """The records, oldest first, up to where the log had come at the first page and beyond;
        the last page has none."""
        after = 0
        while True:
            request = pb.ReadAuditRecordsRequest(after_sequence=after, page_size=PAGE)
            page: pb.ReadAuditRecordsResponse
            page = self._call(pb_grpc.AuditServiceStub, "ReadAuditRecords", request)
            yield page
            if not page.records:
                return
            after = page.records[-1].sequence
