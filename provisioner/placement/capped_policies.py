"""CappedPolicies: of a policy with caps in latency that relax, what holds at each step. Pure state.

The same object for the same policy and step: who keeps what follows of one finds it again, and
never takes one step for another.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.placement.filters import PlacementPolicy


class CappedPolicies:
    """most: policies that are kept, steps counted each by itself."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._kept: dict[tuple[PlacementPolicy, int], PlacementPolicy] = {}

    def of(self, policy: PlacementPolicy, step: int) -> PlacementPolicy:
        """The policy where this one of its caps' bounds holds, for its pools as well; itself where
        its ranking has no caps with steps."""
        caps = policy.ranking.latency
        if caps is None or not caps.steps:
            return policy
        found = self._kept.get((policy, step))
        if found is not None:
            return found
        spillover, before = policy.spillover, policy.before_hook
        made = replace(
            policy,
            ranking=replace(policy.ranking, latency=caps.at_step(step)),
            spillover=None if spillover is None else self.of(spillover, step),
            before_hook=None if before is None else self.of(before, step),
        )
        if len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[policy, step] = made
        return made
