"""What comes of invitations: routes, refusals, and what is said of those that are not there."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import NotFound
from control_plane.printable import quoted
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.admission import NotAdmitted
from provisioner.organisations.records import Invitation, InvitationState
from provisioner.organisations.routing import Route, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedInvitation:
    """id empty: it was only asked where one would go. judged_by: revisions, by name."""

    id: str
    invitation: Invitation
    route: Route
    judged_by: dict[str, int]


class InvitationRefused(ClaimNotAllowed):
    """It may not be accepted by this account now; `why` has the rules."""

    def __init__(self, refused: NotAdmitted) -> None:
        said = "; ".join(f"{one.rule} {one.clause} {one.value}".rstrip() for one in refused.why)
        super().__init__(str(refused.rule), f"the invitation cannot be accepted: {said}")
        self.why: Why = refused.why


def check_open(invitation: Invitation) -> None:
    """Raises ClaimNotAllowed."""
    if invitation.state is not InvitationState.OPEN:
        raise ClaimNotAllowed(
            "NOT_OPEN", f"the invitation was {invitation.state}; ask for another one"
        )


def no_group(group: str) -> NotFound:
    """Of one that is not there, and of one that the actor may not invite to."""
    return NotFound(f"there is no group {quoted(group)} here that you may invite to")


def no_invitation() -> NotFound:
    """Of one that is not there, and of one that is none of the actor's."""
    return NotFound("there is no such invitation; it may have ended")
