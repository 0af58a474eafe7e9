"""ProfileService: the gRPC servicer of profiles in one unit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.identity.introductions import Introduction
from control_plane.identity.names import check_client_id
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.contacts import book
from deployment_units.services.profiles import kept
from deployment_units.services.profiles.disclosure import disclose
from deployment_units.services.profiles.messages import (
    card_to_proto,
    reached_to_proto,
    settings_to_proto,
)
from deployment_units.services.profiles.naming import Naming
from deployment_units.services.profiles.profile import Profile, Viewer
from deployment_units.services.profiles.reaching import reach
from deployment_units.services.profiles.relations import relation_of
from deployment_units.services.profiles.requests import (
    MAX_CHANGED,
    accounts_of,
    audience_of,
    code_of,
    handle_of,
    identifier_of,
    label_of,
    mode_of,
    modes_of,
    name_of,
    offer_of,
    page_size_of,
    request_id_of,
)
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.ProfileService"

FOR_ONE = 64  # contacts that cost as much as a change does

_Context = aio.ServicerContext[Any, Any]
_Look = pb.GetProfileRequest | pb.ReachRequest


class ProfileService(pb_grpc.ProfileServiceServicer):
    """Servicer of one unit. wall_ms: Unix ms; used: an account's owner looks at its names, or
    changes something."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        naming: Naming,
        *,
        wall_ms: Callable[[], int],
        used: Callable[[Resident], None] = lambda resident: None,
    ) -> None:
        self._accounts = accounts
        self._callers = callers
        self._naming = naming
        self._wall_ms = wall_ms
        self._used = used

    async def GetProfile(
        self, request: pb.GetProfileRequest, context: _Context
    ) -> pb.GetProfileResponse:
        tenant, profile, viewer = self._look(request, context)
        return card_to_proto(disclose(profile, viewer), tenant)

    def seen(self, introduction: Introduction) -> pb.GetProfileResponse:
        """What GetProfile answers whoever shows the introduction. Raises as the contract says."""
        account, viewer = introduced(introduction), introduction.viewer
        profile, looks = self._seen(account, introduction.account, viewer)
        return card_to_proto(disclose(profile, looks), introduction.tenant)

    async def Reach(self, request: pb.ReachRequest, context: _Context) -> pb.ReachResponse:
        _, profile, viewer = self._look(request, context)
        asked = None if request.asked == pb.MODE_UNSPECIFIED else mode_of(request.asked, "asked")
        wished = modes_of(request.preferred, "preferred")
        return reached_to_proto(reach(profile, viewer, asked=asked, wished=wished), viewer)

    async def GetSettings(self, request: pb.GetSettingsRequest, context: _Context) -> pb.Settings:
        return self._settings(self._resident(context))

    async def UpdateProfile(
        self, request: pb.UpdateProfileRequest, context: _Context
    ) -> pb.Settings:
        resident = self._changing(context)
        name = name_of(request.name, "name") if request.HasField("name") else None
        preferred = (
            modes_of(request.preferred.modes, "preferred")
            if request.HasField("preferred")
            else None
        )

        def change(db: sqlite3.Connection, owner: int) -> None:
            if name is not None:
                kept.set_name(db, owner, name)
            if preferred is not None:
                kept.set_preferred(db, owner, preferred)

        return await self._change(resident, change)

    async def AddIdentifier(
        self, request: pb.AddIdentifierRequest, context: _Context
    ) -> pb.Settings:
        resident = self._changing(context)
        identifier = identifier_of(request.uri)
        label = label_of(request.label)

        def add(db: sqlite3.Connection, owner: int) -> None:
            kept.add_identifier(db, owner, identifier, label)

        return await self._change(resident, add)

    async def RemoveIdentifier(
        self, request: pb.RemoveIdentifierRequest, context: _Context
    ) -> pb.Settings:
        resident = self._changing(context)
        uri, request_id = identifier_of(request.uri).uri, request_id_of(request.request_id)
        await self._naming.remove(resident, uri, request_id=request_id)
        return self._settings(resident)

    async def BeginProof(
        self, request: pb.BeginProofRequest, context: _Context
    ) -> pb.BeginProofResponse:
        resident = self._changing(context)
        begun = await self._naming.begin_proof(
            resident,
            identifier_of(request.uri),
            request_id=request_id_of(request.request_id),
        )
        return pb.BeginProofResponse(
            channel=begun.channel, expire_time=begun.expire_time, tries_left=begun.tries_left
        )

    async def ConfirmIdentifier(
        self, request: pb.ConfirmIdentifierRequest, context: _Context
    ) -> pb.ConfirmIdentifierResponse:
        resident = self._changing(context)
        finished = await self._naming.confirm(
            resident,
            identifier_of(request.uri).uri,
            code_of(request.code),
            findable=request.findable,
            request_id=request_id_of(request.request_id),
        )
        contested = finished.HasField("contest_end_time")
        return pb.ConfirmIdentifierResponse(
            contest_end_time=finished.contest_end_time if contested else None,
            settings=self._settings(resident),
        )

    async def ClaimHandle(
        self, request: pb.ClaimHandleRequest, context: _Context
    ) -> pb.ClaimHandleResponse:
        resident = self._changing(context)
        handle = await self._naming.claim_handle(
            resident,
            handle_of(request.handle),
            rename=request.rename,
            request_id=request_id_of(request.request_id),
        )
        return pb.ClaimHandleResponse(handle=handle, settings=self._settings(resident))

    async def ReleaseHandle(
        self, request: pb.ReleaseHandleRequest, context: _Context
    ) -> pb.ReleaseHandleResponse:
        resident = self._changing(context)
        released = await self._naming.release_handle(
            resident,
            handle_of(request.handle),
            request_id=request_id_of(request.request_id),
        )
        return pb.ReleaseHandleResponse(released=released, settings=self._settings(resident))

    async def OfferHandle(
        self, request: pb.OfferHandleRequest, context: _Context
    ) -> pb.OfferHandleResponse:
        resident = self._changing(context)
        offered = await self._naming.offer_handle(
            resident,
            handle_of(request.handle),
            check_client_id(request.to_account, "to_account"),
            request.ttl if request.HasField("ttl") else None,
        )
        return pb.OfferHandleResponse(offer=offered.offer, expire_time=offered.expire_time)

    async def AcceptHandle(
        self, request: pb.AcceptHandleRequest, context: _Context
    ) -> pb.AcceptHandleResponse:
        resident = self._changing(context)
        handle = await self._naming.accept_handle(
            resident,
            offer_of(request.offer),
            rename=request.rename,
            request_id=request_id_of(request.request_id),
        )
        return pb.AcceptHandleResponse(handle=handle, settings=self._settings(resident))

    async def SetDisclosure(
        self, request: pb.SetDisclosureRequest, context: _Context
    ) -> pb.Settings:
        resident = self._changing(context)
        uri = identifier_of(request.uri).uri
        audience = audience_of(request.audience)
        return await self._change(
            resident, lambda db, owner: kept.set_disclosure(db, owner, uri, audience)
        )

    async def SetReachability(
        self, request: pb.SetReachabilityRequest, context: _Context
    ) -> pb.Settings:
        resident = self._changing(context)
        mode = mode_of(request.mode, "mode")
        audience = audience_of(request.audience)
        return await self._change(
            resident, lambda db, owner: kept.set_reachability(db, owner, mode, audience)
        )

    async def ChangeContacts(
        self, request: pb.ChangeContactsRequest, context: _Context
    ) -> pb.ChangeContactsResponse:
        cost = 1.0 + (len(request.add) + len(request.remove)) / FOR_ONE
        resident = self._callers.changing(context.invocation_metadata() or (), cost)
        if len(request.add) + len(request.remove) > MAX_CHANGED:
            raise InvalidInput("add", f"a request changes at most {MAX_CHANGED} contacts")
        add, remove = accounts_of(request.add, "add"), accounts_of(request.remove, "remove")
        if resident.account in add:
            raise InvalidInput("add", "an account is no contact of its own")
        if both := set(add) & set(remove):
            raise InvalidInput("remove", f"{min(both)} is to be added and removed")
        count = await self._accounts.change(
            resident,
            lambda db, owner: book.change(
                db, owner, add=add, remove=remove, now_ms=self._wall_ms()
            ),
        )
        return pb.ChangeContactsResponse(contacts=count)

    async def ListContacts(
        self, request: pb.ListContactsRequest, context: _Context
    ) -> pb.ListContactsResponse:
        resident = self._resident(context)
        size = page_size_of(request.page_size)
        after = check_client_id(request.after, "after") if request.after else ""
        found = self._accounts.read(
            resident,
            lambda db, owner: book.page(db, owner, after=after, most=size + 1),
        )
        return pb.ListContactsResponse(contacts=found[:size], more=len(found) > size)

    def _changing(self, context: _Context) -> Resident:
        resident = self._callers.changing(context.invocation_metadata() or ())
        self._used(resident)
        return resident

    def _resident(self, context: _Context) -> Resident:
        resident = self._callers.resident(context.invocation_metadata() or ())
        self._used(resident)
        return resident

    def _settings(self, resident: Resident) -> pb.Settings:
        read = partial(kept.read, account=resident.account)
        return settings_to_proto(self._accounts.read(resident, read))

    async def _change(
        self, resident: Resident, change: Callable[[sqlite3.Connection, int], None]
    ) -> pb.Settings:
        """Changes the resident's profile; what it is then."""

        def whole(db: sqlite3.Connection, owner: int) -> Profile:
            change(db, owner)
            return kept.read(db, owner, resident.account)

        return settings_to_proto(await self._accounts.change(resident, whole))

    def _look(self, request: _Look, context: _Context) -> tuple[str, Profile, Viewer]:
        """Whose profile it is, of which tenant, and who looks at it, all as of one commit."""
        caller = self._callers.caller(context.invocation_metadata() or ())
        if request.viewer:
            check_client_id(request.viewer, "viewer")
        if isinstance(caller, Introduction):
            if request.viewer or request.as_stranger:
                raise InvalidInput("viewer", "an introduction says itself who the viewer is")
            who, account = caller.viewer, introduced(caller)
        elif request.viewer and request.as_stranger:
            raise InvalidInput("viewer", "name a viewer, or ask as a stranger")
        else:
            who = "" if request.as_stranger else request.viewer or caller.account
            account = caller
        return caller.tenant, *self._seen(account, caller.account, who)

    def _seen(self, resident: Resident, account: str, who: str) -> tuple[Profile, Viewer]:
        """All as of one commit. who: empty: nobody in particular."""

        def whole(db: sqlite3.Connection, owner: int) -> tuple[Profile, Viewer]:
            relation = relation_of(db, owner, account, who)
            return kept.read(db, owner, account), Viewer(account=who, relation=relation)

        return self._accounts.read(resident, whole)
