"""Clients that wait for room within a cap in latency, as calls about them say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from control_plane.errors import InvalidInput
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.policy.latency_caps import MOST_AFTER_S
from provisioner.provisioning.network_provision import NetworkFinder
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.single import SingleProvision, waiting_since

MOST_WAITED_S = 10 * MOST_AFTER_S  # that somebody may ask as if


class Wait(NamedTuple):
    """since_ms: Unix ms; 0: it begins now."""

    since_ms: int
    waited_s: float


def waits_since_ms(provisioner: Provisioner, tenant: str, client_id: str, token: str) -> int:
    """What a waiting token says of the client, Unix ms; 0: nothing that counts."""
    if not token:
        return 0
    now_ms = provisioner.wall_ms()
    return provisioner.placer.waiting.since_ms(token, tenant, client_id, now_ms=now_ms)


def kind_of_provision(
    provisioner: Provisioner,
    networks: NetworkFinder | None,
    request: pb.ProvisionRequest,
    tenant: str,
    address: str | None,
) -> Callable[..., SingleProvision]:
    """What makes the pending provision of a client that asks for more than a home, or waits.
    address: the client's; None: it declared where it is."""
    kind: Callable[..., SingleProvision] = SingleProvision
    if request.with_network and networks is not None:
        kind = networks.kind(address)
    since_ms = waits_since_ms(provisioner, tenant, request.client_id, request.waiting_token)
    return waiting_since(kind, since_ms) if since_ms else kind


def wait_to_explain(
    provisioner: Provisioner, request: pb.ExplainPlacementRequest, tenant: str
) -> Wait:
    """How long the client is taken to have waited. Raises InvalidInput."""
    now_ms = provisioner.wall_ms()
    if request.HasField("waited"):
        waited_s = request.waited.seconds + request.waited.nanos / 1e9
        if not 0.0 <= waited_s <= MOST_WAITED_S:
            raise InvalidInput(
                "waited", f"waited is {waited_s:g} s; give 0 to {MOST_WAITED_S:,.0f} s"
            )
        return Wait(now_ms - round(waited_s * 1000) if waited_s else 0, waited_s)
    since_ms = waits_since_ms(provisioner, tenant, request.client_id, request.waiting_token)
    return Wait(since_ms, max(0, now_ms - since_ms) / 1000.0 if since_ms else 0.0)
