"""PolicyFence: nobody gets a home by a policy that was replaced, whoever has not heard of it.

`policies-fence` is rewritten in the transaction that applies a policy, and after it in each
assignment cluster. It is adopted once this server knows the policies as of that revision, and
claims that were decided by an earlier one are decided anew before they are written
(`Claim.is_current`). So once a policy was applied, no batch that goes by the one before is
committed.

Knowing a policy is more than having heard of it: it is compiled, which takes milliseconds, or a
second where it is large. That is waited for in bounds. After them the fence is adopted, so that
other tenants go on, and the tenant whose policy is being read gets no new homes until it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import Compare, KeyValue, unchanged
from provisioner.ledger.fences import revision_asked


class PolicyBeingRead(Unavailable):
    """The tenant's policy was changed, and this server is reading it. Retrying helps."""

    reason = "POLICY_BEING_READ"


class PolicyFence:
    """As adopted from one store. heard(revision): whether the policies are known as of it, waiting
    for a moment; revisions are those of the control data. overdue: tenants whose newest policy this
    server has heard of and not read yet, of those that were waited for."""

    def __init__(
        self, *, heard: Callable[[int], Awaitable[bool]], overdue: Collection[str]
    ) -> None:
        self._heard = heard
        self._overdue = overdue
        self.compare: Compare = unchanged(keys.POLICIES_FENCE, 0)

    async def adopt(self, found: KeyValue | None) -> None:
        revision = found.mod_revision if found is not None else 0
        if found is not None and revision != self.compare.operand:
            asked = revision_asked(found)
            if asked is None or not await self._heard(asked):
                return
        self.compare = unchanged(keys.POLICIES_FENCE, revision)

    def concerns(self, tenants: Collection[Hashable]) -> bool:
        return bool(self._overdue)

    def refusal(self, assignment_key: bytes) -> ServiceError | None:
        if not self._overdue:
            return None
        tenant = keys.tenant_in(assignment_key).decode()
        if tenant not in self._overdue:
            return None
        return PolicyBeingRead(
            f"the policy of tenant {tenant} was changed, and this server is reading it; try again",
            retry_after_s=0.5,
        )
