"""Plans as they are carried out: a route, and how far it is. Pure.

As JSON beside the delivery. A step that is over is never gone back to; a delivery whose plan is
lost or of another version is routed anew.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from control_plane.identifiers.identifier import Flaw, IdentifierKind
from control_plane.identifiers.uris import read_uri
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.message import ChannelAddress, ReachProfile
from deployment_units.services.gateway.route import NoRoute, RoutePlan, RouteReason, RouteStep


class CarriedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """steps: of the route; step: which one it is at, from 0; begun: attempts made of it."""

    steps: tuple[RouteStep, ...]
    why: tuple[RouteReason, ...] = ()
    no_route: NoRoute | None = None
    step: int = 0
    begun: int = 0

    @property
    def current(self) -> RouteStep | None:
        """None: no step is left."""
        return self.steps[self.step] if self.step < len(self.steps) else None

    def after_step(self) -> CarriedPlan:
        """The step is over."""
        return msgspec.structs.replace(self, step=self.step + 1, begun=0)


_decoder = msgspec.json.Decoder(CarriedPlan)


def begun(plan: RoutePlan) -> CarriedPlan:
    """A route that nothing was done of yet."""
    return CarriedPlan(steps=plan.steps, why=plan.why, no_route=plan.no_route)


def encoded_plan(plan: CarriedPlan) -> str:
    return msgspec.json.encode(plan).decode()


def decoded_plan(text: str) -> CarriedPlan | None:
    """None: there is none that can be read."""
    try:
        return _decoder.decode(text) if text else None
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def leads_out(uri: str, channels: Collection[Channel]) -> bool:
    """Whether one of these channels reaches somebody without an account.

    >>> leads_out("tel:+442079460302", {Channel.MAIL})
    False
    """
    return any(one.channel in channels for one in profile_of_uri(uri).addresses)


def profile_of_uri(uri: str) -> ReachProfile:
    """How somebody without an account is reached: over the one channel that the URI is of; none for
    one that names no channel.

    >>> profile_of_uri("mailto:carla@mail.example").addresses[0].address
    'carla@mail.example'
    """
    found = read_uri(uri)
    addresses: tuple[ChannelAddress, ...] = ()
    if not isinstance(found, Flaw):
        if found.kind is IdentifierKind.EMAIL:
            addresses = (ChannelAddress(channel=Channel.MAIL, address=found.normal),)
        elif found.kind is IdentifierKind.PHONE:
            addresses = (ChannelAddress(channel=Channel.TEXT, address=found.normal),)
    return ReachProfile(addresses=addresses)
