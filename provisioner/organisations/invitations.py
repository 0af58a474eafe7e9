"""Invitations to groups: routed, kept, accepted, declined and withdrawn.

An invitation is routed when it is made, and again when it is accepted: the transaction that makes
somebody a member of a group compares everything that was judged by, and where any of it has changed
it is judged anew, three times at most. What the directory keeps of an invitation has no address:
whoever accepts shows it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.store.port import Compare, LeaseLost, Operation, Put, Txn, unchanged
from control_plane.store.shared_lease import SharedLease
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.directory.claim_rules import same_life
from provisioner.organisations.actors import Actor, LiveAccount, live_account
from provisioner.organisations.addressed import Addressed, AddressedReader
from provisioner.organisations.admission import (
    AdmissionRule,
    InvitedTo,
    JoiningAccount,
    NotAdmitted,
    judge_acceptance,
)
from provisioner.organisations.invitation_outcomes import (
    InvitationRefused,
    RoutedInvitation,
    check_open,
    no_group,
    no_invitation,
)
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import (
    Group,
    GroupMember,
    Invitation,
    InvitationState,
    Membership,
    encoded,
)
from provisioner.organisations.routing import Invite, InviteReason, NotRouted, Route, route

ATTEMPTS = 3
INVITER_LEFT = AdmissionRule.INVITER_LEFT
KINDS = frozenset({IdentifierKind.EMAIL, IdentifierKind.HANDLE, IdentifierKind.PHONE})


class Invitations:
    """lease: of invitations, as long as the longest; wall: Unix seconds. Every method raises
    NotFound, also for what is none of the actor's; InvalidInput; what check_home raises;
    Unavailable, OutcomeUnknown."""

    def __init__(
        self,
        reader: AddressedReader,
        *,
        lease: SharedLease,
        budgets: ClaimBudgets,
        wall: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._store = reader.registrar.claims
        self._accounts = reader.registrar.accounts
        self._lease = lease
        self._budgets = budgets
        self._wall = wall

    async def route(
        self, tenant: str, organisation: str, group: str, address: Identifier, actor: Actor
    ) -> RoutedInvitation:
        """Where an invitation would go. Nothing is written."""
        return (await self._routed(tenant, organisation, group, address, actor, 0, ""))[0]

    async def create(
        self,
        tenant: str,
        invitation_id: str,
        organisation: str,
        group: str,
        address: Identifier,
        actor: Actor,
        *,
        lasts_s: float,
    ) -> RoutedInvitation:
        """Keeps an invitation under an id of the inviter's; the same one again is answered. Raises
        InvitationRefused where it goes nowhere and an operator asks; Conflict where the id is
        another one's; Exhausted."""
        expires_ms = self.now_ms() + int(lasts_s * 1_000)
        made, reads = await self._routed(
            tenant, organisation, group, address, actor, expires_ms, invitation_id
        )
        key = keys.invitation(tenant, invitation_id)
        stands = await reads.get(key, Invitation)
        if stands is not None:
            if not stands.is_made_again_by(made.invitation):
                raise Conflict("another invitation has this id; choose another")
            return RoutedInvitation(
                id=invitation_id, invitation=stands, route=made.route, judged_by=made.judged_by
            )
        if isinstance(made.route, NotRouted) and actor.is_operator:  # others learn nothing by it
            raise InvitationRefused(NotAdmitted(rule=made.route.rule, why=made.route.why))
        if not actor.is_operator:
            self._budgets.take(tenant, actor.account)
        try:
            put = Put(key, encoded(made.invitation), await self._lease.current())
            then = [put, *await self._inviter_joins(reads, tenant, made.invitation, invitation_id)]
            result = await self._store.commit(Txn(compares=[unchanged(key, 0)], then=then))
        except LeaseLost:
            self._lease.lost()
            raise Conflict("the invitation was not kept; try again") from None
        if not result.succeeded:
            raise Conflict("the invitation was made just now; try again")
        return RoutedInvitation(
            id=invitation_id, invitation=made.invitation, route=made.route, judged_by=made.judged_by
        )

    async def accept(
        self, tenant: str, invitation_id: str, address: Identifier, actor: Actor
    ) -> Invitation:
        """Makes the account a member of the group, judged as of now; what it has accepted already
        is answered. Raises InvitationRefused; ClaimNotAllowed where it is not open; Conflict where
        what it is judged by changes each time."""
        for _ in range(ATTEMPTS):
            reads, key, stands = await self._of_address(tenant, invitation_id, address)
            account = await live_account(self._accounts, tenant, actor.account, actor.unit)
            if stands.state is InvitationState.ACCEPTED and stands.account == actor.account:
                return stands
            check_open(stands)
            writes = await self._judged(reads, tenant, invitation_id, stands, address, account)
            compares = [*reads.compares(), *self._account_compares(account)]
            ended = msgspec.structs.replace(
                stands, state=InvitationState.ACCEPTED, account=actor.account,
                ended_ms=self.now_ms(), judged_by=reads.revisions(),
            )  # fmt: skip
            lease = reads.lease(key)
            txn = Txn(compares=compares, then=[Put(key, encoded(ended), lease), *writes])
            if await self._committed(txn):
                return ended
        raise Conflict(
            "the rules that the invitation is judged by keep changing; try again in a moment"
        )

    async def decline(
        self, tenant: str, invitation_id: str, address: Identifier, actor: Actor
    ) -> Invitation:
        """Says no to it, by an account that has the address."""
        return await self._end(tenant, invitation_id, address, actor, InvitationState.DECLINED)

    async def withdraw(self, tenant: str, invitation_id: str, actor: Actor) -> Invitation:
        """Takes it back, by who made it, or an operator."""
        return await self._end(tenant, invitation_id, None, actor, InvitationState.WITHDRAWN)

    async def get(self, tenant: str, invitation_id: str, actor: Actor) -> Invitation:
        """One that the actor made, accepted or declined."""
        if not actor.is_operator:
            await live_account(self._accounts, tenant, actor.account, actor.unit)
        reads = Reads(self._store)
        found = await reads.get(keys.invitation(tenant, invitation_id), Invitation)
        if found is None or not (
            actor.is_operator or actor.account in (found.inviter, found.account)
        ):
            raise no_invitation()
        return found

    async def seen(
        self, tenant: str, invitation_id: str, address: Identifier, actor: Actor
    ) -> RoutedInvitation:
        """One as an account sees it that has the address: where it goes now, and why."""
        reads, _, stands = await self._of_address(tenant, invitation_id, address)
        addressed = await self._reader.read(reads, tenant, address)
        if not actor.is_operator:
            await live_account(self._accounts, tenant, actor.account, actor.unit)
            if all(one.account != actor.account for one in addressed.accounts):
                raise no_invitation()
        return RoutedInvitation(
            id=invitation_id,
            invitation=stands,
            route=self._route(stands, address, addressed, lasts=True),
            judged_by=reads.revisions(),
        )

    async def invited(
        self, tenant: str, invitation_id: str, address: Identifier, actor: Actor
    ) -> Route:
        """Where one goes now that the actor made."""
        reads, _, stands = await self._of_address(tenant, invitation_id, address)
        if not actor.is_operator:
            home = (await live_account(self._accounts, tenant, actor.account, actor.unit)).home
            if stands.inviter != actor.account or not same_life(
                stands.inviter_life_ms, home.first_ms
            ):
                raise no_invitation()
        addressed = await self._reader.read(reads, tenant, address)
        return self._route(stands, address, addressed, lasts=True)

    def now_ms(self) -> int:
        return int(self._wall() * 1_000)

    async def _inviter_joins(
        self, reads: Reads, tenant: str, invitation: Invitation, invitation_id: str
    ) -> list[Operation]:
        """What makes who invites a member of the group; nothing where it is one."""
        account, life_ms = invitation.inviter, invitation.inviter_life_ms
        if not account:
            return []
        key = keys.group_member(tenant, invitation.organisation, invitation.group, account)
        there = await reads.get(key, GroupMember)
        if there is not None and there.life_ms == life_ms:
            return []
        record = GroupMember(invitation=invitation_id, life_ms=life_ms, since_ms=self.now_ms())
        return [Put(key, encoded(record))]

    async def _routed(
        self,
        tenant: str,
        organisation: str,
        group: str,
        address: Identifier,
        actor: Actor,
        expires_ms: int,
        request: str,
    ) -> tuple[RoutedInvitation, Reads]:
        if address.kind not in KINDS:
            raise InvalidInput(
                "identifier", "identifier is none that is invited: name an e-mail address, a "
                "handle or a telephone number",
            )  # fmt: skip
        reads = Reads(self._store)
        life_ms = await self._check_inviter(reads, tenant, organisation, group, actor)
        addressed = await self._reader.read(reads, tenant, address)
        invitation = Invitation(
            inviter=actor.account,
            organisation=organisation,
            group=group,
            kind=address.kind.value,
            digest=self._reader.digests(tenant, address)[0],
            expires_ms=expires_ms,
            request=request,
            inviter_life_ms=life_ms,
        )
        found = self._route(invitation, address, addressed, lasts=expires_ms > 0)
        made = RoutedInvitation(
            id="", invitation=invitation, route=found, judged_by=reads.revisions()
        )
        return made, reads

    def _route(
        self, invitation: Invitation, address: Identifier, addressed: Addressed, *, lasts: bool
    ) -> Route:
        now_ms = self.now_ms()
        invite = Invite(
            kind=address.kind,
            inviter=invitation.inviter,
            expires_ms=invitation.expires_ms if lasts else now_ms + 1,
        )
        return route(invite, addressed.accounts, addressed.domain, addressed.policies, now_ms)

    async def _check_inviter(
        self, reads: Reads, tenant: str, organisation: str, group: str, actor: Actor
    ) -> int:
        """Whoever invites is an active member of the organisation whose group it is; when this
        life of the client began, Unix ms. Raises NotFound otherwise, as for a group that is not
        there."""
        first_ms = 0
        there = await reads.get(keys.group(tenant, organisation, group), Group)
        if not actor.is_operator:
            account = await live_account(self._accounts, tenant, actor.account, actor.unit)
            first_ms = account.home.first_ms
            if not await self._reader.is_active_in(
                reads, tenant, actor.account, first_ms, organisation
            ):
                raise no_group(group)
        if there is None:
            raise no_group(group)
        return first_ms

    async def _judged(
        self,
        reads: Reads,
        tenant: str,
        invitation_id: str,
        invitation: Invitation,
        address: Identifier,
        account: LiveAccount,
    ) -> list[Operation]:
        """What accepting it writes. Raises InvitationRefused."""
        addressed = await self._reader.read(reads, tenant, address)
        organisation, group = invitation.organisation, invitation.group
        group_key = keys.group(tenant, organisation, group)
        there = await reads.get(group_key, Group, name=f"group {group}")
        if invitation.inviter and not await self._reader.is_active_in(
            reads, tenant, invitation.inviter, invitation.inviter_life_ms, organisation
        ):
            why = (InviteReason(rule=INVITER_LEFT, clause="ORGANISATION", value=organisation),)
            raise InvitationRefused(NotAdmitted(rule=INVITER_LEFT, why=why))
        name, life_ms = account.view.account, account.home.first_ms
        if all(one.account != name for one in addressed.accounts):  # it was forwarded
            raise no_invitation()
        member = await self._reader.member(reads, tenant, name, life_ms)
        own = member.organisation if member is not None else ""
        policies = await self._reader.policies(reads, tenant, [organisation, own])
        policies |= addressed.policies
        joining = JoiningAccount(
            account=name,
            organisation=own,
            active=member is None or member.active,
            single_sign_on=member is not None and member.single_sign_on,
            two_factors=member is not None and member.two_factors,
        )
        judged = judge_acceptance(
            self._route(invitation, address, addressed, lasts=True),
            InvitedTo(
                organisation=organisation if there is not None else "",
                group=group,
                guests=there is not None and there.guests,
            ),
            joining,
            has_address=name != invitation.inviter,
            policies=policies,
        )
        if isinstance(judged, NotAdmitted):
            raise InvitationRefused(judged)
        now_ms = self.now_ms()
        record = GroupMember(invitation=invitation_id, life_ms=life_ms, since_ms=now_ms)
        writes: list[Operation] = [
            Put(keys.group_member(tenant, organisation, group, name), encoded(record))
        ]
        if judged.joins:
            joined = Membership(organisation=judged.joins, life_ms=life_ms, since_ms=now_ms)
            writes.append(Put(keys.membership(tenant, name), encoded(joined)))
        return writes

    def _account_compares(self, account: LiveAccount) -> list[Compare]:
        """That the account is as it was read, where it is in the same store."""
        if self._accounts.shared is None:
            return []
        view = account.view
        home_key = keys.assignment(view.tenant, view.account)
        return [
            unchanged(key, 0 if pair is None else pair.mod_revision)
            for key, pair in ((view.key, view.pair), (home_key, view.home_pair))
        ]

    async def _committed(self, txn: Txn) -> bool:
        try:
            return (await self._store.commit(txn)).succeeded
        except LeaseLost:  # and with it the invitation
            raise no_invitation() from None

    async def _of_address(
        self, tenant: str, invitation_id: str, address: Identifier | None
    ) -> tuple[Reads, bytes, Invitation]:
        """One that went to this address; None: whichever. Raises NotFound."""
        reads, key = Reads(self._store), keys.invitation(tenant, invitation_id)
        stands = await reads.get(key, Invitation)
        if stands is None:
            raise no_invitation()
        if address is not None and (
            stands.kind != address.kind.value
            or stands.digest not in self._reader.digests(tenant, address)
        ):
            raise no_invitation()
        return reads, key, stands

    async def _end(
        self,
        tenant: str,
        invitation_id: str,
        address: Identifier | None,
        actor: Actor,
        state: InvitationState,
    ) -> Invitation:
        for _ in range(ATTEMPTS):
            if not actor.is_operator:
                await live_account(self._accounts, tenant, actor.account, actor.unit)
            reads, key, stands = await self._of_address(tenant, invitation_id, address)
            if address is None and not actor.is_operator and stands.inviter != actor.account:
                raise no_invitation()
            if address is not None:
                addressed = await self._reader.read(reads, tenant, address)
                if all(one.account != actor.account for one in addressed.accounts):
                    raise no_invitation()
            if stands.state is state:
                return stands
            check_open(stands)
            ended = msgspec.structs.replace(
                stands, state=state, account=actor.account if address is not None else "",
                ended_ms=self.now_ms(),
            )  # fmt: skip
            put = Put(key, encoded(ended), reads.lease(key))
            if await self._committed(Txn(compares=reads.compares(), then=[put])):
                return ended
        raise Conflict("the invitation keeps changing; try again")
