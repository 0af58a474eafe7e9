"""Directory: everything of one server that has to do with names, over its stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from control_plane import keys
from control_plane.identifiers.uris import read_any
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.identity.pepper_ring import PepperSource
from control_plane.store.grouped_store import GroupedStore
from control_plane.store.port import KeyValue
from control_plane.store.shared_lease import SharedLease
from provisioner.directory.account_changes import AccountChanges
from provisioner.directory.accounts import AccountStore
from provisioner.directory.budgets import LookupBudgets
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.directory.claim_rules import DAY_MS, QUARANTINE_MS
from provisioner.directory.code_sender import CodeSender
from provisioner.directory.contact_lookups import ContactLookups
from provisioner.directory.first_claims import FirstClaims
from provisioner.directory.handles import Handles
from provisioner.directory.holdings import Holdings
from provisioner.directory.offers import OfferSigner
from provisioner.directory.proofs import Proofs
from provisioner.directory.proved_claims import ProvedClaims
from provisioner.directory.registrar import Registrar, ServerSession
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import HomeReader, Resolver, clients_that_left, itself
from provisioner.directory.seen_profile import ProfileReader

READERS = 2  # groups of reads that are under way at once
PROOFS_SHARE_S = 60.0
QUARANTINES_SHARE_S = 86_400.0
# Reading one of a kind for the first time reads the tables of that kind, a tenth of a second long.
_OF_EACH_KIND = ("@anna", "anna@mail.example", "+442079460018", "sip:anna@mail.example", "анна")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """homes, first_claims None: where clients are in several clusters, and nothing of them is
    remembered."""

    store: GroupedStore
    pepper: PepperSource
    registrar: Registrar
    handles: Handles
    first_claims: FirstClaims | None
    proved: ProvedClaims
    proofs: Proofs
    holdings: Holdings
    budgets: LookupBudgets
    claims: ReadReplica
    changes: AccountChanges
    homes: ReadReplica | None
    resolver: Resolver
    profiles: ProfileReader

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What works beside the calls, by name."""
        found: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "directory's pepper": self.pepper.run,
            "directory's claims": self.claims.run,
            "directory's writes": self.store.run_writes,
            **{f"directory's reads {one}": self.store.run_reads for one in range(READERS)},
        }
        if self.homes is not None:
            found["homes of the directory"] = self.homes.run
        return found

    async def start(self) -> None:
        """Reads what the first call would wait for. Raises InvalidInput, StoreUnavailable,
        OutcomeUnknown."""
        await asyncio.to_thread(lambda: [read_any(text) for text in _OF_EACH_KIND])
        await self.pepper.start()


def build_directory(
    store: GroupedStore,
    accounts: AccountStore,
    sharded_homes: HomeReader | None,
    pepper: PepperSource,
    sender: CodeSender,
    profiles: ProfileReader,
    *,
    session: Callable[[], ServerSession],
    endpoint_of: Callable[[str], str],
    introductions: IntroductionIssuer,
    clock: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[int], bytes],
    recent: Callable[[bytes], KeyValue | None] | None = None,
) -> Directory:
    """store: with the claims; its tasks are the directory's. sharded_homes None: clients are in it,
    too. recent: as FirstClaims has it; None: none are made so. clock: monotonic seconds;
    wall: Unix seconds; random(n): n bytes from a cryptographic source."""

    def secrets() -> Any:
        return pepper.secrets

    registrar = Registrar(
        store,
        accounts,
        session=session,
        quarantine=SharedLease(
            store, lasts_s=QUARANTINE_MS / 1_000, shared_s=QUARANTINES_SHARE_S, clock=clock
        ),
        wall=wall,
    )
    proved = ProvedClaims(registrar, secrets=secrets)
    proof_lease = SharedLease(store, lasts_s=DAY_MS / 1_000, shared_s=PROOFS_SHARE_S, clock=clock)
    changes = AccountChanges(hears_records=sharded_homes is None)
    claims = ReadReplica(store, keys.DIRECTORY, itself, heard=changes.heard)
    homes = None
    if sharded_homes is None:
        homes = ReadReplica(store, keys.WHO_LEFT, clients_that_left, keeps_absent=False)
    budgets = LookupBudgets(clock=clock)
    claim_budgets = ClaimBudgets(clock=clock)
    handles = Handles(registrar, OfferSigner(secrets), claim_budgets)
    first_claims = None
    if recent is not None and accounts.shared is store:
        first_claims = FirstClaims(handles, registrar, claim_budgets, store.submit, recent=recent)
    reader: HomeReader = sharded_homes or homes  # type: ignore[assignment]
    return Directory(
        store=store,
        pepper=pepper,
        registrar=registrar,
        handles=handles,
        first_claims=first_claims,
        proved=proved,
        proofs=Proofs(proved, sender, secrets=secrets, lease=proof_lease, random=random),
        holdings=Holdings(registrar, secrets=secrets),
        budgets=budgets,
        claims=claims,
        changes=changes,
        homes=homes,
        profiles=profiles,
        resolver=Resolver(
            claims,
            reader,
            registrar,
            budgets,
            secrets=secrets,
            endpoint_of=endpoint_of,
            introductions=introductions,
            wall=wall,
            contacts=ContactLookups(profiles),
        ),
    )
