"""Ways of enrolment and issuers, from the wire and back, within their bounds."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import field_mask_pb2
from jwt.algorithms import OKPAlgorithm

from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import EnrolmentMethod, TrustedIssuer
from control_plane.fleet.records import decode_tenant, encode_tenant
from control_plane.fleet.validation import check_tenant
from control_plane.store.port import KeyValue
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from provisioner.api import mapping
from provisioner.api.enrolment_mapping import check_keys, given_attributes

JWKS = json.dumps(
    {"keys": [json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))]}
)
SOUND = {"issuer": "https://a", "audience": "b", "jwks": JWKS}
EVERY = pb.Tenant(
    tenant="city",
    enrolment=[pb.ENROLMENT_METHOD_OPEN, pb.ENROLMENT_METHOD_TOKEN, pb.ENROLMENT_METHOD_X509,
               pb.ENROLMENT_METHOD_BOOTSTRAP],
    issuers=[
        pb.TrustedIssuer(**SOUND, client_claim="device"),
        pb.TrustedIssuer(issuer="c", audience="d", jwks_url="https://c.example.net/k"),
    ],
)  # fmt: skip


def checked(message: pb.Tenant) -> None:
    tenant = check_tenant(mapping.tenant_from_proto(message))
    check_keys(tenant.issuers)


def test_what_comes_from_the_wire_goes_back_to_it_and_through_the_store():
    checked(EVERY)
    tenant = mapping.tenant_from_proto(EVERY)
    assert tenant.enrolment == tuple(EnrolmentMethod)
    assert tenant.issuers[1] == TrustedIssuer(
        issuer="c", audience="d", jwks_url="https://c.example.net/k"
    )
    back = mapping.tenant_to_proto(tenant)
    assert back.enrolment == EVERY.enrolment
    assert [one.issuer for one in back.issuers] == ["https://a", "c"]
    assert mapping.tenant_from_proto(back) == tenant
    assert decode_tenant(KeyValue(b"k", encode_tenant(tenant), 1, 1, 1)) == tenant


def test_a_record_from_before_enrolment_says_nothing_of_it():
    found = decode_tenant(KeyValue(b"k", b'{"id":"shop","ticket_ttl_s":60.0}', 1, 1, 1))
    assert (found.enrolment, found.issuers) == ((), ())


def test_a_mask_may_name_them():
    mask = field_mask_pb2.FieldMask(paths=["enrolment", "issuers"])
    assert mapping.tenant_fields(mask) == {"enrolment", "issuers"}


@pytest.mark.parametrize(
    ("tenant", "field"),
    [
        ({"enrolment": [0]}, "tenant.enrolment"),
        ({"enrolment": [99]}, "tenant.enrolment"),
        ({"enrolment": [1, 1]}, "tenant.enrolment"),
        ({"issuers": [pb.TrustedIssuer(**SOUND)] * 2}, "tenant.issuers"),
        ({"issuers": [pb.TrustedIssuer(**{**SOUND, "issuer": f"i{n}"}) for n in range(9)]},
         "tenant.issuers"),
        *(
            ({"issuers": [pb.TrustedIssuer(**{**SOUND, **wrong})]}, f"tenant.issuers[0]{name}")
            for wrong, name in [
                ({"issuer": ""}, ".issuer"),
                ({"issuer": "i" * 513}, ".issuer"),
                ({"audience": ""}, ".audience"),
                ({"client_claim": "c" * 65}, ".client_claim"),
                ({"jwks": ""}, ""),
                ({"jwks": "{}"}, ".jwks"),
                ({"jwks": '{"keys": []}'}, ".jwks"),
                ({"jwks": " " * (16 << 10) + JWKS}, ""),
            ]
        ),
        *(
            ({"issuers": [pb.TrustedIssuer(issuer="i", audience="a", jwks_url=url)]},
             "tenant.issuers[0].jwks_url")
            for url in ["http://a.example.net/k", "http://127.0.0.1/k", "file:///etc/passwd",
                        "https://", "https://user:pw@a.example.net/k", "https://a b"]
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tenant, field):
    with pytest.raises(InvalidInput) as caught:
        checked(pb.Tenant(tenant="city", **tenant))
    assert caught.value.field == field


def test_what_clients_are_made_with_has_the_bounds_of_what_is_told_of_them():
    assert list(given_attributes({"b": "2", "a": "1"}).items()) == [("a", "1"), ("b", "2")]
    for said in (
        {"a": ""},
        {"a b": "c"},
        {"a": "x" * 257},
        {"a": "line\nbreak"},
        {f"n{number}": "x" for number in range(17)},
        {f"n{number}": "x" * 200 for number in range(6)},
    ):
        with pytest.raises(InvalidInput) as found:
            given_attributes(said)
        assert found.value.field == "attributes"
