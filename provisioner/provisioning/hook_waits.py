"""HookWaits: new clients whose policy has a hook wait for its answer before a unit is chosen.

Who has a home already never waits: the store is asked first. What comes of waiting is nothing but
that the answer is known, or that there is none: `Placer` chooses then as for anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location
from provisioner.ledger.port import Ledger
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.placement_hooks.hooked_policies import HookedPolicies, SaidByHook
from provisioner.provisioning.pending import AnyPending

EXPLAIN_S = 5.0  # more than any policy has clients wait


class HookWaits:
    """One per server; follows `fleet_view` from the beginning, behind the placer."""

    def __init__(self, fleet_view: FleetView, ledger: Ledger, policies: HookedPolicies) -> None:
        self._ledger = ledger
        self._policies = policies
        self._follow(fleet_view.fleet)
        fleet_view.subscribe(self._follow)

    def _follow(self, fleet: PlacementFleet) -> None:
        """From now on asks about units of this snapshot."""
        self.candidates = HookCandidates(fleet, self._ledger.occupancy)

    async def explained(
        self, tenant: str, location: Location, client_key: bytes
    ) -> SaidByHook | None:
        """What the hook of a client says, for who asks why; None: its policy has none."""
        asked = self._policies.ask(tenant, location, client_key, self.candidates)
        if asked is not None:
            await asyncio.wait([asked], timeout=EXPLAIN_S)
        return self._policies.said(tenant, location, client_key)

    def begin(self, pending: AnyPending, go_on: Callable[[AnyPending], None]) -> bool:
        """Whether the client has to wait; then `go_on` is called with it, once."""
        tenant, location, key = pending.tenant.id, pending.location, pending.placed_by
        if not self._policies.wants(tenant, location, key):
            return False
        if not pending.checked_store:
            pending.checked_store = True
            self._ledger.look_up(pending)  # and it is claimed again where there is none
            return True
        asked = self._policies.ask(tenant, location, key, self.candidates)
        if asked is None:
            return False
        asked.add_done_callback(lambda _: go_on(pending))
        return True
