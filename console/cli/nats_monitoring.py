"""What the monitoring ports of NATS servers say, for `homeport doctor --nats`."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Sequence
from typing import Any

from console.cli.health_checks import Finding
from console.cli.nats_checks import NatsServer, NatsStream, check_nats, server_of, streams_of
from control_plane.printable import why_failed

TIMEOUT_S = 3.0
MOST_BYTES = 16 << 20


def examine_nats(addresses: Sequence[str], prefix: str) -> list[Finding]:
    """addresses: http://host:port of each."""
    servers: dict[str, NatsServer | str] = {}
    streams: list[NatsStream] = []
    for one in addresses:
        base = one.rstrip("/")
        try:
            server = server_of(_get(f"{base}/varz"))
            streams += streams_of(_get(f"{base}/jsz?streams=true&config=true"), server.name, prefix)
        except (OSError, http.client.HTTPException, ValueError) as error:
            servers[one] = why_failed(error)
        else:
            servers[one] = server
    return check_nats(servers, streams, prefix)


def _get(url: str) -> dict[str, Any]:
    """Raises OSError, HTTPException, ValueError."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        found = json.loads(answer.read(MOST_BYTES))
    if not isinstance(found, dict):
        raise ValueError("it is not a NATS server's monitoring")
    return found
