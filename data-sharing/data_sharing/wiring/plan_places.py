"""Where plans belong while keys are spread: with their owner's key, and with no key elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.api.partitioned_call import PLACED
from data_sharing.plans.spec import PlanSpec
from data_sharing.replication.partition_map import OtherPartition, PartitionMap


def plan_check(partitions: PartitionMap | None) -> Callable[[str, PlanSpec], None]:
    """What Planning asks before it makes a plan. It raises InvalidInput for a plan that follows
    keys of other partitions; OtherPartition where it belongs to another one, or where nobody has
    looked yet whether another one has its name."""

    def check(tenant: str, spec: PlanSpec) -> None:
        if partitions is None:
            return
        place = partitions.partition_of(tenant, spec.owner)
        for number, key in enumerate(spec.follows):
            if partitions.partition_of(tenant, key) != place:
                raise InvalidInput(
                    f"follows[{number}]",
                    f"follows[{number}]: {quoted(key)} is in another partition than the owner "
                    f"{quoted(spec.owner)}: keys are spread over {partitions.count}, and rules of "
                    "one partition find no plans of another; leave it out",
                )
        if place != partitions.number or not PLACED.get():
            raise OtherPartition(
                f"plans of {quoted(spec.owner)} are in partition {place}",
                place, partitions.server_of(place), name=spec.plan,
            )  # fmt: skip

    return check
