"""The settings of tracing, the same for every server and platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from control_plane.printable import quoted
from control_plane.settings import ServiceSettings

_ENDPOINT = re.compile(r"https?://[^\s/@?#]+:[0-9]{1,5}/?\Z")


class TracingSettings(ServiceSettings):
    """What docs/operations/tracing.md has a table of."""

    otlp_endpoint: Annotated[
        str,
        Field(
            max_length=300,
            description="OpenTelemetry collector that gets traces by OTLP over gRPC: "
            "http://host:port, or https:// for TLS; empty: nothing is traced",
        ),
    ] = ""
    trace_ratio: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of calls that are traced where their caller does not say; one that "
            "comes with a trace is traced if that is sampled",
        ),
    ] = 0.01

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        endpoint = self.otlp_endpoint
        port = endpoint.rstrip("/").rpartition(":")[2]
        if endpoint and (not _ENDPOINT.match(endpoint) or not 0 < int(port) < 65_536):
            yield (
                f"otlp_endpoint is {quoted(endpoint)}; write http://host:port, or "
                "https://host:port, without anything behind"
            )
