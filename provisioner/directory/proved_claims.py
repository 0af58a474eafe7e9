"""ProvedClaims: claims of identifiers that were proved: taken, contested, released.

They stand under digests, so nobody reads in the store what they are. What was claimed under the
pepper before is found there, and moves under the current one when its only account proves it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, InvalidInput
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.identity.pepper_ring import DirectorySecrets
from control_plane.store.port import Compare, KeyValue, Operation, absent, unchanged
from provisioner.directory import protocol
from provisioner.directory.accounts import AccountView, ActingUnit, check_home, view_account
from provisioner.directory.claim_rules import ProofOutcome, after_proof
from provisioner.directory.claims import DirectoryClaim, Holder, Listed
from provisioner.directory.protocol import ClaimChange, Guards
from provisioner.directory.registrar import ATTEMPTS, Gain, Registrar

NOT_PROVED = frozenset({IdentifierKind.HANDLE, IdentifierKind.DOMAIN})  # no code is sent to these


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """An identifier that an account has proved. digest: what it is called in the store, and in the
    account's record. contested_until_ms: it is another account's yet, who has until then to prove
    it again; 0: this account has it."""

    kind: str
    digest: str
    revision: int
    contested_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What stands under the digests of an identifier; `digest`: of the one that counts."""

    digest: str
    key: bytes
    pair: KeyValue | None
    claim: DirectoryClaim | None
    compares: tuple[Compare, ...] = ()  # of the others


