"""The ledger of a deployment whose clients, capacity records and sessions are in one store."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from control_plane.store.port import Store
from control_plane.supervision import Supervisor
from provisioner.ledger.commit_rules import StoreCommitRules
from provisioner.ledger.fences import NO_FENCES, Fences
from provisioner.ledger.reclaim import reclaim_expired_sessions
from provisioner.ledger.reservation_rules import StoreReservationRules
from provisioner.ledger.session import Session
from provisioner.ledger.store_ledger import COMMIT_QUEUES, LedgerRules, StoreLedger


def single_store_ledger(
    store: Store,
    *,
    clock: Callable[[], float],
    jitter: Callable[[], float],
    new_id: Callable[[], str],
    supervisor: Supervisor,
    session_ttl_s: int = 5,
    queues: int = COMMIT_QUEUES,
    fences: Fences = NO_FENCES,
    counted: Mapping[bytes, str] | None = None,
) -> StoreLedger:
    """Not started. clock, jitter, supervisor, queues: as StoreLedger. new_id: provisioner ids that
    were never used before. fences: as StoreCommitRules. counted: as StoreLedger."""
    session = Session(store, ttl_s=session_ttl_s, new_id=new_id, alone=True)
    rules = LedgerRules(
        control=store,
        commit=StoreCommitRules(store, session, fences),
        reservations=StoreReservationRules(store, session),
        lookups=None,
        reclaim=lambda damaged: reclaim_expired_sessions(store, damaged),
    )
    return StoreLedger(
        store,
        session,
        rules,
        clock=clock,
        jitter=jitter,
        supervisor=supervisor,
        queues=queues,
        counted=counted,
    )
