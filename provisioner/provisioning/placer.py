"""Placer: chooses a unit for a client, over the newest snapshot of the fleet and its room.

Says why there is none in words fit for the caller. The ledger keeps the room; which unit of
those that have some is best, `provisioner.placement` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from control_plane.errors import Exhausted, Refused, ServiceError, Unavailable
from control_plane.identity.waiting_tokens import WaitingTokens
from control_plane.native_classes import mypyc_attr
from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location, LocationSource
from provisioner.ledger.account import Account
from provisioner.ledger.port import Ledger
from provisioner.ledger.provenance import encode_provenance, provenance_of
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.explanation import Explanation, explain
from provisioner.placement.filters import CurrentPolicies
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hooks import UNANSWERED
from provisioner.placement.occupancy import Occupancy
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.provisioning.room_awaited import RoomAwaited

MOST_PROVENANCES = 50_000


@mypyc_attr(native_class=False)
class NoUnitAllowed(Refused):
    """The tenant's policy leaves the client no unit; `metadata` names the rules."""

    reason = "NO_UNIT_ALLOWED"

    def __init__(self, tenant_id: str, why: str, rules: Sequence[str]) -> None:
        super().__init__(
            f"the policy of tenant {tenant_id} leaves this client no unit: {why}; "
            "`homeport explain` shows each unit's reason, `homeport policy show` the rules"
        )
        self.metadata = {"rules": ",".join(rules)}


@mypyc_attr(native_class=False)
class HookUnanswered(Unavailable):
    """The client's policy gives it no home without its hook's answer. Retrying later can help."""

    reason = "HOOK_UNANSWERED"


NO_PLACE = (Exhausted, Refused, HookUnanswered)  # for new clients, that is


@mypyc_attr(allow_interpreted_subclasses=True)
class Placer:
    """One per server; follows `fleet_view` from the beginning. accounts: the ledger's, by
    index of the unit in `fleet`. jitter: 0.0 to 1.0, new at each call; hooks: of `policies`, None:
    they have none; waiting: since when clients wait for room."""

    def __init__(
        self,
        fleet_view: FleetView,
        ledger: Ledger,
        policies: CurrentPolicies,
        *,
        jitter: Callable[[], float],
        waiting: WaitingTokens,
        hooks: HookedPolicies | None = None,
    ) -> None:
        self.waiting = waiting
        self._ledger = ledger
        self._hooks = hooks
        self.policies = policies
        self._jitter = jitter
        self._follow(fleet_view.fleet)
        fleet_view.subscribe(self._follow)

    def _follow(self, fleet: PlacementFleet) -> None:
        """From now on chooses within this snapshot."""
        self.fleet = fleet
        self._ledger.follow([unit.id for unit in fleet.units])
        self._chooser = self._ledger.chooser(fleet, self.policies)
        self._provenances: dict[tuple[int, int, str], tuple[Location, str]] = {}
        self.accounts: Sequence[Account] = [self._ledger.account(unit.id) for unit in fleet.units]

    @property
    def occupancy(self) -> Occupancy:
        """Room and load of the units in `fleet`."""
        return self._ledger.occupancy

    def choose(
        self, tenant_id: str, client_key: bytes, location: Location, waited_s: float = 0.0
    ) -> Choice | ServiceError:
        """The unit for a client as things stand, or why there is none. waited_s: how long it has
        waited for room."""
        choice = self._chooser.choose(location, tenant_id, client_key, waited_s)
        if isinstance(choice, NoChoice):
            if choice.allowed and self._hooks is not None:
                self._hooks.forget_full(tenant_id, location, client_key)
            return self._no_room(choice, tenant_id)
        return choice

    def is_alike(self, tenant_id: str, client_key: bytes, location: Location) -> bool:
        """Whether every client of the tenant that has this one's policy gets, at the location, the
        unit that was just chosen for it; False as well where that is not known."""
        return self._chooser.is_alike(location, tenant_id, client_key)

    def provenance(self, choice: Choice, location: Location) -> str:
        """What the record of a client keeps of this choice, encoded; kept by identity for
        locations that clients share."""
        if location.source is LocationSource.DECLARED:
            return self._provenance(choice, location)
        key = (id(location), choice.unit_index, choice.rule)
        kept = self._provenances.get(key)
        if kept is not None and kept[0] is location:
            return kept[1]
        if len(self._provenances) >= MOST_PROVENANCES:
            self._provenances.clear()
        made = self._provenance(choice, location)
        self._provenances[key] = (location, made)
        return made

    def _provenance(self, choice: Choice, location: Location) -> str:
        return encode_provenance(
            provenance_of(self.fleet, choice.unit_index, choice.rule, location)
        )

    def why_no_place(self, assignment_key: bytes) -> ServiceError | None:
        """Why the tenant of this key may have no further client, wherever; None: it may."""
        return self._ledger.why_no_place(assignment_key)

    def explain(
        self,
        tenant_id: str,
        client_key: bytes,
        location: Location,
        recorded_km: Mapping[str, float],
        waited_s: float,
    ) -> Explanation:
        """Every unit, and what speaks for it or against. client_key: as `with_attributes` has it;
        recorded_km, waited_s: see `explain`."""
        occupancy = self._ledger.occupancy_for(client_key)
        return explain(
            self.fleet,
            self.policies.of(tenant_id, location, client_key),
            location,
            tenant_id,
            client_key,
            occupancy.room,
            occupancy.load,
            recorded_km,
            waited_s,
        )

    def _no_room(self, choice: NoChoice, tenant_id: str) -> ServiceError:
        if not choice.allowed:
            if not self.fleet.units:
                return Refused("the fleet has no units; apply one with `homeport units apply`")
            if choice.rules and choice.rules[0].startswith(UNANSWERED):
                return HookUnanswered(
                    f"{choice.reason}, and gives new clients no home without one; try again"
                )
            if choice.rules:
                return NoUnitAllowed(tenant_id, choice.reason, choice.rules)
            return Refused(
                f"no unit may take this client of tenant {tenant_id}: {choice.reason}; "
                "`homeport explain` shows each unit's reason"
            )
        unread = [unit for unit in choice.allowed if unit not in self._ledger.capacity.items]
        if unread:  # the unit's record arrives through one watch, its capacity through another
            return Unavailable(
                f"this server has not read yet how many clients {unread[0]} may take; try again",
                retry_after_s=0.1 + 0.2 * self._jitter(),
            )
        self._ledger.request_slots(choice.allowed)
        if not choice.retry:
            return Refused(
                f"all units that may take this client of tenant {tenant_id} are full, and its "
                "policy refuses such clients; add capacity, or change the policy"
            )
        if choice.cap is not None:
            return RoomAwaited(choice.cap, jitter=self._jitter())
        return Exhausted(
            "all units that may take this client are full; try again later, or add capacity",
            retry_after_s=1.0 + 2.0 * self._jitter(),
        )
