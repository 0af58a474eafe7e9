"""UnitDirectory: what a unit asks the directory for an account that is at home there.

The unit names itself and the epoch by which the account is at home; the directory lets no other one
act for it. Requests and answers are those of homeport.api.directory.v1.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from deployment_units.services.accounts.entry import Resident
from homeport.api.directory.v1 import directory_pb2

CALL_S = 8.0
SEND_S = 25.0  # a code is handed to a relay within the call, which takes 15 s at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryMethod:
    """A method of the directory, of the service named. deadline_s: of all attempts together.
    repeats: whether it is called again where its outcome is not known: it changes nothing, or comes
    with the same request id to the same. changes: whether it changes anything."""

    name: str
    deadline_s: float = CALL_S
    repeats: bool = True
    changes: bool = True
    service: str = "DirectoryService"


CLAIM_HANDLE = DirectoryMethod(name="ClaimHandle")
RELEASE_HANDLE = DirectoryMethod(name="ReleaseHandle")
OFFER_HANDLE = DirectoryMethod(name="OfferHandle", changes=False)
ACCEPT_HANDLE = DirectoryMethod(name="AcceptHandle")
# A second code would be sent, and a second try be counted.
BEGIN_PROOF = DirectoryMethod(name="BeginProof", deadline_s=SEND_S, repeats=False)
FINISH_PROOF = DirectoryMethod(name="FinishProof", repeats=False)
RELEASE_IDENTIFIER = DirectoryMethod(name="ReleaseIdentifier")
GET_ACCOUNT = DirectoryMethod(name="GetAccount", changes=False)
RESOLVE = DirectoryMethod(name="Resolve", changes=False)
CREATE_INVITATION = DirectoryMethod(name="CreateInvitation", service="InvitationService")
ACCEPT_INVITATION = DirectoryMethod(name="AcceptInvitation", service="InvitationService")
DECLINE_INVITATION = DirectoryMethod(name="DeclineInvitation", service="InvitationService")
WITHDRAW_INVITATION = DirectoryMethod(name="WithdrawInvitation", service="InvitationService")
GET_INVITATION = DirectoryMethod(name="GetInvitation", service="InvitationService", changes=False)
FIND_INVITED = DirectoryMethod(name="FindInvited", service="InvitationService", changes=False)
LIST_GROUP_MEMBERS = DirectoryMethod(
    name="ListGroupMembers", service="InvitationService", changes=False
)
GET_ACCOUNT_NUMBERS = DirectoryMethod(
    name="GetAccountNumbers", changes=False, service="NumberService"
)
# Somebody waits at a telephone.
FIND_CALL_HOME = DirectoryMethod(
    name="FindCallHome", changes=False, service="NumberService", deadline_s=5.0
)
FIND_OWN_DOMAINS = DirectoryMethod(name="FindOwnDomains", service="DomainService", changes=False)


class UnitDirectory(Protocol):
    """Of one unit."""

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        """Asks for the resident, as whom the request is completed: tenant, home, and `account` or,
        of Resolve, `viewer`. The answer comes within the method's deadline. Raises what the
        directory says; Unavailable where it surely did nothing; OutcomeUnknown where it may have
        done what was asked: the same request may be made again, with the same request_id."""
        ...


class AccountStreams(Protocol):
    """Of one unit: what the directory says of an account that is at home there, as it changes."""

    def watch(self, resident: Resident) -> AsyncGenerator[directory_pb2.GetAccountResponse, None]:
        """What stands now, then what does after each change; what is past already is skipped, so
        that whoever watches again has missed nothing that stands. Ends by raising: what the
        directory says, that the account is gone or at home elsewhere; Exhausted; Unavailable where
        it is away or shows no sign of life."""
        ...


class WatchedDirectory(UnitDirectory, AccountStreams, Protocol):
    """Both."""
