"""Directory servers over fakes: what several tests of the directory build their servers from."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from control_plane import keys
from control_plane.identifiers.identifier import Identifier
from control_plane.identity.pepper_ring import DirectorySecrets, PepperRing, StoredPepper
from control_plane.store.grouped_store import GroupedStore
from control_plane.store.port import Compare, KeyValue, Put, Target, Txn
from control_plane.store.shared_lease import SharedLease
from provisioner.directory.accounts import AccountStore, SharedAccountStore
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.directory.claim_rules import QUARANTINE_MS
from provisioner.directory.first_claims import FirstClaims
from provisioner.directory.handles import Handles
from provisioner.directory.offers import OfferSigner
from provisioner.directory.proofs import Proofs
from provisioner.directory.proved_claims import ProvedClaims
from provisioner.directory.registrar import Registrar
from provisioner.ledger.assignment_encoding import encode_assignment

TENANT = "talk"
NOW = 1_800_000_000.0
_numbers = itertools.count(1)


def ring(*epochs: int) -> DirectorySecrets:
    """Secrets of a ring with peppers of these epochs, each the same wherever it is used."""
    peppers = tuple(
        StoredPepper(epoch=one, secret=base64.b64encode(bytes([one]) * 32).decode())
        for one in epochs
    )
    return DirectorySecrets(PepperRing(peppers=peppers))


@dataclass
class FakeSession:
    """A session in the store of claims."""

    id: str
    revision: int

    @property
    def compare(self) -> Compare:
        return Compare(keys.session(self.id), Target.CREATE_REVISION, self.revision)


@dataclass
class CodeBox:
    """Takes codes and keeps them. fails: what is raised in place of the next ones."""

    codes: list[tuple[str, str]] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    def channel(self, identifier: Identifier) -> str:
        return {"mailto": "mail", "tel": "text", "sip": "text"}.get(identifier.kind.value, "")

    async def send(self, identifier: Identifier, code: str, *, lasts_s: float) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.codes.append((identifier.normal, code))

    def last(self) -> str:
        return self.codes[-1][1]


@dataclass
class Clock:
    """Unix seconds that a test moves."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


class DirectoryServer:
    """One server's part of the directory. claims: the store with them; accounts: None: it has the
    accounts, too."""

    def __init__(
        self,
        claims,
        accounts: AccountStore | None = None,
        *,
        clock: Clock | None = None,
        secrets: DirectorySecrets | None = None,
        rng: random.Random | None = None,
        session: FakeSession | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.box = CodeBox()
        self.secrets = secrets or ring(1)
        self.session = session or FakeSession("none", 0)
        source = rng or random.Random(7)
        quarantine = SharedLease(
            claims, lasts_s=QUARANTINE_MS / 1_000, shared_s=86_400, clock=self.clock
        )
        self.registrar = Registrar(
            claims,
            accounts or SharedAccountStore(claims),
            session=lambda: self.session,
            quarantine=quarantine,
            wall=self.clock,
        )
        self.budgets = ClaimBudgets(clock=self.clock)
        self.handles = Handles(self.registrar, OfferSigner(lambda: self.secrets), self.budgets)
        self.proved = ProvedClaims(self.registrar, secrets=lambda: self.secrets)
        self.proofs = Proofs(
            self.proved,
            self.box,
            secrets=lambda: self.secrets,
            lease=SharedLease(claims, lasts_s=90_000, shared_s=60, clock=self.clock),
            random=source.randbytes,
        )

    def first_claims(self, recent: Callable[[bytes], KeyValue | None]) -> FirstClaims:
        """Its claims without a task, where `claims` is a GroupedStore."""
        store = self.registrar.claims
        assert isinstance(store, GroupedStore)
        return FirstClaims(self.handles, self.registrar, self.budgets, store.submit, recent=recent)


def request() -> str:
    """An id that no other call has."""
    return f"r{next(_numbers)}"


def home(account: str, *, unit: str = "london", epoch: int = 1, first_ms: int = 1_000) -> Txn:
    """Gives an account's client its home."""
    value = encode_assignment(unit, epoch, first_ms, "", first_ms=first_ms)
    return Txn(then=[Put(keys.assignment(TENANT, account), value)])


async def homes(store, *accounts: str) -> None:
    """Gives these a home each in `london`, at epoch 1."""
    for account in accounts:
        await store.commit(home(account))
