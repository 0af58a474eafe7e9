"""Requests are read as what was asked for, and a wrong one fails with the field at fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.requests import (
    MAX_BATCH,
    Origin,
    origin_of,
    read_batch,
    read_provision,
    unsaid,
    utf8,
)

NOT_UTF8 = b"\xff\xfe"


def position(latitude: float, longitude: float) -> pb.ClientOrigin:
    origin = pb.ClientOrigin(client_id="a")
    origin.position.latitude, origin.position.longitude = latitude, longitude
    return origin


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(pb.ClientOrigin(), Origin(), id="says-nothing"),
        pytest.param(pb.ClientOrigin(address="192.0.2.1"), Origin(address="192.0.2.1"), id="ip"),
        pytest.param(
            pb.ClientOrigin(address=""), Origin(address=""), id="an-empty-address-is-said"
        ),
        pytest.param(position(1.5, -2.5), Origin(position=(1.5, -2.5)), id="a-position"),
        pytest.param(position(0, 0), Origin(position=(0.0, 0.0)), id="the-gulf-of-guinea-is-said"),
    ],
)
def test_the_origin_is_what_the_message_says(message: pb.ClientOrigin, expected: Origin) -> None:
    assert origin_of(message) == expected
    if not message.address:
        assert unsaid(message) == (expected.address, expected.position)


def test_a_request_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_provision(b"\x0a\xff")
    assert refused.value.field == "request"


def batch(*client_ids: bytes, tenant: bytes = b"") -> bytes:
    """A ProvisionManyRequest written by hand, so that ids need not be UTF-8."""
    clients = b"".join(
        b"\x12" + bytes([len(name) + 2]) + b"\x0a" + bytes([len(name)]) + name
        for name in client_ids
    )
    return (b"\x0a" + bytes([len(tenant)]) + tenant if tenant else b"") + clients


def test_a_sound_batch_is_read_as_messages() -> None:
    sent = pb.ProvisionManyRequest(
        tenant="acme",
        without_tickets=True,
        clients=[pb.ClientOrigin(client_id="a"), pb.ClientOrigin(client_id="b", address="::1")],
    )
    read = read_batch(sent.SerializeToString())
    assert (read.tenant, read.with_tickets) == ("acme", False)
    assert list(read.clients) == list(sent.clients)


def test_whose_a_batch_without_a_tenant_is_its_caller_says() -> None:
    read = read_batch(pb.ProvisionManyRequest(clients=[pb.ClientOrigin()]).SerializeToString())
    assert (read.tenant, read.with_tickets) == ("", True)


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_a_batch_of_nobody_or_of_too_many_is_refused(count: int) -> None:
    sent = pb.ProvisionManyRequest(clients=[pb.ClientOrigin(client_id="a")] * count)
    with pytest.raises(InvalidInput) as refused:
        read_batch(sent.SerializeToString())
    assert refused.value.field == "clients"


def test_the_largest_batch_is_read() -> None:
    sent = pb.ProvisionManyRequest(clients=[pb.ClientOrigin(client_id="a")] * MAX_BATCH)
    assert len(read_batch(sent.SerializeToString()).clients) == MAX_BATCH


@given(names=st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5))
def test_one_id_that_is_no_text_does_not_spoil_its_batch(names: list[bytes]) -> None:
    read = read_batch(batch(NOT_UTF8, *names))
    ids = [one.client_id for one in read.clients]
    assert [one.encode() if isinstance(one, str) else one for one in ids] == [NOT_UTF8, *names]
    with pytest.raises(InvalidInput) as refused:
        utf8(ids[0], "client_id")
    assert refused.value.field == "client_id"


def test_a_batch_that_is_no_message_is_refused_as_a_whole() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_batch(b"\x12\xff\xff")
    assert refused.value.field == "request"
