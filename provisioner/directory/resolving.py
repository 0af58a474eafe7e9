"""Resolver: from an identifier to its accounts, and to where they are at home.

Others than handles are found by their own accounts, by everybody where the account said so when it
proved them, and by those accounts to whom it shows them (see contact_lookups). What may not be
found is answered as what is not there, and costs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from control_plane import keys
from control_plane.errors import DataLoss, NotFound, ServiceError, Unavailable
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.identifiers.skeleton import stored_key
from control_plane.identity.introductions import INTRODUCTION_TTL_S, IntroductionIssuer
from control_plane.identity.pepper_ring import DirectorySecrets
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Event, KeyValue
from provisioner.directory.accounts import AccountView, ActingUnit, check_home
from provisioner.directory.budgets import Asker, LookupBudgets, LookupCharge
from provisioner.directory.claim_rules import ClaimNotAllowed, same_life
from provisioner.directory.claims import DirectoryClaim, Holder, decode_claim
from provisioner.directory.contact_lookups import ContactLookups
from provisioner.directory.registrar import Registrar
from provisioner.directory.replica import ReadReplica, ReplicaRead
from provisioner.directory.residence import Residence
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.departure import decode_released


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """residences: one or more, several of an e-mail address alone. revision: of the directory, for
    which it stands."""

    residences: Sequence[Residence]
    revision: int
    stale: bool


class HomeReader(Protocol):
    """Reads assignments: a ReadReplica, or where clients are in several clusters each of them."""

    def remembered(self, keys: Sequence[bytes]) -> ReplicaRead | None: ...

    async def read(self, keys: Sequence[bytes], *, fresh: bool = False) -> ReplicaRead: ...


class Resolver:
    """endpoint_of(unit): where it is reached; empty: not known. wall: Unix seconds. contacts: None:
    nobody finds what is not findable."""

    def __init__(
        self,
        claims: ReadReplica,
        homes: HomeReader,
        registrar: Registrar,
        budgets: LookupBudgets,
        *,
        secrets: Callable[[], DirectorySecrets],
        endpoint_of: Callable[[str], str],
        introductions: IntroductionIssuer,
        wall: Callable[[], float],
        contacts: ContactLookups | None = None,
    ) -> None:
        self._claims = claims
        self._homes = homes
        self._registrar = registrar
        self._budgets = budgets
        self._secrets = secrets
        self._endpoint_of = endpoint_of
        self._introductions = introductions
        self._wall = wall
        self._contacts = contacts
        self.found = self.missed = 0

    async def resolve(
        self, identifier: Identifier, asker: Asker, *, fresh: bool = False
    ) -> Resolution:
        """asker.viewer: the account that asks; empty: an operator, who finds everybody. Raises
        NotFound; Exhausted; Unavailable where the store is away and something is not known."""
        charge = self._budgets.take(asker)
        try:
            found = await self._resolution(identifier, asker, fresh=fresh)
            if not found.residences and (contacts := self._shown_to(identifier, asker)):
                hidden = partial(self._hidden, identifier, asker, fresh=fresh)
                found = replace(found, residences=await contacts.among(hidden, identifier))
        except Unavailable:  # that is nobody's walking
            charge.found()
            raise
        return self._charged(found, charge)

    def remembered(
        self, identifier: Identifier, asker: Asker, acting: ActingUnit | None
    ) -> Resolution | None:
        """The same by what this server remembers, for a viewer who is at home with who acts for it;
        None: something has to be read, and nothing was charged. Raises NotFound, Exhausted."""
        if acting is not None and not self._is_at_home(asker.tenant, asker.viewer, acting):
            return None
        read = self._claims.remembered(self._keys(asker.tenant, identifier))
        if read is None:
            return None
        claims = [decode_claim(pair) for pair in read.pairs]
        if any(one is not None and one.pending is not None for one in claims):
            return None
        holders = [one for claim in claims for one in _found(claim, identifier, asker)]
        if not holders and self._shown_to(identifier, asker):
            return None
        homes = self._homes.remembered(
            [keys.assignment(asker.tenant, one.account) for one in holders]
        )
        if homes is None:
            return None
        charge = self._budgets.take(asker)
        return self._charged(self._residences(read, holders, homes, asker), charge)

    async def resolve_account(
        self, account: str, asker: Asker, *, fresh: bool = False
    ) -> Resolution:
        """Of an account that is named by its id. Raises as `resolve`."""
        charge = self._budgets.take(asker)
        try:
            home = await self._homes.read([keys.assignment(asker.tenant, account)], fresh=fresh)
        except Unavailable:  # that is nobody's walking
            charge.found()
            raise
        return self._charged(self._of_account(account, home, asker), charge)

    def remembered_account(
        self, account: str, asker: Asker, acting: ActingUnit | None
    ) -> Resolution | None:
        """The same as `remembered` does."""
        if acting is not None and not self._is_at_home(asker.tenant, asker.viewer, acting):
            return None
        home = self._homes.remembered([keys.assignment(asker.tenant, account)])
        if home is None:
            return None
        charge = self._budgets.take(asker)
        return self._charged(self._of_account(account, home, asker), charge)

    def _of_account(self, account: str, home: ReplicaRead, asker: Asker) -> Resolution:
        return Resolution(
            residences=[
                self._made(account, _home(pair), asker) for pair in home.pairs if pair is not None
            ],
            revision=home.revision,
            stale=home.stale,
        )

    def _charged(self, found: Resolution, charge: LookupCharge) -> Resolution:
        if not found.residences:
            self.missed += 1
            raise NotFound("nobody is found by this identifier")
        charge.found()
        self.found += 1
        return found

    def _shown_to(self, identifier: Identifier, asker: Asker) -> ContactLookups | None:
        """By whom it is known whether an account shows the identifier to the viewer."""
        introduced = asker.viewer and (asker.unit_id or asker.stranger)
        is_handle = identifier.kind is IdentifierKind.HANDLE
        return self._contacts if introduced and not is_handle else None

    async def _hidden(
        self, identifier: Identifier, asker: Asker, *, fresh: bool
    ) -> Sequence[Residence]:
        found = await self._resolution(identifier, asker, fresh=fresh, hidden=True)
        return found.residences

    async def _resolution(
        self, identifier: Identifier, asker: Asker, *, fresh: bool, hidden: bool = False
    ) -> Resolution:
        """Without residences: nobody that the viewer may find. hidden: whoever it is."""
        read = await self._claims.read(self._keys(asker.tenant, identifier), fresh=fresh)
        claims = [await self._settled(pair) for pair in read.pairs]
        asked = replace(asker, viewer="", stranger=False) if hidden else asker
        holders = [one for claim in claims for one in _found(claim, identifier, asked)]
        homes = ReplicaRead(pairs=(), revision=read.revision)
        if holders:
            homes = await self._homes.read(
                [keys.assignment(asker.tenant, one.account) for one in holders], fresh=fresh
            )
        return self._residences(read, holders, homes, asker)

    def _residences(
        self, read: ReplicaRead, holders: Sequence[Holder], homes: ReplicaRead, asker: Asker
    ) -> Resolution:
        found = (
            self._residence(holder, home, asker)
            for holder, home in zip(holders, homes.pairs, strict=True)
        )
        return Resolution(
            residences=[one for one in found if one is not None],
            revision=read.revision,
            stale=read.stale or homes.stale,
        )

    def _is_at_home(self, tenant: str, viewer: str, acting: ActingUnit) -> bool:
        """Whether that is remembered; False: `check_viewer` says."""
        read = self._homes.remembered([keys.assignment(tenant, viewer)])
        if read is None or (pair := read.pairs[0]) is None:
            return False
        home = _home(pair)
        return (home.unit, home.epoch) == (acting.unit_id, acting.epoch)

    async def check_viewer(self, tenant: str, viewer: str, acting: ActingUnit) -> None:
        """Raises NotFound, ClaimNotAllowed where the viewer is not at home with who asks for it."""
        key = keys.assignment(tenant, viewer)
        read = await self._homes.read([key])
        view = AccountView(tenant=tenant, account=viewer, pair=None, home_pair=read.pairs[0])
        try:
            check_home(view, acting)
        except ClaimNotAllowed:
            # It may have moved to this very unit a moment ago.
            read = await self._homes.read([key], fresh=True)
            check_home(replace(view, home_pair=read.pairs[0]), acting)

    def _keys(self, tenant: str, identifier: Identifier) -> list[bytes]:
        if identifier.kind is IdentifierKind.HANDLE:
            return [keys.handle_claim(tenant, stored_key(identifier.normal))]
        digests = self._secrets().digests.digests(tenant, identifier)
        return [keys.identifier_claim(tenant, identifier.kind.value, one) for one in digests]

    async def _settled(self, pair: KeyValue | None) -> DirectoryClaim | None:
        claim = decode_claim(pair)
        if pair is not None and claim is not None and claim.pending is not None:
            with suppress(ServiceError):  # somebody is at it: what stood before counts
                _, claim = await self._registrar.claim_at(pair.key)
        return claim

    def _residence(self, holder: Holder, home: KeyValue | None, asker: Asker) -> Residence | None:
        """None: the client that had it is gone."""
        if home is None:
            return None
        record = _home(home)
        if not same_life(holder.life_ms, record.first_ms):
            return None
        return self._made(holder.account, record, asker)

    def _made(self, account: str, record: AssignmentRecord, asker: Asker) -> Residence:
        introduction, now = "", self._wall()
        if asker.unit_id or asker.stranger:
            introduction = self._introductions.make(
                record.unit,
                asker.tenant,
                account,
                record.epoch,
                now,
                viewer=asker.viewer,
                from_unit=asker.unit_id,
                first_ms=record.first_ms,
            )
        return Residence(
            account=account,
            unit_id=record.unit,
            endpoint=self._endpoint_of(record.unit),
            epoch=record.epoch,
            introduction=introduction,
            expires_at=now + INTRODUCTION_TTL_S if introduction else 0.0,
        )


def _found(claim: DirectoryClaim | None, identifier: Identifier, asker: Asker) -> Sequence[Holder]:
    """Those of its holders that the asker may find. A handle that only looks like it is another
    one."""
    if claim is None or (claim.handle and claim.handle != identifier.normal):
        return ()
    if identifier.kind is IdentifierKind.HANDLE or not (asker.viewer or asker.stranger):
        return claim.holders
    return [one for one in claim.holders if one.findable or one.account == asker.viewer]


def _home(pair: KeyValue) -> AssignmentRecord:
    try:
        return decode_assignment(pair.value)
    except UNREADABLE as error:
        raise DataLoss("the assignment of this account is damaged in the store") from error


def itself(event: Event) -> tuple[bytes, ...]:
    """A claim's own key."""
    return (event.kv.key,)


def clients_that_left(event: Event) -> Sequence[bytes]:
    """The assignments that a change of `moves…` makes uncertain (docs/decisions/0009-watches.md):
    every client that leaves a unit, or is released, is told there."""
    if event.kv.key == keys.RELEASED:
        try:
            names = decode_released(event.kv.value) if not event.deleted else []
        except UNREADABLE:
            return ()
        return [keys.ASSIGNMENTS + name.encode() for name in names]
    return (keys.ASSIGNMENTS + event.kv.key[len(keys.MOVES) :].partition(b"/")[2],)
