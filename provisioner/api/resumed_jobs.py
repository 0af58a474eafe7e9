"""By which version of a policy a job that moves clients goes on, when an operator lets it."""

from __future__ import annotations

from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.fleet.move_job import MoveJob
from control_plane.store.port import Compare
from provisioner.applied_policies.registry import PolicyRegistry


async def resumed_by(
    registry: PolicyRegistry, job: MoveJob, policy_version: int
) -> tuple[int, list[Compare]]:
    """The version by which a job of a policy goes on, and what holds while it is in force. Raises
    Refused where that is another one, InvalidInput for a job of no policy."""
    if not job.policy_version:
        if policy_version:
            raise InvalidInput(
                "policy_version", f"job {job.id} moves clients by no policy's version"
            )
        return 0, []
    stands, guard = await registry.in_force(job.tenant)
    if not stands:
        raise NotFound(f"tenant {job.tenant} has no policy any more; cancel job {job.id}")
    wanted = policy_version or job.policy_version
    if wanted != stands:
        raise Refused(
            f"job {job.id} moves by version {wanted} of the policy of "
            f"tenant {job.tenant}, and version {stands} is in force; to let it go on by that one: "
            f"`homeport moves resume {job.id} --policy-version {stands}`"
        )
    return stands, [guard]
