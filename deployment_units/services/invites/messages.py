"""Invitations as messages of homeport.api.communication.v1."""

from __future__ import annotations

from deployment_units.services.invites.invite import SENT, InviteRow, InviteState
from deployment_units.services.invites.wording import whys_in
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1 import profile_pb2

_ENDS = frozenset({InviteState.MAKING, InviteState.OPEN})


def invite_to_proto(row: InviteRow, now_ms: int) -> pb.Invite:
    state = row.state
    if state in _ENDS and now_ms >= row.expires_ms:
        state = "expired"
    found = pb.Invite(
        invitation=row.id,
        state=pb.InviteState.Value(f"INVITE_STATE_{state.upper()}"),
        organisation=row.organisation,
        group=row.group_id,
        identifier=row.uri,
        sent=row.side == SENT,
        account=row.other,
        why=[
            profile_pb2.Reason(rule=one.rule, clause=one.clause, value=one.value)
            for one in whys_in(row.why)
        ],
        refused=row.words,
    )
    found.expire_time.FromMilliseconds(row.expires_ms)
    return found


def token_of(row: InviteRow) -> str:
    """By which the page behind this one is asked for."""
    return f"{row.made_ms}.{row.side}.{row.id}"
