"""TenantFence: no client is made of a tenant that is being removed, whoever has not heard of it.

`tenants-fence` is rewritten in the transaction that marks a tenant as being removed, and after it
in each assignment cluster. A batch that makes clients compares it as this server has adopted it,
and it is adopted only once this server knows the tenants as of that mark. So whoever looks for
clients after the mark sees all that there will ever be: a batch by an earlier sight of the tenants
compares an earlier fence, and is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from control_plane import keys
from control_plane.errors import Refused, ServiceError
from control_plane.store.port import Compare, KeyValue, unchanged
from provisioner.ledger.fences import revision_asked


class TenantFence:
    """As adopted from one store. heard(revision): whether the tenants are known as of it, waiting
    for a moment; revisions are those of the control data. closed(tenant): whether it takes no
    clients, by what is known of it now."""

    def __init__(
        self, *, heard: Callable[[int], Awaitable[bool]], closed: Callable[[str], bool]
    ) -> None:
        self._heard = heard
        self._closed = closed
        self.compare: Compare = unchanged(keys.TENANTS_FENCE, 0)

    async def adopt(self, found: KeyValue | None) -> None:
        revision = found.mod_revision if found is not None else 0
        if found is not None and revision != self.compare.operand:
            needed = revision_asked(found)
            if needed is None or not await self._heard(needed):
                return
        self.compare = unchanged(keys.TENANTS_FENCE, revision)

    def refusal(self, assignment_key: bytes) -> ServiceError | None:
        # Where no tenant was ever removed, as far as is known, nothing is asked.
        if not self.compare.operand:
            return None
        tenant = assignment_key[len(keys.ASSIGNMENTS) :].partition(b"/")[0].decode()
        if not self._closed(tenant):
            return None
        return Refused(f"tenant {tenant} is removed, or being removed; it takes no new clients")
