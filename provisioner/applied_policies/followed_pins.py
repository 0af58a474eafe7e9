"""FollowedPins: which clients have to live in one unit, as this server follows it.

Asked for every client that is placed: one look-up, and none where nobody is pinned.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from control_plane import keys
from provisioner.applied_policies.pin_record import PinRecord
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.pinning import pinned

MOST_POLICIES = 1_024  # that are kept of what pins came to


class FollowedPins:
    """Whoever follows the policies calls `note`. wall: Unix seconds; on_change(tenant): one of its
    pins has changed."""

    def __init__(self, *, wall: Callable[[], float], on_change: Callable[[str], None]) -> None:
        self._wall = wall
        self._on_change = on_change
        self.by_client: dict[bytes, PinRecord] = {}  # by the key of the client's assignment
        self.counts: Counter[str] = Counter()  # pins by tenant, whether their time is over or not
        self._made: OrderedDict[tuple[PlacementPolicy, str], PlacementPolicy] = OrderedDict()

    def of(self, client_key: bytes) -> PinRecord | None:
        """The pin of a client that holds now; None: it has none."""
        pin = self.by_client.get(client_key)
        return pin if pin is not None and pin.holds(self._wall() * 1000) else None

    def applied(self, policy: PlacementPolicy, client_key: bytes) -> PlacementPolicy:
        """The policy of a client with its pin: the same object for clients pinned alike."""
        pin = self.of(client_key)
        if pin is None:
            return policy
        key = (policy, pin.unit)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = pinned(policy, pin.unit)
            if len(self._made) > MOST_POLICIES:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        return found

    def any_of(self, tenant: str) -> bool:
        """Whether any client of the tenant is pinned."""
        return tenant in self.counts

    def __len__(self) -> int:
        return len(self.by_client)

    def note(self, name: str, record: PinRecord | None) -> None:
        """name: `<tenant>/<client>`; record None: it is gone."""
        tenant, _, client_id = name.partition("/")
        key = keys.assignment(tenant, client_id)
        before = len(self.by_client)
        if record is None:
            self.by_client.pop(key, None)
        else:
            self.by_client[key] = record
        self.counts[tenant] += len(self.by_client) - before
        if not self.counts[tenant]:
            del self.counts[tenant]
        self._on_change(tenant)
