"""Attacks on who somebody is: of clients, by tokens that are guessed, forged, or another's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

import grpc

from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support.attacks.target import CITY, VICTIM, Attack, Attempts, Target

CALL_S = 5.0


async def _tell(attempts: Attempts, call: Any) -> None:
    """Whatever is answered has let the attacker in."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        attempts.told(error.code().name)
    else:
        attempts.told("OK", let_in=True)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _of_the_victim(stub: pb_grpc.ProvisioningServiceStub, more: Any, ticket: str) -> list[Any]:
    """Everything that somebody may ask about a client."""
    named: dict[str, Any] = {"tenant": CITY, "client_id": VICTIM}
    options: dict[str, Any] = {"timeout": CALL_S, "metadata": more}
    return [
        stub.Provision(pb.ProvisionRequest(**named, ticket=ticket), **options),
        stub.GetAssignment(pb.GetAssignmentRequest(**named, ticket=ticket), **options),
        stub.ReleaseAssignment(pb.ReleaseAssignmentRequest(**named), **options),
        stub.WatchAssignment(pb.WatchAssignmentRequest(**named), **options).read(),
        stub.ExplainPlacement(pb.ExplainPlacementRequest(**named), **options),
    ]


async def a_stranger_takes_a_client(target: Target, attempts: Attempts) -> None:
    """Without any proof, and with a client key that was made up."""
    goes_on = target.until()
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        while goes_on():
            key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
            for more in ((), (("homeport-client-key", key),)):
                for call in _of_the_victim(stub, more, ""):
                    await _tell(attempts, call)


def forged_tickets(ticket: str) -> list[str]:
    """The victim's old ticket, and what may be made of it without a key."""

    def text(document: object) -> str:
        content = json.dumps(document).encode()
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    header, claims, signature = ticket.split(".")
    flipped = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    head = json.loads(base64.urlsafe_b64decode(header + "=="))
    unsigned = text(head | {"alg": "none"})
    confused = text(head | {"alg": "HS256"})
    signed = hmac.new(b"public key", f"{confused}.{claims}".encode(), hashlib.sha256).digest()
    return [
        ticket,
        f"{header}.{claims}.{flipped}",
        f"{unsigned}.{claims}.",
        f"{text(head | {'kid': 'u999'})}.{claims}.{signature}",
        f"{confused}.{claims}.{base64.urlsafe_b64encode(signed).rstrip(b'=').decode()}",
        f"{header}.{claims[:-4]}AAAA.{signature}",
        "a.b.c",
        "." * 4000,
    ]


async def tickets_are_forged_and_replayed(target: Target, attempts: Attempts) -> None:
    """A ticket of the victim's former life, and forgeries of it."""
    goes_on = target.until()
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        while goes_on():
            for ticket in forged_tickets(target.ticket):
                for call in _of_the_victim(stub, (), ticket):
                    await _tell(attempts, call)


async def tokens_are_guessed(target: Target, attempts: Attempts) -> None:
    """Bearers that nobody issued, many at a time."""
    goes_on = target.until()
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)
        while goes_on():
            guesses = [secrets.token_urlsafe(32) for _ in range(50)] + ["x" * 7000, "é", " "]
            calls = [
                stub.ListUnits(
                    fleet_pb2.ListUnitsRequest(), timeout=CALL_S, metadata=bearer(quoted(guess))
                )
                for guess in guesses
            ]
            await asyncio.gather(*(_tell(attempts, call) for call in calls))


def quoted(token: str) -> str:
    """As ASCII: a header takes nothing else."""
    return token.encode("ascii", "backslashreplace").decode()


