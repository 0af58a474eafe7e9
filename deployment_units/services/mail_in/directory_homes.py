"""DirectoryHomes: where accounts are at home that get mail, as the directory says to the unit for
nobody in particular."""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import NotFound
from control_plane.identity.introductions import Introduction
from deployment_units.services.accounts.callers import introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import RESOLVE, UnitDirectory
from deployment_units.services.mail_in.other_units import OtherUnit
from homeport.api.directory.v1 import directory_pb2 as pb


class DirectoryHomes:
    """A MailHomes of one unit. read_introduction: one that was made for it."""

    def __init__(
        self,
        unit_id: str,
        directory: UnitDirectory,
        read_introduction: Callable[[str], Introduction],
    ) -> None:
        self._unit_id = unit_id
        self._directory = directory
        self._read_introduction = read_introduction

    async def of_handle(
        self, tenant: str, handle: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        """See MailHomes."""
        name = pb.Identifier(uri=f"@{handle}")
        request = pb.ResolveRequest(identifier=name, viewer_address=peer, fresh=fresh)
        return await self._resolved(tenant, request)

    async def of_account(
        self, tenant: str, account: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        """See MailHomes."""
        request = pb.ResolveRequest(account=account, viewer_address=peer, fresh=fresh)
        return await self._resolved(tenant, request)

    async def _resolved(
        self, tenant: str, request: pb.ResolveRequest
    ) -> Resident | OtherUnit | None:
        nobody = Resident(tenant=tenant, account="", epoch=0)
        try:
            found: pb.ResolveResponse = await self._directory.call(RESOLVE, nobody, request)
        except NotFound:
            return None
        home = found.residences[0]
        if home.unit_id != self._unit_id:
            return OtherUnit(home.unit_id, home.endpoint, home.introduction)
        return introduced(self._read_introduction(home.introduction))
