"""BootstrapLookup: reads the record of a bootstrap token before its client is provisioned.

Where the token is good the client may be made, in a transaction that takes the record along;
where it is not, only a client that is there already is answered, by its own proof.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import ServiceError
from control_plane.identity.bootstrap_tokens import good_record, record_key
from control_plane.store.port import KeyValue
from provisioner.ledger.operations import Lookup
from provisioner.placement.attributes import NO_ATTRIBUTES
from provisioner.provisioning.client_proof import ClientProof, client_denied
from provisioner.provisioning.single import Sink

LOOKUP_S = 5.0  # a read that has not been answered by then is no use any more


class BootstrapLookup:
    """A lookup of the ledger. begin: puts the client on its way; now: Unix seconds; expires_at:
    monotonic, s."""

    __slots__ = ("_begin", "_now", "_proof", "_sink", "expires_at", "key")

    def __init__(
        self,
        tenant_id: str,
        proof: ClientProof,
        begin: Callable[[], None],
        sink: Sink,
        *,
        now: float,
        expires_at: float,
    ) -> None:
        """Raises PermissionDenied for what is no such token."""
        key = record_key(tenant_id, proof.bootstrap)
        if key is None:
            raise client_denied()
        self.key = key
        self.expires_at = expires_at
        self._proof = proof
        self._begin = begin
        self._sink = sink
        self._now = now

    def found(self, found: KeyValue | None) -> None:
        """The record as it stands now."""
        good = good_record(found.value, self._proof.bootstrap, self._now) if found else None
        if good is not None:
            self._proof.consumes = found
            self._proof.may_claim = True
            self._proof.enrols_with = good.attributes or NO_ATTRIBUTES
        try:
            if self._proof.empty and not self._proof.may_claim:
                raise client_denied()
            self._begin()
        except ServiceError as error:
            self._sink.fail(error)

    def failed(self, error: ServiceError) -> None:
        """The store did not answer."""
        self._sink.fail(error)


class BootstrapEnrolment:
    """One per server. look_up: the ledger's, where everything is in one store; None: it is not,
    and there are no such tokens. clock: monotonic seconds; wall: Unix seconds."""

    def __init__(
        self,
        look_up: Callable[[Lookup], None] | None,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._wall = wall

    def begin(
        self, tenant_id: str, proof: ClientProof, provision: Callable[[], None], sink: Sink
    ) -> None:
        """Provisions the client of a call that shows a bootstrap token. Raises PermissionDenied."""
        if self._look_up is None:
            if proof.empty:
                raise client_denied()
            provision()
            return
        lookup = BootstrapLookup(
            tenant_id,
            proof,
            provision,
            sink,
            now=self._wall(),
            expires_at=self._clock() + LOOKUP_S,
        )
        self._look_up(lookup)
