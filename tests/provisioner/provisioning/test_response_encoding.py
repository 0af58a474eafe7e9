"""The hand-written encoder says exactly what the generated classes would."""

from hypothesis import given
from hypothesis import strategies as st

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.geo.location import NOWHERE, Location, LocationSource
from provisioner.provisioning import response_encoding

names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=200
)
locations = st.one_of(
    st.just(NOWHERE),
    st.builds(
        Location,
        source=st.sampled_from(LocationSource),
        country=st.sampled_from(["", "IE", "FJ"]),
        subdivision=st.sampled_from(["", "L", "Île-de-France"]),
        continent=st.sampled_from(["", "EU"]),
        latitude=st.floats(-90, 90),
        longitude=st.floats(-180, 180),
        uncertainty_km=st.floats(0, 20_000),
    ),
)


@given(
    tenant=names,
    client=names,
    unit=names,
    endpoint=names,
    epoch=st.integers(1, 2**63),
    millis=st.integers(1, 2**42),
    ticket=st.text("abc.", max_size=600),
    ttl_millis=st.integers(1, 10**9),
    location=locations,
    distance_km=st.floats(-1, 20_100),
    rule=st.sampled_from(["nearest", "existing"]),
    existing=st.booleans(),
)
def test_a_response_reads_back_as_what_went_in(
    tenant, client, unit, endpoint, epoch, millis, ticket, ttl_millis, location, distance_km,
    rule, existing,
):  # fmt: skip
    assignment = response_encoding.assignment_bytes(
        response_encoding.tenant_bytes(tenant),
        client.encode(),
        response_encoding.unit_bytes(unit, endpoint),
        epoch,
        response_encoding.time_bytes(millis),
    )
    response = response_encoding.response_bytes(
        assignment,
        ticket,
        response_encoding.ttl_bytes(ttl_millis / 1000),
        response_encoding.decision_bytes(location, distance_km, rule),
        existing,
    )

    expected = pb.ProvisionResponse(ticket=ticket, existing=existing)
    expected.assignment.tenant = tenant
    expected.assignment.client_id = client
    expected.assignment.unit_id = unit
    expected.assignment.endpoint = endpoint
    expected.assignment.epoch = epoch
    expected.assignment.assign_time.FromMilliseconds(millis)
    expected.decision.location.CopyFrom(response_encoding.location_message(location))
    expected.decision.distance_km = distance_km
    expected.decision.rule = rule
    read = pb.ProvisionResponse.FromString(response)
    if ticket:
        assert abs(read.ticket_ttl.ToNanoseconds() / 1e6 - ttl_millis) < 0.001
        expected.ticket_ttl.CopyFrom(read.ticket_ttl)
    assert read == expected
    assert response == expected.SerializeToString(deterministic=True)

    many = pb.ProvisionManyResponse.FromString(
        response_encoding.result_bytes(client.encode(), response)
    )
    assert many.results == [pb.ProvisionResult(client_id=client, provisioned=expected)]


@given(
    tenant=names,
    clients=st.lists(names, min_size=1, max_size=5, unique=True),
    units=st.lists(st.tuples(names, names), min_size=1, max_size=2),
    millis=st.integers(1, 2**42),
    location=locations,
)
def test_entries_for_new_clients_read_back_as_what_went_in(
    tenant, clients, units, millis, location
):
    results = response_encoding.NewResults(tenant, millis)
    decision = response_encoding.decision_bytes(location, 12.5, "nearest")
    for client in clients:
        for unit, endpoint in units:
            made = results.entry(
                client.encode(), response_encoding.unit_bytes(unit, endpoint), decision
            )
            alone = response_encoding.response_bytes(
                response_encoding.assignment_bytes(
                    response_encoding.tenant_bytes(tenant),
                    client.encode(),
                    response_encoding.unit_bytes(unit, endpoint),
                    1,
                    response_encoding.time_bytes(millis),
                ),
                "",
                b"",
                decision,
                existing=False,
            )
            assert made == response_encoding.result_bytes(client.encode(), alone)
