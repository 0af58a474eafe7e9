"""What an account has in the directory, as messages of homeport.api.directory.v1."""

from __future__ import annotations

from collections.abc import Callable

from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api import mapping
from provisioner.directory.holdings import AccountHoldings, Holding
from provisioner.directory.known_names import KnownName, NameState

_STATES = {
    NameState.HELD: pb.CLAIM_STATE_HELD,
    NameState.CONTESTED: pb.CLAIM_STATE_CONTESTED,
    NameState.CONTESTING: pb.CLAIM_STATE_CONTESTING,
    NameState.QUARANTINED: pb.CLAIM_STATE_QUARANTINED,
}


def account_to_proto(
    found: AccountHoldings, endpoint_of: Callable[[str], str]
) -> pb.GetAccountResponse:
    """endpoint_of: a unit."""
    return pb.GetAccountResponse(
        account=found.account,
        residence=pb.Residence(
            account=found.account,
            unit_id=found.home.unit,
            endpoint=endpoint_of(found.home.unit),
            epoch=found.home.epoch,
        ),
        handles=[
            pb.HeldHandle(
                handle=one.handle, claim_time=mapping.timestamp(one.holder.proved_ms / 1_000)
            )
            for one in found.held
            if one.handle
        ],
        identifiers=[_identifier_to_proto(one) for one in found.held if not one.handle],
        known=map(_known_to_proto, found.known),
    )


def _known_to_proto(one: KnownName) -> pb.KnownName:
    return pb.KnownName(
        state=_STATES.get(one.state, pb.CLAIM_STATE_UNSPECIFIED),
        claim_time=mapping.timestamp(one.claim_ms / 1_000) if one.claim_ms else None,
        end_time=mapping.timestamp(one.end_ms / 1_000) if one.end_ms else None,
        findable=one.findable,
    )


def _identifier_to_proto(one: Holding) -> pb.HeldIdentifier:
    contest = one.contest
    state = pb.CLAIM_STATE_HELD if contest is None else pb.CLAIM_STATE_CONTESTED
    return pb.HeldIdentifier(
        kind=one.listed.kind,
        digest=one.listed.key,
        state=state,
        prove_time=mapping.timestamp(one.holder.proved_ms / 1_000),
        contest_end_time=(None if contest is None else mapping.timestamp(contest.until_ms / 1_000)),
        findable=one.holder.findable,
    )
