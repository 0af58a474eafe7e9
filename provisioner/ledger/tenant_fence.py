"""TenantFence: no client is made of a tenant that is being removed, whoever has not heard of it.

`tenants-fence` is rewritten in the transaction that marks a tenant as being removed, and after it
in each assignment cluster; and where the clients of a tenant begin to be counted, or are not to be
any more. A batch that makes clients compares it as this server has adopted it,
and it is adopted only once this server knows the tenants as of that mark. So whoever looks for
clients after the mark sees all that there will ever be: a batch by an earlier sight of the tenants
compares an earlier fence, and is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable

from control_plane import keys
from control_plane.errors import Refused, ServiceError
from control_plane.store.port import Compare, KeyValue, unchanged
from provisioner.ledger.fences import revision_asked


class TenantFence:
    """As adopted from one store. heard(revision): whether the tenants are known as of it, waiting
    for a moment; revisions are those of the control data. taking: the names of tenants that take
    clients, by what is known of them now: one set, which follows."""

    def __init__(self, *, heard: Callable[[int], Awaitable[bool]], taking: set[bytes]) -> None:
        self._heard = heard
        self._taking = taking
        self.compare: Compare = unchanged(keys.TENANTS_FENCE, 0)

    async def adopt(self, found: KeyValue | None) -> None:
        revision = found.mod_revision if found is not None else 0
        if found is not None and revision != self.compare.operand:
            needed = revision_asked(found)
            if needed is None or not await self._heard(needed):
                return
        self.compare = unchanged(keys.TENANTS_FENCE, revision)

    def concerns(self, tenants: Collection[Hashable]) -> bool:
        # Where the fence was never written, as far as is known, nothing is asked.
        return bool(self.compare.operand) and not self._taking.issuperset(tenants)

    def refusal(self, assignment_key: bytes) -> ServiceError | None:
        if not self.compare.operand:
            return None
        tenant = keys.tenant_in(assignment_key)
        if tenant in self._taking:
            return None
        return Refused(
            f"tenant {tenant.decode()} is removed, or being removed; it takes no new clients"
        )
