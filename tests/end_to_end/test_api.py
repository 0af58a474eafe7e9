"""The API over the wire, on both transports: what callers may send, and what they are told.

One server per transport for the whole module (conftest).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json

import grpc
import pytest

from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.jws import from_base64url
from control_plane.identity.tickets import VerifyingKey
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.status.v1 import status_pb2
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc

PROVISION = "/homeport.api.provisioning.v1.ProvisioningService/Provision"
MANY = "/homeport.api.provisioning.v1.ProvisioningService/ProvisionMany"


def details(error: grpc.aio.AioRpcError) -> dict[str, bytes]:
    """google.rpc details by their short name."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            return {one.type_url.rpartition(".")[2]: one.value for one in status.details}
    return {}


def bad_request(error: grpc.aio.AioRpcError) -> status_pb2.BadRequest.FieldViolation:
    (violation,) = status_pb2.BadRequest.FromString(details(error)["BadRequest"]).field_violations
    return violation


async def refusal(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_client_gets_the_nearest_unit_a_ticket_and_the_reason(stub):
    answer = await stub.Provision(pb.ProvisionRequest(client_id="alice", address="81.2.69.142"))
    assert answer.assignment.unit_id == "dublin"
    assert answer.assignment.endpoint == "dublin.example.net:443"
    assert answer.assignment.epoch == 1
    assert answer.decision.location.country == "GB"
    assert answer.decision.rule == "nearest"
    assert 300 < answer.decision.distance_km < 600
    assert answer.ticket.count(".") == 2
    assert answer.ticket_ttl.seconds == 3600
    again = await stub.Provision(pb.ProvisionRequest(client_id="alice", address="1.1.1.1"))
    assert again.existing
    assert again.assignment == answer.assignment
    got = await stub.GetAssignment(pb.GetAssignmentRequest(client_id="alice"))
    assert got.assignment == answer.assignment


@pytest.mark.parametrize("address", ["81.2.69.142", "2001:4860:4860::8888"])
async def test_who_asks_hears_for_which_network_the_decision_holds(stub, address):
    name = f"network-{address.replace(':', '-')}"
    asked = pb.ProvisionRequest(client_id=name, address=address, with_network=True)
    answer = await stub.Provision(asked)
    assert ipaddress.ip_address(address) in ipaddress.ip_network(answer.network)
    asked.address = "1.1.1.1"
    again = await stub.Provision(asked)
    assert (again.existing, again.network) == (True, "")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        pytest.param(pb.ProvisionRequest(), "client_id", id="no-id"),
        pytest.param(pb.ProvisionRequest(client_id="x" * 129), "client_id", id="an-id-too-long"),
        pytest.param(pb.ProvisionRequest(client_id="a/b"), "client_id", id="an-id-with-a-slash"),
        pytest.param(pb.ProvisionRequest(client_id="a\nb"), "client_id", id="a-control-character"),
        pytest.param(pb.ProvisionRequest(client_id="c", address=""), "address", id="no-address"),
        pytest.param(
            pb.ProvisionRequest(client_id="c", address="here"), "address", id="not-an-address"
        ),
        pytest.param(
            pb.ProvisionRequest(client_id="c", address="10.0.0.0/8"), "address", id="a-network"
        ),
        pytest.param(
            pb.ProvisionRequest(client_id="c", address="224.0.0.1"), "address", id="multicast"
        ),
        pytest.param(
            pb.ProvisionRequest(client_id="c", position={"latitude": 91, "longitude": 0}),
            "position.latitude", id="north-of-the-pole",
        ),
        pytest.param(
            pb.ProvisionRequest(client_id="c", position={"latitude": 0, "longitude": float("nan")}),
            "position.longitude", id="not-a-number",
        ),
    ],
)  # fmt: skip
async def test_a_bad_request_names_its_field(stub, request_, field):
    error = await refusal(stub.Provision(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert bad_request(error).field == field
    assert error.details() == bad_request(error).description


async def test_an_id_that_is_not_utf8_is_the_callers_fault(channel):
    call = channel.unary_unary(PROVISION)
    error = await refusal(call(b"\x12\x02\xff\xfe"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "UTF-8" in error.details()


async def test_an_unknown_tenant_is_told_so(stub):
    error = await refusal(stub.Provision(pb.ProvisionRequest(tenant="nobody", client_id="c")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "nobody" in error.details()


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "127.0.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fe80::1", "2001:db8::1"],
)
async def test_an_address_that_is_nowhere_still_gets_a_home(stub, address):
    answer = await stub.Provision(pb.ProvisionRequest(client_id=f"n-{address}", address=address))
    assert answer.assignment.unit_id
    assert answer.decision.rule == "spread"
    assert answer.decision.distance_km == -1


@pytest.mark.parametrize(
    "address",
    ["::ffff:81.2.69.142", "2002:5102:458e::1", "64:ff9b::81.2.69.142", "::81.2.69.142",
     "2001:0:4136:e378:8000:63bf:aefd:ba71"],
)  # fmt: skip
async def test_ipv4_inside_ipv6_is_located_as_ipv4(stub, address):
    answer = await stub.Provision(pb.ProvisionRequest(client_id=f"v-{address}", address=address))
    assert answer.decision.location.country == "GB"


async def test_nothing_else_in_a_batch_is_lost(channel):
    batch = pb.ProvisionManyRequest(
        without_tickets=True,
        clients=[
            pb.ClientOrigin(client_id="b1", address="81.2.69.142"),
            pb.ClientOrigin(client_id="b/2"),
            pb.ClientOrigin(client_id="ZZ", address="81.2.69.142"),
            pb.ClientOrigin(client_id="b4", address="nope"),
            pb.ClientOrigin(client_id="b1", address="81.2.69.142"),
            pb.ClientOrigin(client_id="b6", position={"latitude": 1, "longitude": 999}),
            pb.ClientOrigin(client_id="b7", position={"latitude": 19, "longitude": 73}),
        ],
    ).SerializeToString().replace(b"ZZ", b"\xff\xfe")  # fmt: skip

    async def requests():
        yield batch

    answers = [pb.ProvisionManyResponse.FromString(a) async for a in
               channel.stream_stream(MANY)(requests())]  # fmt: skip
    (answer,) = answers
    kinds = [r.WhichOneof("outcome") for r in answer.results]
    assert kinds == ["provisioned", "error", "error", "error", "error", "error", "provisioned"]
    fields = [r.error.field for r in answer.results if r.HasField("error")]
    assert fields == ["client_id", "client_id", "address", "client_id", "position.longitude"]
    assert {r.error.code for r in answer.results if r.HasField("error")} == {"INVALID_ARGUMENT"}
    assert [r.client_id for r in answer.results][:2] == ["b1", "b/2"]
    assert answer.results[6].provisioned.assignment.unit_id == "mumbai"


async def test_how_a_client_came_to_its_home_is_kept_and_told_apart_from_now(stub):
    """Single calls and batches alike; by the record, not by where the question comes from."""

    async def batch():
        yield pb.ProvisionManyRequest(
            clients=[
                pb.ClientOrigin(client_id="kept-1", address="81.2.69.142"),
                pb.ClientOrigin(client_id="kept-2", position={"latitude": 19, "longitude": 72.8}),
                pb.ClientOrigin(client_id="kept-3"),
            ]
        )

    (answer,) = [one async for one in stub.ProvisionMany(batch())]
    given = {one.client_id: one.provisioned for one in answer.results}
    given["kept-4"] = await stub.Provision(
        pb.ProvisionRequest(client_id="kept-4", address="81.2.69.142")
    )
    for client_id, provisioned in given.items():
        got = await stub.GetAssignment(pb.GetAssignmentRequest(client_id=client_id))
        was, kept = provisioned.decision, got.decision
        assert (kept.rule, kept.location.source) == (was.rule, was.location.source)
        assert kept.location.country == was.location.country
        assert kept.distance_km == pytest.approx(was.distance_km, abs=0.06)
        assert kept.fleet_revision > 0
        assert (kept.placed_by, kept.moved_from, kept.job_id) == ("", "", "")
        explained = await stub.ExplainPlacement(pb.ExplainPlacementRequest(client_id=client_id))
        assert explained.current == got.assignment
        assert explained.current_decision == kept
        assert explained.location.position.latitude == kept.location.position.latitude
        assert explained.location_reason.startswith("nobody said where the client is")
    elsewhere = await stub.ExplainPlacement(
        pb.ExplainPlacementRequest(client_id="kept-1", position={"latitude": 19, "longitude": 72.8})
    )
    assert elsewhere.current.unit_id == "dublin"
    assert elsewhere.units[0].unit_id == "mumbai"
    assert elsewhere.current_decision.location.country == "GB"


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_a_wrong_size_is_refused_whole(stub, count):
    async def requests():
        yield pb.ProvisionManyRequest(
            clients=[pb.ClientOrigin(client_id=f"x{n}") for n in range(count)]
        )

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ProvisionMany(requests()):
            pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "1 to 1,000" in caught.value.details()


async def test_a_message_over_the_limit_is_refused(channel):
    call = channel.unary_unary(PROVISION)
    error = await refusal(call(b"\x12" + b"\xff\xff\x7f" + b"x" * (2 << 20)))
    assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_forwarded_address_from_an_untrusted_peer_changes_nothing(stub):
    answer = await stub.Provision(
        pb.ProvisionRequest(client_id="spoofer"), metadata=(("x-forwarded-for", "81.2.69.142"),)
    )
    assert answer.decision.location.country == ""
    assert answer.decision.rule == "spread"


async def test_release_gives_the_slot_back_once(stub, channel):
    fleet = fleet_pb2_grpc.FleetServiceStub(channel)

    async def clients() -> int:
        return (await fleet.GetUnit(fleet_pb2.GetUnitRequest(unit_id="mumbai"))).clients

    here = {"latitude": 19.0, "longitude": 72.8}
    before = await clients()
    await stub.Provision(pb.ProvisionRequest(client_id="leaver", position=here))
    assert await clients() == before + 1
    first = await stub.ReleaseAssignment(pb.ReleaseAssignmentRequest(client_id="leaver"))
    second = await stub.ReleaseAssignment(pb.ReleaseAssignmentRequest(client_id="leaver"))
    assert (first.released, second.released) == (True, False)
    assert await clients() == before
    error = await refusal(stub.GetAssignment(pb.GetAssignmentRequest(client_id="leaver")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_many_at_once_for_one_client_all_get_the_same_home(stub):
    asked = [
        stub.Provision(pb.ProvisionRequest(client_id="twin", address="81.2.69.142"))
        for _ in range(50)
    ]
    answers = await asyncio.gather(*asked)
    assert len({a.assignment.unit_id for a in answers}) == 1
    assert sum(not a.existing for a in answers) == 1


async def test_an_explanation_names_every_unit_and_changes_nothing(stub):
    answer = await stub.ExplainPlacement(
        pb.ExplainPlacementRequest(client_id="curious", address="81.2.69.142")
    )
    assert [u.unit_id for u in answer.units] == ["dublin", "virginia", "mumbai"]
    assert [u.verdict for u in answer.units] == [
        pb.PLACEMENT_VERDICT_CHOSEN, pb.PLACEMENT_VERDICT_RANKED, pb.PLACEMENT_VERDICT_RANKED,
    ]  # fmt: skip
    assert all(u.reason for u in answer.units)
    error = await refusal(stub.GetAssignment(pb.GetAssignmentRequest(client_id="curious")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_full_unit_is_refused_with_a_time_to_retry_and_known_clients_are_served(
    stub, channel
):
    fleet = fleet_pb2_grpc.FleetServiceStub(channel)
    spec = fleet_pb2.UnitSpec(
        unit_id="tiny", endpoint="tiny.example.net:443", country="FJ", capacity=3,
        position={"latitude": -17.7, "longitude": 177.4}, tenants=["small"],
    )  # fmt: skip
    tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
    await tenants.ApplyTenant(
        tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant="small"))
    )
    others = [
        (await fleet.GetUnit(fleet_pb2.GetUnitRequest(unit_id=name))).spec
        for name in ("dublin", "virginia", "mumbai")
    ]
    for other in others:
        other.tenants.append("default")
        await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=other))
    await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=spec))

    async def ask(client: str):
        return await stub.Provision(pb.ProvisionRequest(tenant="small", client_id=client))

    # Until the watch has brought the change, nobody may take this tenant's clients.
    for _ in range(100):
        try:
            await ask("s0")
            break
        except grpc.aio.AioRpcError as early:
            if early.code() not in (
                grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE,
            ):  # fmt: skip
                raise
            await asyncio.sleep(0.05)
    await ask("s1")
    await ask("s2")
    error = await refusal(ask("s3"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status_pb2.RetryInfo.FromString(details(error)["RetryInfo"]).retry_delay.seconds >= 1
    assert (await ask("s1")).existing
    await stub.ReleaseAssignment(pb.ReleaseAssignmentRequest(tenant="small", client_id="s1"))
    assert (await ask("s3")).assignment.unit_id == "tiny"
    error = await refusal(fleet.RemoveUnit(fleet_pb2.RemoveUnitRequest(unit_id="tiny")))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "3 clients" in error.details()
    for other in others:
        del other.tenants[:]
        await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=other))


async def test_eddsa_tickets_verify_with_the_key_set_alone(stub, channel):
    tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
    await tenants.ApplyTenant(
        tenancy_pb2.ApplyTenantRequest(
            tenant=tenancy_pb2.Tenant(
                tenant="signed", ticket_algorithm=tenancy_pb2.TICKET_ALGORITHM_EDDSA
            )
        )
    )
    answer = await stub.Provision(
        pb.ProvisionRequest(tenant="signed", client_id="c", address="81.2.69.142")
    )
    jwks = json.loads((await tenants.GetJwks(tenancy_pb2.GetJwksRequest())).jwks)
    (key,) = jwks["keys"]
    verifier = TicketVerifier(
        answer.assignment.unit_id,
        [VerifyingKey(key_id=key["kid"], algorithm="EdDSA", key=from_base64url(key["x"]))],
    )
    now = answer.assignment.assign_time.seconds + 1
    assert verifier.verify(answer.ticket, now).reason is AdmissionReason.ADMITTED
