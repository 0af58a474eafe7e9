"""EventEncoder: from a call of the plan to the bytes that publish its event, over gRPC or HTTP.

An event's id says which run and arrival it is of and when that was due, so that whoever sees its
outcome knows how long it took. A user who comes back brings the same event: its id is the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2
from simulation.load.connections import PendingCall
from simulation.load.events.event_kinds import Way, kind_in, way_in
from simulation.load.events.tenant_setup import FEED, does, user_key
from simulation.load.frames import grpc_headers, header_block
from simulation.load.grpc_connection import EncodedCall, encoded_call
from simulation.population.population import Population

METHOD = "/homeport.api.datasharing.v1.FeedService/PublishEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishers:
    """As whom events are published. token: empty: none is shown; run: sets its events apart."""

    tenant: str
    run: str
    token: str = field(default="", repr=False)

    @property
    def source(self) -> str:
        """Of all events of the run."""
        return f"/load/{self.run}"


def event_id(process: int, number: int, due_s: float) -> str:
    """Of the arrival of that number of a process, due so many seconds after the beginning."""
    return f"{process}-{number}-{int(due_s * 1e6)}"


def due_in(event_id: str) -> float | None:
    """When an event was due, in seconds from the beginning; None: the id is none of these."""
    _, _, due = event_id.rpartition("-")
    return int(due) / 1e6 if due.isdecimal() else None


class EventEncoder:
    """Of one process. at_s: when its arrivals are due; hosts: of the gRPC and the HTTP server."""

    def __init__(
        self,
        publishers: Publishers,
        population: Population,
        *,
        process: int,
        at_s: NDArray[np.float64],
        grpc_host: str,
        http_host: str,
        scheme: str,
        seed: int,
        timeout_s: float,
    ) -> None:
        self._publishers = publishers
        self._population = population
        self._process = process
        self._at_s = at_s
        self._seed = seed
        shown = [("grpc-timeout", f"{max(1, int(timeout_s * 1e3))}m")]
        head = [f"POST /v1/tenants/{publishers.tenant}/events HTTP/1.1", f"host: {http_host}"]
        if publishers.token:
            shown.append(("authorization", f"Bearer {publishers.token}"))
            head.append(f"authorization: Bearer {publishers.token}")
        head.append("content-type: application/cloudevents+json")
        self._headers = grpc_headers(METHOD, grpc_host, scheme) + header_block(shown)
        self._head = "\r\n".join(head).encode() + b"\r\ncontent-length: "

    def encoded(self, pending: PendingCall) -> EncodedCall:
        """The call that publishes the event; over HTTP all of it is its `message`."""
        number, kind = pending.number, kind_in(pending.kind)
        name = event_id(self._process, number, float(self._at_s[number]))
        subject = user_key(self._publishers.run, pending.user)
        data = {
            "does": does(kind, pending.place),
            "country": self._population.user(pending.user, self._seed).country,
            "step": number,
        }
        if way_in(pending.kind) is Way.HTTP:
            document = {
                "specversion": "1.0", "id": name, "source": self._publishers.source, "type": FEED,
                "subject": subject, "data": data,
            }  # fmt: skip
            body = json.dumps(document, separators=(",", ":")).encode()
            whole = self._head + f"{len(body)}\r\n\r\n".encode() + body
            return EncodedCall(head=b"", middle=b"", message=whole)
        event = cloudevents_pb2.CloudEvent(
            id=name,
            source=self._publishers.source,
            spec_version="1.0",
            type=FEED,
            text_data=json.dumps(data, separators=(",", ":")),
        )
        event.attributes["subject"].ce_string = subject
        request = feed_pb2.PublishEventRequest(tenant=self._publishers.tenant, event=event)
        return encoded_call(self._headers, request.SerializeToString())
