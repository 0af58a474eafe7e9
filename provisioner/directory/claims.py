"""DirectoryClaim and DirectoryAccount: that a name belongs to an account, and what an account has.

A claim stands under what all names share that may be taken for it: the key of a handle's looks, the
digest of any other identifier. It names accounts, never units, so that a move rewrites nothing. The
record of an account lies with its assignment, and lists its claims: who holds a name is who its
claim names *and* whose record lists it, which two steps make so where the two are in different
stores (`claiming`). Values only; what may become of them, `claim_rules` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from control_plane.errors import DataLoss
from control_plane.identifiers.identifier import IdentifierKind
from control_plane.store.damaged import UNREADABLE, shown_key
from control_plane.store.port import KeyValue

MOST_HOLDERS = 16  # accounts of one e-mail address
MOST_IDENTIFIERS = 32  # of one account, beside its handle
MOST_GIVEN_BACK = 8  # handles of one account, the one that it has among them, kept from others
MAX_REQUEST_ID = 64  # characters


class ClaimState(StrEnum):
    """What a claim is."""

    HELD = "held"
    CLAIMING = "claiming"  # a server is at it, in two steps
    CONTESTED = "contested"  # held, and somebody else has proved it
    QUARANTINED = "quarantined"  # freed, and nobody else's yet


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account that has a name."""

    account: str
    life_ms: int = 0  # first assignment of its client, Unix ms; 0: not recorded
    proved_ms: int = 0  # when it proved or took it last, Unix ms
    findable: bool = False  # whether others find the account by it


class PendingClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first of two steps: who is to have it, once its account's record says so."""

    holder: Holder
    request: str  # what the record lists it with
    session: str  # of the server that is at it
    replaces: bool = True  # takes the place of the holders; else stands beside them
    handle: str = ""  # of a handle: how it is spelt


class Contest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody proved an identifier that another account holds."""

    account: str
    since_ms: int
    until_ms: int  # from then on a proof of this account takes it over; Unix ms


class DirectoryClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One claim, as stored. handle: how it is spelt; empty: of another kind, which is not kept in
    plain text."""

    holders: tuple[Holder, ...] = ()
    handle: str = ""
    request: str = ""  # that wrote it last
    pending: PendingClaim | None = None
    contest: Contest | None = None
    freed_by: str = ""  # of a quarantined one: the account that had it
    freed_life_ms: int = 0
    until_ms: int = 0  # of a quarantined one: its end, Unix ms

    @property
    def state(self) -> ClaimState:
        if self.pending is not None:
            return ClaimState.CLAIMING
        if self.until_ms:
            return ClaimState.QUARANTINED
        return ClaimState.CONTESTED if self.contest is not None else ClaimState.HELD

    def holder(self, account: str) -> Holder | None:
        """The account among its holders."""
        return next((one for one in self.holders if one.account == account), None)


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A claim in the record of its account."""

    key: str  # of a handle: its stored key; else its digest
    request: str  # that had it listed
    kind: str = IdentifierKind.HANDLE.value
    handle: str = ""


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """A handle that the account gave back, and that is kept from others."""

    key: str
    until_ms: int


class DirectoryAccount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account has, as stored. life_ms: as Holder has it: what a client of the same id has
    that was made later, after a release, is not its; epoch: the highest that changed it."""

    listed: tuple[Listed, ...] = ()
    epoch: int = 0
    life_ms: int = 0
    given_back: tuple[GivenBack, ...] = ()  # that are still kept from others, or were until lately

    def lists(self, kind: str, key: str, request: str = "") -> bool:
        """Whether it lists a claim; with a request: by that one."""
        return any(
            one.kind == kind and one.key == key and request in ("", one.request)
            for one in self.listed
        )

    def of_kind(self, kind: str) -> tuple[Listed, ...]:
        """Those of one kind."""
        return tuple(one for one in self.listed if one.kind == kind)

    def with_listed(self, one: Listed) -> DirectoryAccount:
        """The same, with this one in place of what it lists under the key."""
        rest = without(self.listed, one.kind, one.key)
        return msgspec.structs.replace(self, listed=(*rest, one))

    def with_given_back(self, key: str, until_ms: int, now_ms: int) -> DirectoryAccount:
        """The same, with this handle kept from others until then, and without those that are not
        any more."""
        rest = self.keeps_from_others(now_ms, but=key)
        given = GivenBack(key=key, until_ms=until_ms)
        return msgspec.structs.replace(self, given_back=(*rest, given))

    def keeps_from_others(self, now_ms: int, *, but: str = "") -> tuple[GivenBack, ...]:
        """Handles that it gave back and others cannot have yet; but: one that it takes again."""
        return tuple(one for one in self.given_back if one.until_ms > now_ms and one.key != but)

    def without_listed(self, kind: str, key: str) -> DirectoryAccount:
        """The same, without it."""
        return msgspec.structs.replace(self, listed=without(self.listed, kind, key))


def without(listed: Iterable[Listed], kind: str, key: str) -> tuple[Listed, ...]:
    """All but this one."""
    return tuple(one for one in listed if (one.kind, one.key) != (kind, key))


_encoder = msgspec.json.Encoder()
_claims = msgspec.json.Decoder(DirectoryClaim)
_accounts = msgspec.json.Decoder(DirectoryAccount)


def encode(record: DirectoryClaim | DirectoryAccount) -> bytes:
    """As it is stored: JSON, so that an operator can read it."""
    return _encoder.encode(record)


def decode_claim(pair: KeyValue | None) -> DirectoryClaim | None:
    """None: there is none. Raises DataLoss."""
    if pair is None:
        return None
    try:
        return _claims.decode(pair.value)
    except UNREADABLE as error:  # msgspec's errors among them
        raise DataLoss(
            f"the claim {shown_key(pair.key)} is damaged in the store: {error}; "
            "delete its record, and have it claimed again"
        ) from error


def decode_account(pair: KeyValue | None) -> DirectoryAccount:
    """An empty one where there is none. Raises DataLoss."""
    if pair is None:
        return DirectoryAccount()
    try:
        return _accounts.decode(pair.value)
    except UNREADABLE as error:  # msgspec's errors among them
        raise DataLoss(
            f"the record {shown_key(pair.key)} is damaged in the store: {error}; "
            "delete it, and have the account's names claimed again"
        ) from error
