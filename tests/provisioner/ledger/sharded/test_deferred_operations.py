"""Operations of a shard on its way wait until the map changes, or until nobody waits for them."""

from __future__ import annotations

from control_plane.errors import ServiceError
from provisioner.ledger.operations import Release
from provisioner.ledger.sharded.deferred_operations import DeferredOperations


class Leaving(Release):
    """A release that keeps how it ended."""

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.error: ServiceError | None = None

    def failed(self, error: ServiceError) -> None:
        self.error = error


def test_those_who_waited_too_long_are_told_and_the_rest_keeps_its_order():
    deferred = DeferredOperations()
    operations = [Leaving(5.0), Leaving(1.0), Leaving(9.0)]
    for one in operations:
        deferred.defer(one)
    deferred.drop_expired(2.0)
    assert [one.error is not None for one in operations] == [False, True, False]
    assert list(deferred.take_all()) == [operations[0], operations[2]]
    assert len(deferred) == 0
