"""PolicyChooser: chooses for each client by its own policy, and spills over where that says so.

One Chooser for each policy that clients come with. Policies of tenants come and go with their
revisions; the choosers used last are kept, two generations of them, as `Chooser` does with places.
Where a policy has caps in latency that relax, each step is a policy of its own (`capped_policies`),
so that nothing that is kept of one step counts for another.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from provisioner.geo.location import Location
from provisioner.placement.capped_policies import CappedPolicies
from provisioner.placement.choice import HOOK, SPILLOVER, Choice, NoChoice
from provisioner.placement.chooser import Chooser
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy, PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hooks import HookAnswer
from provisioner.placement.latency import LatencyCaps, cap_in_force
from provisioner.placement.occupancy import Occupancy

# Policies of which choosers are kept, in one generation: there is one for each country where rules
# are of countries. Of a large fleet fewer, for each holds arrays of all its units.
MOST_POLICIES = 1_024
LEAST_POLICIES = 64
MOST_UNITS_HELD = 2_000_000  # units by policies
MOST_PLACES = 50_000  # of the policy that most clients come with, as Chooser keeps them
PLACES_EACH = 5_000  # of each other


class PolicyChooser:
    """Over one fleet snapshot; `occupancy` belongs to it. policies: may change what it says at any
    time, and what it says next counts."""

    def __init__(
        self,
        fleet: PlacementFleet,
        policies: PolicySource,
        occupancy: Occupancy,
        *,
        most_policies: int = 0,
    ) -> None:
        self._fleet = fleet
        self._of = policies.of
        self._occupancy = occupancy
        self._default = policies.default
        self._most_policies = most_policies or _most_policies(len(fleet.units))
        self._steps = CappedPolicies(most=self._most_policies)
        self._choosers: dict[PlacementPolicy, Chooser] = {}
        self._older: dict[PlacementPolicy, Chooser] = {}

    def choose(
        self, location: Location, tenant: str, client_key: bytes, waited_s: float = inf
    ) -> Choice | NoChoice:
        """The unit for a client of `tenant` at `location`; as `choose` has it. waited_s: how long
        it has waited for room within a cap in latency; inf: as long as its policy may ask for."""
        policy = self._of(tenant, location, client_key)
        caps = policy.ranking.latency
        if caps is not None and caps.steps:
            return self._within(caps, policy, location, tenant, client_key, waited_s)
        chooser = self._choosers.get(policy)
        if chooser is None:
            chooser = self._chooser(policy)
        choice = chooser.choose(location, tenant, client_key)
        if type(choice) is Choice and policy.answer is None:
            return choice
        return self._finished(policy, choice, location, tenant, client_key)

    def _within(
        self,
        caps: LatencyCaps,
        policy: PlacementPolicy,
        location: Location,
        tenant: str,
        client_key: bytes,
        waited_s: float,
    ) -> Choice | NoChoice:
        """By the cap that holds for who has waited so long. Steps within which there is no unit
        that may take the client are passed over: there is nothing to wait for."""
        last, step = len(caps.steps), caps.step_at(waited_s)
        while True:
            stage = self._steps.of(policy, step)
            choice = self._chooser(stage).choose(location, tenant, client_key)
            found = self._finished(stage, choice, location, tenant, client_key)
            if type(found) is Choice:
                return found
            assert isinstance(found, NoChoice)
            if found.allowed or step == last:
                break
            step += 1
        if not found.allowed:
            return found
        waits = step < last or found.retry
        return replace(found, retry=waits, cap=cap_in_force(caps, step, waited_s))

    def _finished(
        self,
        policy: PlacementPolicy,
        choice: Choice | NoChoice,
        location: Location,
        tenant: str,
        client_key: bytes,
    ) -> Choice | NoChoice:
        """What the choice of a policy comes to with what its hook said, and its pools."""
        if type(choice) is Choice:
            return choice if policy.answer is None else self._told(policy.answer, choice)
        if policy.spillover is None and policy.full == "retry":
            return choice
        return self._spill(policy, choice, location, tenant, client_key)

    def is_alike(self, location: Location, tenant: str, client_key: bytes) -> bool:
        """Whether every client of the tenant that has this one's policy gets, at the location, the
        unit that was chosen last there. False as well where a hook is asked, where it counts how
        long a client has waited, where the policy spilled over, and where that would have to be
        found out."""
        policy = self._of(tenant, location, client_key)
        # Only its steps have one where caps relax.
        chooser = self._choosers.get(policy)
        return policy.hook is None and chooser is not None and chooser.is_alike(location, tenant)

    def _told(self, answer: HookAnswer, choice: Choice) -> Choice:
        """The choice, with the rule that the hook gives it."""
        named = self._fleet.units[choice.unit_index].id in answer.order
        return Choice(choice.unit_index, HOOK) if named else choice

    def _spill(
        self,
        policy: PlacementPolicy,
        choice: Choice | NoChoice,
        location: Location,
        tenant: str,
        client_key: bytes,
    ) -> Choice | NoChoice:
        """No unit of the policy itself had room."""
        assert isinstance(choice, NoChoice)
        full, none = list(choice.allowed), choice
        stage = policy.spillover
        while stage is not None:
            found = self._chooser(stage).choose(location, tenant, client_key)
            if isinstance(found, Choice):
                return Choice(found.unit_index, SPILLOVER)
            full += found.allowed
            stage = stage.spillover
        allowed = tuple(dict.fromkeys(full))
        return NoChoice(allowed, none.reason, none.rules, retry=policy.full == "retry")

    def _chooser(self, policy: PlacementPolicy) -> Chooser:
        found = self._choosers.get(policy)
        if found is not None:
            return found
        found = self._older.pop(policy, None)
        if found is None:
            places = MOST_PLACES if policy is self._default else PLACES_EACH
            found = Chooser(
                self._fleet,
                policy,
                self._occupancy,
                max_places=places,
                eligibility=self._narrowed(policy),
            )
        if len(self._choosers) >= self._most_policies:
            self._older, self._choosers = self._choosers, {}
            # Units must not hold on to what was dropped.
            self._occupancy.forget_all()
        self._choosers[policy] = found
        return found

    def _narrowed(self, policy: PlacementPolicy) -> Eligibility | None:
        """Of what a hook's answer left of a policy; None: no hook has answered."""
        if policy.before_hook is None:
            return None
        return Eligibility(self._fleet, policy, self._chooser(policy.before_hook).eligibility)


def _most_policies(units: int) -> int:
    return max(LEAST_POLICIES, min(MOST_POLICIES, MOST_UNITS_HELD // max(1, units)))
