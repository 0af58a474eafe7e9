"""NamesFake: a directory that knows whom names stand for, as a viewer finds them."""

from __future__ import annotations

from typing import Any

from control_plane.errors import NotFound, ServiceError
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import RESOLVE, DirectoryMethod
from homeport.api.directory.v1 import directory_pb2 as pb


class NamesFake:
    """A UnitDirectory. known: accounts by what is resolved, a URI or an id; failure: of every
    question; asked: what was resolved, each with who asked."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.failure: ServiceError | None = None
        self.asked: list[tuple[str, str]] = []

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        """See UnitDirectory."""
        assert method is RESOLVE
        name = request.account or request.identifier.uri
        self.asked.append((resident.account, name))
        if self.failure is not None:
            raise self.failure
        if name not in self.known:
            raise NotFound("nobody is found by this identifier")
        return pb.ResolveResponse(
            residences=[pb.Residence(account=one, unit_id="u") for one in self.known[name]]
        )
