"""ClusterLedger: the ledger of the clients in one assignment cluster, with its capacity records in
the control data.

To the stores it is a provisioner of its own: its session, its usage, its grants. It is a
`StoreLedger` given the rules of a cluster; `cross_cluster_transactions` has the transactions.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.store.port import Store
from control_plane.supervision import Supervisor
from provisioner.ledger.account import Account
from provisioner.ledger.fences import NO_FENCES, Fences
from provisioner.ledger.operations import Claim, Lookup, Operation
from provisioner.ledger.session import Session
from provisioner.ledger.sharded.commit_rules import ClusterCommitRules
from provisioner.ledger.sharded.reclaim import reclaim_expired_sessions
from provisioner.ledger.sharded.reservation_rules import ClusterReservationRules
from provisioner.ledger.sharded.shard_routes import (
    ClusterLookupRules,
    ClusterWriteRoute,
    ShardRoute,
)
from provisioner.ledger.store_ledger import COMMIT_QUEUES, LedgerRules, StoreLedger


def cluster_ledger(
    store: Store,
    control: Store,
    route: ShardRoute,
    *,
    forward: Callable[[Operation], None],
    forward_lookup: Callable[[Lookup], None],
    resubmit: Callable[[Claim], None],
    touched: Callable[[Account], None],
    clock: Callable[[], float],
    jitter: Callable[[], float],
    new_id: Callable[[], str],
    supervisor: Supervisor,
    session_ttl_s: int = 5,
    queues: int = COMMIT_QUEUES,
    fences: Fences = NO_FENCES,
) -> StoreLedger:
    """store: the cluster. forward, forward_lookup: take what belongs to another cluster, or
    to none for a moment. fences: as ClusterCommitRules. The rest as StoreLedger."""
    session = Session(store, ttl_s=session_ttl_s, new_id=lambda: f"{new_id()}@{route.cluster}")
    rules = LedgerRules(
        control=control,
        commit=ClusterCommitRules(
            store, control, session, route, ClusterWriteRoute(route, forward), fences
        ),
        reservations=ClusterReservationRules(store, control, session),
        lookups=ClusterLookupRules(route, forward_lookup),
        reclaim=lambda damaged: reclaim_expired_sessions(control, store, route.cluster, damaged),
    )
    return StoreLedger(
        store,
        session,
        rules,
        clock=clock,
        jitter=jitter,
        supervisor=supervisor,
        queues=queues,
        resubmit=resubmit,
        touched=touched,
    )
