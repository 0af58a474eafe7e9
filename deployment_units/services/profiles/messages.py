"""Profiles as messages of homeport.api.communication.v1."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from deployment_units.services.profiles.disclosure import ProfileCard
from deployment_units.services.profiles.names import NameState
from deployment_units.services.profiles.profile import (
    Audience,
    Mode,
    Profile,
    ProfileIdentifier,
    Viewer,
)
from deployment_units.services.profiles.reaching import NotReachable, Reached
from deployment_units.services.profiles.vcard import vcard
from homeport.api.communication.v1 import profile_pb2 as pb

_MODES = {
    Mode.IN_APP: pb.MODE_IN_APP,
    Mode.MAIL: pb.MODE_MAIL,
    Mode.TEXT: pb.MODE_TEXT,
    Mode.TELEPHONE: pb.MODE_TELEPHONE,
}

_STATES = {
    NameState.NOTHING: pb.NAME_STATE_UNSPECIFIED,
    NameState.BEGUN: pb.NAME_STATE_UNSPECIFIED,
    NameState.HELD: pb.NAME_STATE_HELD,
    NameState.CONTESTED: pb.NAME_STATE_CONTESTED,
    NameState.CONTESTING: pb.NAME_STATE_CONTESTING,
    NameState.QUARANTINED: pb.NAME_STATE_QUARANTINED,
    NameState.LOST: pb.NAME_STATE_LOST,
}


def card_to_proto(card: ProfileCard, tenant: str) -> pb.GetProfileResponse:
    return pb.GetProfileResponse(
        name=card.name,
        identifiers=[_identifier(one) for one in card.identifiers],
        vcard=vcard(card, tenant=tenant),
        modes=_modes(card.modes),
    )


def reached_to_proto(reached: Reached | NotReachable, viewer: Viewer) -> pb.ReachResponse:
    """How the viewer reaches it; the identifier only where the viewer may see it."""
    response = pb.ReachResponse(
        why=[pb.Reason(rule=one.rule, clause=one.clause, value=one.value) for one in reached.why]
    )
    if isinstance(reached, Reached):
        response.mode = _MODES[reached.mode]
        identifier = reached.identifier
        if identifier is not None and viewer.is_in(identifier.disclosed_to):
            response.uri = identifier.uri
    return response


def settings_to_proto(profile: Profile) -> pb.Settings:
    """All of it, for the owner."""
    return pb.Settings(
        name=profile.name,
        preferred=_modes(profile.preferred),
        identifiers=[
            pb.IdentifierSettings(
                identifier=_identifier(one),
                disclosed_to=_audience(one.disclosed_to),
                state=_STATES[one.name.state],
                prove_time=_time(one.name.since_ms),
                end_time=_time(one.name.until_ms),
                findable=one.name.findable,
            )
            for one in profile.identifiers
        ],
        reachabilities=[
            pb.Reachability(mode=_MODES[mode], open_to=_audience(profile.may_reach(mode)))
            for mode in Mode
        ],
        handles=[
            pb.ProfileHandle(
                handle=handle,
                state=_STATES[name.state],
                claim_time=_time(name.since_ms),
                end_time=_time(name.until_ms),
            )
            for handle, name in profile.handles.items()
        ],
        names_time=_time(profile.asked_ms),
    )


def _time(unix_ms: int | None) -> Timestamp | None:
    if unix_ms is None:
        return None
    return Timestamp(seconds=unix_ms // 1_000, nanos=unix_ms % 1_000 * 1_000_000)


def _modes(modes: Sequence[Mode]) -> list[pb.Mode.ValueType]:
    return [_MODES[mode] for mode in modes]


def _identifier(identifier: ProfileIdentifier) -> pb.ProfileIdentifier:
    return pb.ProfileIdentifier(
        uri=identifier.uri,
        shown=identifier.shown,
        label=identifier.label,
        proved=identifier.proved,
    )


def _audience(audience: Audience) -> pb.Audience:
    return pb.Audience(
        everyone=audience.everyone,
        contacts=audience.contacts,
        accounts=sorted(audience.accounts),
    )
