"""What the store has of organisations: values, and how they are written.

None of them holds an address: an invitation has the digest of the one that it went to, as claims
have. Domains are kept as they are called, for DNS is asked for them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import msgspec

from control_plane.errors import DataLoss
from control_plane.store.damaged import UNREADABLE, shown_key
from control_plane.store.port import KeyValue
from provisioner.organisations.policy import OrganisationPolicy

MOST_OWNERS = 32
MOST_DOMAINS = 256  # of one organisation
MOST_PENDING = 32  # domains that one organisation is to prove


class Organisation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """owners: accounts that may change it. Its revision is the store's."""

    name: str
    owners: tuple[str, ...] = ()
    policy: OrganisationPolicy = OrganisationPolicy()


class PendingDomain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A domain that an organisation asked for; it reserves nothing. token: of the record that is to
    be published."""

    name: str
    token: str
    expires_ms: int
    covers_subdomains: bool = True


class DomainBook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The domains of one organisation, by name."""

    owned: tuple[str, ...] = ()
    pending: tuple[PendingDomain, ...] = ()

    def wants(self, name: str, now_ms: int) -> PendingDomain | None:
        """What is pending of this name, if it has not expired."""
        return next(
            (one for one in self.pending if one.name == name and now_ms < one.expires_ms), None
        )

    def with_pending(self, wanted: PendingDomain, now_ms: int) -> DomainBook:
        """The same, with this one, and without what has expired."""
        kept = (one for one in self.pending if one.name != wanted.name and now_ms < one.expires_ms)
        return msgspec.structs.replace(self, pending=(*kept, wanted))

    def with_owned(self, name: str) -> DomainBook:
        """The same once the domain is the organisation's."""
        rest = self.without(name)
        return msgspec.structs.replace(rest, owned=(*rest.owned, name))

    def without(self, name: str) -> DomainBook:
        """The same, and the domain neither the organisation's nor wanted."""
        return DomainBook(
            owned=tuple(one for one in self.owned if one != name),
            pending=tuple(one for one in self.pending if one.name != name),
        )


class Membership(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account's organisation. life_ms: of the client whose it is (see Holder). single_sign_on,
    two_factors: what it has shown, as whoever signs it in says."""

    organisation: str
    active: bool = True
    single_sign_on: bool = False
    two_factors: bool = False
    life_ms: int = 0
    since_ms: int = 0


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """guests: whether accounts of others may be in it, where the policy takes them."""

    guests: bool = True


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    """That an account is in a group, and by which invitation."""

    invitation: str
    life_ms: int
    since_ms: int


class InvitationState(StrEnum):
    """What became of an invitation."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Invitation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind, digest: of the address that it went to; of a handle its stored key. account: who
    accepted or declined. judged_by: the revisions by which it was accepted, by name."""

    inviter: str  # empty: an operator
    organisation: str
    group: str
    kind: str
    digest: str
    expires_ms: int
    request: str
    inviter_life_ms: int = 0
    state: InvitationState = InvitationState.OPEN
    account: str = ""
    ended_ms: int = 0
    judged_by: dict[str, int] = {}

    def is_made_again_by(self, other: Invitation) -> bool:
        """Whether two are one; of an address by either of its digests the newer counts."""
        fields = ("inviter", "organisation", "group", "kind", "digest", "request")
        return all(getattr(self, field) == getattr(other, field) for field in fields)


Record = TypeVar("Record", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder()


def encoded(record: msgspec.Struct) -> bytes:
    """As it is stored: JSON, so that an operator can read it."""
    return _encoder.encode(record)


def decoded(pair: KeyValue | None, record: type[Record]) -> Record | None:
    """None: there is none. Raises DataLoss."""
    if pair is None:
        return None
    try:
        return msgspec.json.decode(pair.value, type=record)
    except UNREADABLE as error:  # msgspec's errors among them
        raise DataLoss(
            f"the record {shown_key(pair.key)} is damaged in the store: {error}; "
            "delete it, and have it made again"
        ) from error
