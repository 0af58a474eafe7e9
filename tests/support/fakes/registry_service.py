"""ApplicationRegistry, as far as a platform asks it: artifacts by name and version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from control_plane.errors import NotFound
from control_plane.serving.server import Service
from homeport.api.datasharing.v1 import registry_pb2 as pb
from homeport.api.datasharing.v1 import registry_pb2_grpc as pb_grpc

PIECE = 100_000


class FakeRegistry(pb_grpc.ApplicationRegistryServicer):
    """artifacts: by (application, version)."""

    def __init__(self, artifacts: Mapping[tuple[str, str], bytes]) -> None:
        self.artifacts = dict(artifacts)
        self.fetched: list[tuple[str, str]] = []

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_ApplicationRegistryServicer_to_server,
            servicer=self,
            name="homeport.api.datasharing.v1.ApplicationRegistry",
            hot={},
        )

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Any
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        self.fetched.append((request.application, request.version))
        content = self.artifacts.get((request.application, request.version))
        if content is None:
            raise NotFound(f"there is no {request.application} {request.version}")
        for start in range(0, len(content), PIECE):
            yield pb.FetchArtifactResponse(content=content[start : start + PIECE])