class ProvedClaims:
    """Over a registrar. Methods raise Unavailable, OutcomeUnknown, Conflict, DataLoss besides."""

    def __init__(self, registrar: Registrar, *, secrets: Callable[[], DirectorySecrets]) -> None:
        self.registrar = registrar
        self._secrets = secrets

    async def live_account(
        self, tenant: str, account: str, acting: ActingUnit | None, request: str
    ) -> AccountView:
        """The account, after what an earlier client of its name had has been given back. Raises
        NotFound, ClaimNotAllowed."""
        for _ in range(ATTEMPTS):
            view = await view_account(self.registrar.accounts, tenant, account)
            check_home(view, acting)
            if not view.is_former:
                return view
            await self.registrar.let_go(view, view.record.listed, request)
        raise _busy()

    async def done(self, view: AccountView, identifier: Identifier, request: str) -> Proved | None:
        """What this request has come to already; None: it has not."""
        kind = identifier.kind.value
        sight = await self._sight(view.tenant, identifier)
        pair, claim = sight.pair, sight.claim
        if pair is None or claim is None:
            return None
        if view.record.lists(kind, sight.digest, request):
            if claim.holder(view.account) is None:
                return None
            return Proved(kind=kind, digest=sight.digest, revision=pair.mod_revision)
        contest = claim.contest
        if contest is None or contest.account != view.account or claim.request != request:
            return None
        return Proved(
            kind=kind, digest=sight.digest, revision=pair.mod_revision,
            contested_until_ms=contest.until_ms,
        )  # fmt: skip

    async def claim(
        self,
        view: AccountView,
        identifier: Identifier,
        *,
        request: str,
        findable: bool,
        compares: Sequence[Compare],
        writes: Sequence[Operation],
    ) -> Proved | None:
        """Claims what the account has proved, by a transaction that compares and writes this
        besides; None: something has changed meanwhile. Raises ClaimNotAllowed."""
        tenant, kind, home = view.tenant, identifier.kind.value, view.home
        assert home is not None
        sight, now_ms = await self._sight(tenant, identifier), self.registrar.now_ms()
        holder = Holder(
            account=view.account, life_ms=home.first_ms, proved_ms=now_ms, findable=findable
        )
        others = await self._others(tenant, sight.claim, view.account)
        gone = {one.account for one, life_ms in others.values() if not one.has(life_ms)}
        outcome = after_proof(sight.claim, kind, holder, gone=gone, request=request, now_ms=now_ms)
        guards = Guards(compares=(*compares, *sight.compares), writes=writes)
        if not outcome.held:
            return await self._contest(sight, kind, outcome, guards)
        gain = self._gain(view, sight, identifier, outcome, holder, request)
        if outcome.loses:
            gain = replace(gain, loses=others[outcome.loses][0])
        revision = await self.registrar.gain(gain, guards)
        if not revision:
            return None
        return Proved(kind=kind, digest=gain.listed.key, revision=revision)

    async def release(
        self,
        tenant: str,
        account: str,
        identifier: Identifier,
        acting: ActingUnit | None,
        *,
        request: str,
    ) -> bool:
        """Has the account give an identifier up, which anybody may prove then; False: it does not
        have it. Raises InvalidInput for a handle or a domain, which nobody has this way; NotFound,
        ClaimNotAllowed."""
        kind = identifier.kind.value
        if identifier.kind in NOT_PROVED:
            instead = "; give a handle back with ReleaseHandle" if kind == "handle" else ""
            raise InvalidInput(
                "identifier", f"identifier is a {kind}, which is not proved{instead}"
            )
        digests = self._secrets().digests.digests(tenant, identifier)
        for _ in range(ATTEMPTS):
            view = await view_account(self.registrar.accounts, tenant, account)
            check_home(view, acting)
            own = [one for one in view.record.of_kind(kind) if one.key in digests]
            if not own or view.is_former:
                return False
            if await self.registrar.let_go(view, own, request):
                return True
        raise _busy()

    async def _sight(self, tenant: str, identifier: Identifier) -> _Sight:
        """Under the current digest, or the one before where the claim is there."""
        kind = identifier.kind.value
        found = []
        for digest in self._secrets().digests.digests(tenant, identifier):
            key = keys.identifier_claim(tenant, kind, digest)
            pair, claim = await self.registrar.claim_at(key)
            found.append(_Sight(digest=digest, key=key, pair=pair, claim=claim))
        chosen = next((one for one in found if one.claim is not None), found[0])
        others = tuple(_as_read(one) for one in found if one is not chosen)
        return _Sight(
            digest=chosen.digest,
            key=chosen.key,
            pair=chosen.pair,
            claim=chosen.claim,
            compares=others,
        )

    async def _others(
        self, tenant: str, claim: DirectoryClaim | None, account: str
    ) -> dict[str, tuple[AccountView, int]]:
        """The accounts beside this one that a claim names, as they are, and the first assignments
        that they had it with. MOST_HOLDERS at most."""
        found = {}
        for holder in () if claim is None else claim.holders:
            if holder.account != account:
                view = await view_account(self.registrar.accounts, tenant, holder.account)
                found[holder.account] = (view, holder.life_ms)
        return found

    async def _contest(
        self, sight: _Sight, kind: str, outcome: ProofOutcome, guards: Guards
    ) -> Proved | None:
        """The claim says so; whoever has it keeps it."""
        change = ClaimChange(key=sight.key, before=sight.pair, after=outcome.after)
        faultpoints.passing("claim.commit.before")
        result = await self.registrar.claims.commit(protocol.together([change], (), guards))
        faultpoints.passing("claim.commit.after")
        if not result.succeeded:
            return None
        return Proved(
            kind=kind, digest=sight.digest, revision=result.revision,
            contested_until_ms=outcome.until_ms,
        )  # fmt: skip

    def _gain(
        self,
        view: AccountView,
        sight: _Sight,
        identifier: Identifier,
        outcome: ProofOutcome,
        holder: Holder,
        request: str,
    ) -> Gain:
        kind, home = identifier.kind.value, view.home
        assert home is not None
        current = self._secrets().digests.digest(view.tenant, identifier)
        change = ClaimChange(key=sight.key, before=sight.pair, after=outcome.after)
        listed = Listed(key=sight.digest, kind=kind, request=request)
        gives = None
        own = sight.claim is not None and sight.claim.holder(view.account) is not None
        if sight.digest != current and own and len(outcome.after.holders) == 1:
            old = Listed(key=sight.digest, kind=kind, request=request)
            gives = (ClaimChange(key=sight.key, before=sight.pair, after=None), old)
            key = keys.identifier_claim(view.tenant, kind, current)
            change = ClaimChange(key=key, before=None, after=outcome.after)
            listed = Listed(key=current, kind=kind, request=request)
        return Gain(
            change=change,
            account=view,
            record=view.record_now(home),
            listed=listed,
            holder=holder,
            gives=gives,
        )


def _as_read(sight: _Sight) -> Compare:
    if sight.pair is None:
        return absent(sight.key)
    return unchanged(sight.key, sight.pair.mod_revision)


def _busy() -> Conflict:
    return Conflict("others keep changing this claim, or the account; try again")
