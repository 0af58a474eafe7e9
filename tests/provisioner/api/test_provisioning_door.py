"""Where Provision comes in: what a call sent along is read once, whoever asks for it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import PermissionDenied, ServiceError
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.quotas.limits import Quota, read_limits
from control_plane.quotas.quotas import QuotaExceeded, Quotas
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.provisioning_service import NAME, ProvisioningService
from provisioner.provisioning.client_proof import ClientProof, key_digest
from provisioner.provisioning.enrolment import Enrolment
from provisioner.provisioning.sampled_steps import SampledSteps
from provisioner.provisioning.tenant_issuers import TenantIssuers
from tests.support.credentials import authenticator_of, bearer, tokens_of

KEY = "K" * 43
GATEWAY = Caller(name="edge", roles=with_implied({Role.GATEWAY}))


class Group:
    """A tenant's group whose token is this one text."""

    def proves(self, token: str, tenant: str, client_id: str) -> bool:
        return (token, tenant, client_id) == ("hmac.g.good", "default", "alice")

    def gives(self, token: str, tenant: str) -> None:
        """No attributes."""


class Metadata(tuple[tuple[str, str | bytes], ...]):
    """Counts how often it is gone through."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


class Call(HotCall):
    def __init__(self, client_id: str, *metadata: tuple[str, str | bytes]) -> None:
        self.payload = pb.ProvisionRequest(client_id=client_id).SerializeToString()
        self.sent = Metadata(metadata)
        self.error: ServiceError | None = None

    def metadata(self) -> Metadata:
        return self.sent

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return None

    def reply(self, response: bytes) -> None:
        raise AssertionError("nobody answers here")

    def fail(self, error: ServiceError) -> None:
        self.error = error


class Door:
    """The service over a use case that keeps what it is asked."""

    def __init__(
        self, *, asks: bool, per_client_s: float = 0.0, listed: dict[str, Caller] | None = None
    ) -> None:
        self.asked: list[tuple[str, str | None, ClientProof]] = []
        control = AccessControl(
            access_of_services([NAME]),
            authenticator_of(tokens_of(gateway=GATEWAY, **(listed or {})), clients_enrol=True)
            if asks
            else None,
        )
        callers = Callers(Proxies(), control)
        limits = {"provisions": {"tenant": 0.0, "address": 0.0, "client": per_client_s}}
        everything: dict[str, Any] = dict.fromkeys(
            ("assignments", "answers", "fallback", "bootstrap", "watches", "store_status")
        )
        enrolment = Enrolment(Group(), TenantIssuers(wall=time.time, clock=time.monotonic))  # type: ignore[arg-type]
        everything["fallback"] = SimpleNamespace(read=lambda *_, **__: None)
        everything["fleet_view"] = SimpleNamespace(
            tenant=lambda _: TenantSpec(id=TenantId("default"))
        )
        self.service = ProvisioningService(
            provisioner=self._use_case(),
            callers=callers,
            proofs=ClientProofs(callers, everything["fallback"], enrolment),
            quotas=Quotas(read_limits(limits, [Quota.PROVISIONS]), clock=lambda: 0.0),
            **everything,
        )

    def _use_case(self) -> Any:
        return SimpleNamespace(
            provision=self._provision, now=time.monotonic, steps=SampledSteps(time.monotonic)
        )

    def _provision(self, tenant, client_id, address, position, sink, *, proof, **_) -> None:
        self.asked.append((client_id, address, proof))

    def provision(self, client_id: str, *metadata: tuple[str, str | bytes]) -> Call:
        call = Call(client_id, *metadata)
        self.service.provision_hot(call)
        return call


ENROLS = (*bearer("hmac.g.good"), ("homeport-client-key", KEY), ("user-agent", "x"))


@pytest.mark.parametrize(
    ("asks", "metadata"),
    [
        pytest.param(False, (), id="nothing, of a server that asks nobody"),
        pytest.param(False, (("homeport-client-key", KEY),), id="a key there"),
        pytest.param(True, ENROLS, id="a group's token and a key"),
        pytest.param(True, bearer("gateway"), id="a gateway's token"),
        pytest.param(True, (("homeport-client-key", KEY),), id="a key alone"),
    ],
)
def test_what_was_sent_along_is_gone_through_once(asks, metadata):
    door = Door(asks=asks, per_client_s=1)
    call = door.provision("alice", *metadata)
    assert call.error is None
    assert [name for name, _, _ in door.asked] == ["alice"]
    assert call.sent.passes == 1


def test_a_groups_token_lets_its_client_in_with_the_key_it_shows():
    door = Door(asks=True)
    door.provision("alice", *ENROLS)
    ((_, address, proof),) = door.asked
    assert (address, proof.key, proof.may_claim) == ("192.0.2.1", key_digest(KEY), True)
    door.provision("bob", *ENROLS)
    assert not door.asked[-1][2].may_claim
    assert isinstance(door.provision("bob", *bearer("hmac.g.good")).error, PermissionDenied)


def test_what_a_group_made_is_its_clients_and_for_anybody_else_what_the_tokens_file_says():
    door = Door(asks=True, listed={"hmac.g.good": GATEWAY})
    door.provision("alice", *ENROLS)
    assert not door.asked[-1][2].vouched
    door.provision("bob", *ENROLS)
    assert door.asked[-1][2].vouched


def test_where_nobody_is_asked_a_bearer_is_not_even_read():
    door = Door(asks=False)
    for value in ("Basic x", "", b"\xff"):
        assert door.provision("alice", ("authorization", value)).error is None
    assert len(door.asked) == 3


def test_a_client_is_counted_as_its_caller_asks_for_it():
    door = Door(asks=True, per_client_s=1)
    for who in (ENROLS, bearer("gateway")):
        told = [door.provision("alice", *who).error for _ in range(6)]
        assert told[:5] == [None] * 5
        assert isinstance(told[5], QuotaExceeded)
    other = (*bearer("hmac.g.good"), ("homeport-client-key", "L" * 43))
    assert door.provision("alice", *other).error is None
