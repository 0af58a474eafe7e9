"""Calls of users over HTTP and JSON, as those of CallEncoder over gRPC: one request at a time on a
connection, so there are as many connections as calls may be under way.
"""

from __future__ import annotations

import json
import re
from functools import cached_property

from google.protobuf import json_format

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from simulation.load.calls import CallEncoder
from simulation.load.counts import MOST_DELAYS
from simulation.load.grpc_connection import EncodedCall
from simulation.load.recorder import WORDS, Recorder
from simulation.load.user_kinds import UserKind

REFUSING = {"HTTP status 429": "RESOURCE_EXHAUSTED", "HTTP status 503": "UNAVAILABLE"}
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d{1,5})\b", re.IGNORECASE)


class HttpCallEncoder(CallEncoder):
    """The whole request is the message. A gateway's calls alone: it says where each user is."""

    @property
    def in_bulk(self) -> bool:
        """One at a time."""
        return False

    @cached_property
    def _shown_by_all(self) -> str:
        token = self._callers.token
        return f"authorization: Bearer {token}\r\n" if token else ""

    def call(self, kind: int, user: int, place: int) -> EncodedCall:
        """What a user asks for."""
        action = "release" if kind == UserKind.RELEASED else "provision"
        said = {} if kind == UserKind.RELEASED else {"address": self.address(user, place)}
        body = json.dumps(said)
        path = f"/v1/tenants/{self._callers.tenant}/clients/{self.client_id(user)}:{action}"
        request = (
            f"POST {path} HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\n"
            f"{self._shown_by_all}content-length: {len(body)}\r\n\r\n{body}"
        )
        return EncodedCall(head=b"", middle=b"", message=request.encode())


class HttpRecorder(Recorder):
    """cpu_s: processor time that this process has used so far."""

    def answered(self, kind: int, answer: bytes, latency_s: float) -> None:
        """A call ended well."""
        response = json_format.Parse(answer, pb.ProvisionResponse(), ignore_unknown_fields=True)
        super().answered(kind, response.SerializeToString(), latency_s)

    def ended(self, kind: int, error: str, trailers: bytes) -> float | None:
        """A call ended otherwise; when its user was told to come back, in seconds."""
        status = REFUSING.get(error)
        if status is None:
            return super().ended(kind, error, trailers)
        now, told_s = self.now, self.told(error, trailers)
        now.refused[status] += 1
        now.refused_kinds[WORDS[kind]] += 1
        if told_s is None:
            now.silent += 1
        elif len(now.delays_s) < MOST_DELAYS:
            now.delays_s.append(told_s)
        return told_s

    def told(self, error: str, trailers: bytes) -> float | None:
        """When a call that failed may be made again, in seconds; None: it was not said."""
        found = _RETRY_AFTER.search(trailers) if error in REFUSING else None
        return float(found[1]) if found is not None else None