async def roles_are_overstepped(target: Target, attempts: Attempts) -> None:
    """Who has one role tries what is for another; of another unit, of another tenant."""
    goes_on = target.until()
    tokens = {name: bearer(token) for name, token in target.tokens.items()}
    async with grpc.aio.insecure_channel(target.address) as channel:
        fleet = fleet_pb2_grpc.FleetServiceStub(channel)
        tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
        provisioning = pb_grpc.ProvisioningServiceStub(channel)

        async def heartbeats() -> Any:
            yield fleet_pb2.HeartbeatRequest(unit_id="virginia")

        while goes_on():
            for name, call in (
                ("bank-admin", lambda more: fleet.DrainUnit(
                    fleet_pb2.DrainUnitRequest(unit_id="dublin"), **more)),
                ("bank-admin", lambda more: tenants.ApplyTenant(
                    tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant=CITY)),
                    **more)),
                ("bank-admin", lambda more: provisioning.ReleaseAssignment(
                    pb.ReleaseAssignmentRequest(tenant=CITY, client_id=VICTIM), **more)),
                ("viewer", lambda more: fleet.RemoveUnit(
                    fleet_pb2.RemoveUnitRequest(unit_id="dublin"), **more)),
                ("viewer", lambda more: provisioning.ReleaseAssignment(
                    pb.ReleaseAssignmentRequest(tenant=CITY, client_id=VICTIM), **more)),
                ("dublin", lambda more: fleet.Heartbeat(heartbeats(), **more).read()),
                ("dublin", lambda more: fleet.ApplyUnit(
                    fleet_pb2.ApplyUnitRequest(
                        spec=fleet_pb2.UnitSpec(unit_id="virginia"), registering=True), **more)),
                ("nothing", lambda more: fleet.ListUnits(fleet_pb2.ListUnitsRequest(), **more)),
            ):  # fmt: skip
                await _tell(attempts, call({"timeout": CALL_S, "metadata": tokens[name]}))


async def data_of_another_tenant(target: Target, attempts: Attempts) -> None:
    """The bank's admin, and a stranger, at the city's feeds, rules and applications."""
    goes_on = target.until()
    async with grpc.aio.insecure_channel(target.address) as channel:
        feeds = feed_pb2_grpc.FeedServiceStub(channel)
        rules = rule_pb2_grpc.RuleServiceStub(channel)
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        while goes_on():
            for more in ((), bearer(target.tokens["bank-admin"]), bearer("made-up")):
                options: dict[str, Any] = {"timeout": CALL_S, "metadata": more}
                tail = feed_pb2.TailRequest(tenant=CITY, after_position=0)
                for call in (
                    feeds.Tail(tail, **options).read(),
                    feeds.PublishEvent(feed_pb2.PublishEventRequest(tenant=CITY), **options),
                    rules.ListRules(rule_pb2.ListRulesRequest(tenant=CITY), **options),
                    rules.RetireRule(
                        rule_pb2.RetireRuleRequest(tenant=CITY, rule_id="r"), **options
                    ),
                    registry.GetApplication(
                        registry_pb2.GetApplicationRequest(tenant=CITY, application="traffic"),
                        **options,
                    ),
                ):
                    await _tell(attempts, call)


PROVISIONER = (
    Attack(
        name="a stranger takes a client",
        what="Provision, Get, Release, Watch and Explain of another's client, without proof and "
        "with a key that was made up",
        run=a_stranger_takes_a_client,
    ),
    Attack(
        name="tickets are forged and replayed",
        what="a ticket from before a release; flipped signature, `alg=none`, unknown key, key "
        "confusion, altered claims",
        run=tickets_are_forged_and_replayed,
    ),
    Attack(
        name="tokens are guessed",
        what="bearers nobody issued, fifty at a time",
        run=tokens_are_guessed,
    ),
    Attack(
        name="roles are overstepped",
        what="a tenant's admin at the fleet and at another tenant, a viewer that changes things, "
        "a unit's agent at another unit, a token without roles",
        run=roles_are_overstepped,
    ),
)
DATA_SHARING = (
    Attack(
        name="data of another tenant",
        what="another tenant's admin, a stranger and an unknown token at feeds, rules and "
        "applications",
        run=data_of_another_tenant,
    ),
    Attack(
        name="tokens are guessed",
        what="bearers nobody issued, fifty at a time",
        run=tokens_are_guessed,
    ),
)
