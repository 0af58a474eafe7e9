"""How long a client has waited, as calls about it say."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.errors import InvalidInput
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.waiting_tokens import WaitingTokens
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.explanations import cap_to_proto
from provisioner.api.waiting_clients import Wait, kind_of_provision, wait_to_explain
from provisioner.placement.latency import CapInForce
from provisioner.provisioning.single import SingleProvision

NOW = 1_900_000_000_000
EPOCH = new_epoch(1, now=0.0, random=lambda size: hashlib.sha256(b"a").digest()[:size])
TOKENS = WaitingTokens(TicketIssuer(KeyRing(epochs=(EPOCH,))))
PROVISIONER: Any = SimpleNamespace(placer=SimpleNamespace(waiting=TOKENS), wall_ms=lambda: NOW)


def token(client: str = "anna", since_ms: int = NOW - 7_000) -> str:
    return TOKENS.issue("acme", client, since_ms=since_ms, now_ms=NOW)


def asked(waited_s: float | None = None, waiting_token: str = "") -> Wait:
    request = pb.ExplainPlacementRequest(client_id="anna", waiting_token=waiting_token)
    if waited_s is not None:
        request.waited.FromMilliseconds(round(waited_s * 1000))
    return wait_to_explain(PROVISIONER, request, "acme")


def test_by_its_token_by_what_is_said_and_otherwise_not_at_all() -> None:
    assert asked() == (0, 0.0)
    assert asked(waiting_token=token()) == (NOW - 7_000, 7.0)
    assert asked(waiting_token=token("ben")) == (0, 0.0)
    assert asked(180.0, token()) == (NOW - 180_000, 180.0)
    assert asked(0.0, token()) == (0, 0.0)
    assert asked(waiting_token=token(since_ms=NOW + 1_000)) == (NOW + 1_000, 0.0)


@pytest.mark.parametrize("waited_s", [-1.0, 36_001.0])
def test_a_time_that_cannot_be_meant_is_refused(waited_s: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(waited_s)
    assert caught.value.field == "waited"


def test_only_who_waits_is_provisioned_as_one_who_does() -> None:
    def kind(waiting_token: str) -> Any:
        request = pb.ProvisionRequest(client_id="anna", waiting_token=waiting_token)
        return kind_of_provision(PROVISIONER, None, request, "acme", None)

    assert kind(token("ben")) is SingleProvision
    assert kind("") is SingleProvision
    assert kind(token()) is not SingleProvision


def test_a_cap_is_told_with_when_it_relaxes() -> None:
    holds = CapInForce(limit_ms=50.0, waited_s=30.0, next_ms=100.0, next_after_s=120.0)
    told = cap_to_proto(holds, NOW)
    assert told.limit.ToMilliseconds() == 50
    assert told.since_time.ToMilliseconds() == NOW
    assert told.relaxes_after.ToSeconds() == 90
    assert told.next_limit.ToMilliseconds() == 100
    assert holds.words == (
        "it has waited for 30 s, and may live within 50 ms, from 120 s on within 100 ms"
    )
    last = cap_to_proto(CapInForce(limit_ms=float("inf")), 0)
    assert last == pb.ExplainedCap()
