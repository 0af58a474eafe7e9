"""The settings of a server's connections, the same for every service that serves gRPC."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.settings import ServiceSettings


class ConnectionSettings(ServiceSettings):
    """What docs/reference/connections.md has a table of."""

    max_connections: Annotated[
        int,
        Field(
            ge=0,
            le=10_000_000,
            description="connections at once; 0: as many as open files allow",
        ),
    ] = 0
    max_connections_per_address: Annotated[
        int,
        Field(
            ge=0,
            le=10_000_000,
            description="connections at once from one IPv4 address or IPv6 /64, ten times as many "
            "from a trusted proxy; 0: no limit",
        ),
    ] = 1_000
    max_streams: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="calls at once over one connection; 0: 1,000, and 2,500 with grpcio",
        ),
    ] = 0
    connection_idle_s: Annotated[
        float,
        Field(ge=60, le=86_400, description="a connection over which nothing comes is closed, s"),
    ] = 300.0

    def connection_limits(self) -> ConnectionLimits:
        """What a server is given of these."""
        return ConnectionLimits(
            per_address=self.max_connections_per_address,
            overall=self.max_connections,
            streams=self.max_streams,
            idle_s=self.connection_idle_s,
        )
