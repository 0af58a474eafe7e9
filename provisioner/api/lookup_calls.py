"""LookupCalls: Resolve, as a hot method: answered at once by what this server remembers.

What has to be read first is looked up by a task beside (`run`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from google.protobuf.message import DecodeError

from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput, ServiceError, Unavailable
from control_plane.identifiers.identifier import Flaw, Identifier, IdentifierKind
from control_plane.identifiers.uris import read_any
from control_plane.identity.names import check_client_id
from control_plane.serving.calls import HotCall
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api import mapping
from provisioner.api.callers import Callers
from provisioner.api.waiting_calls import WaitingCalls
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.budgets import Asker, network_of
from provisioner.directory.residence import Residence
from provisioner.directory.resolving import Resolution, Resolver
from provisioner.fleet_view import FleetView

RESOLVE = "/homeport.api.directory.v1.DirectoryService/Resolve"
WITHIN_S = 10.0  # a lookup, whatever deadline its caller has


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One call, and what it asks for: an identifier, or an account by its id. acting: the home of
    its viewer; None: an operator asks."""

    named: Identifier | str
    asker: Asker
    acting: ActingUnit | None
    fresh: bool


class LookupCalls:
    """`begin` is the hot method; `run` is a task of the owner's."""

    def __init__(self, resolver: Resolver, fleet_view: FleetView, callers: Callers) -> None:
        self._resolver = resolver
        self._fleet_view = fleet_view
        self._callers = callers
        self._calls = WaitingCalls(within_s=WITHIN_S, too_late=_too_late)
        self.run = self._calls.run

    def begin(self, call: HotCall) -> None:
        """Resolve."""
        try:
            lookup = self._read(call)
            if not lookup.fresh:
                found = self._remembered(lookup)
                if found is not None:
                    call.reply(_encoded(found))
                    return
            self._calls.add(call, partial(self._look_up, lookup))
        except ServiceError as error:
            call.fail(error)

    async def _look_up(self, lookup: _Lookup) -> bytes:
        asker = lookup.asker
        if lookup.acting is not None:
            await self._resolver.check_viewer(asker.tenant, asker.viewer, lookup.acting)
        return _encoded(await self._found(lookup))

    def _remembered(self, lookup: _Lookup) -> Resolution | None:
        if isinstance(lookup.named, str):
            return self._resolver.remembered_account(lookup.named, lookup.asker, lookup.acting)
        return self._resolver.remembered(lookup.named, lookup.asker, lookup.acting)

    async def _found(self, lookup: _Lookup) -> Resolution:
        if isinstance(lookup.named, str):
            return await self._resolver.resolve_account(
                lookup.named, lookup.asker, fresh=lookup.fresh
            )
        return await self._resolver.resolve(lookup.named, lookup.asker, fresh=lookup.fresh)

    def _read(self, call: HotCall) -> _Lookup:
        """Raises InvalidInput, Unauthenticated, PermissionDenied, NotFound."""
        try:
            request = pb.ResolveRequest.FromString(call.payload)
        except DecodeError as error:
            raise InvalidInput(
                "request", "the request is not a ResolveRequest, or a text in it is not UTF-8"
            ) from error
        caller = self._callers.admit_message(RESOLVE, call, request)
        tenant = self._fleet_view.tenant_or_raise(request.tenant).id
        named, home = _named(request), request.home
        alone = home.unit_id and not (home.epoch or request.viewer)
        if alone and caller.may(Role.UNIT):
            return self._for_nobody(request, tenant, named)
        acting = acting_home(home, free=lambda: caller.may(Role.OPERATOR))
        viewer = check_client_id(request.viewer, "viewer") if request.viewer else ""
        if acting is not None and not viewer:
            raise InvalidInput("viewer", "viewer is empty; a unit says for whom it asks")
        # In a viewer's name its unit alone knocks elsewhere, whoever else may look names up.
        is_unit = acting is not None and caller.may(Role.UNIT)
        asker = Asker(
            tenant=tenant,
            viewer=viewer,
            network=_network(request.viewer_address),
            unit_id=request.home.unit_id if is_unit else "",
        )
        return _Lookup(named, asker, acting, request.fresh)

    def _for_nobody(
        self, request: pb.ResolveRequest, tenant: str, named: Identifier | str
    ) -> _Lookup:
        """A unit asks for nobody in particular, such as a stranger who brings mail: it finds what
        everybody may. Raises InvalidInput."""
        if not isinstance(named, str) and named.kind is not IdentifierKind.HANDLE:
            raise InvalidInput("viewer", "viewer is empty; without one, ask for a handle")
        asker = Asker(
            tenant=tenant,
            network=_network(request.viewer_address),
            unit_id=request.home.unit_id,
        )
        return _Lookup(named, asker, None, request.fresh)


def _too_late() -> ServiceError:
    return Unavailable("the store does not answer; try again")


def _named(request: pb.ResolveRequest) -> Identifier | str:
    """Raises InvalidInput."""
    if not request.account:
        return read_identifier(request.identifier)
    if request.HasField("identifier"):
        raise InvalidInput("account", "account is given beside an identifier; give one of them")
    return check_client_id(request.account, "account")


def acting_home(home: pb.ActingHome, *, free: Callable[[], bool]) -> ActingUnit | None:
    """Who acts for an account. free(): whether the caller need not say for which unit it acts.
    Raises InvalidInput."""
    if home.unit_id and home.epoch:
        return ActingUnit(unit_id=home.unit_id, epoch=home.epoch)
    if home.unit_id or home.epoch or not free():
        raise InvalidInput(
            "home", "home must name the unit that acts, and the epoch of the assignment"
        )
    return None


def read_identifier(message: pb.Identifier, field: str = "identifier.uri") -> Identifier:
    """Raises InvalidInput."""
    found = read_any(message.uri)
    if isinstance(found, Flaw):
        raise InvalidInput(field, f"{field.removesuffix('.uri')}: {found}")
    return found


def residence_to_proto(one: Residence) -> pb.Residence:
    """With its introduction, where it has one."""
    return pb.Residence(
        account=one.account,
        unit_id=one.unit_id,
        endpoint=one.endpoint,
        epoch=one.epoch,
        introduction=one.introduction,
        expire_time=mapping.timestamp(one.expires_at) if one.introduction else None,
    )


def _encoded(found: Resolution) -> bytes:
    return pb.ResolveResponse(
        residences=map(residence_to_proto, found.residences),
        revision=found.revision,
        stale=found.stale,
    ).SerializeToString()


def _network(address: str) -> str:
    if not address:
        return ""
    try:
        return network_of(address)
    except ValueError as error:
        raise InvalidInput("viewer_address", "viewer_address is no IPv4 or IPv6 address") from error
