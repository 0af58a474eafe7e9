"""Addresses: what is read, what is refused, and what hides inside IPv6."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from provisioner.geo.address import Address, Scope, check_client, parse, scope_of, text_of


@given(st.ip_addresses(v=4))
def test_ipv4_reads_as_the_standard_library_reads_it(address):
    assert parse(str(address)) == Address(4, int(address))


@given(st.ip_addresses(v=6))
def test_ipv6_reads_as_the_standard_library_reads_it_or_as_the_ipv4_inside(address):
    parsed = parse(str(address))
    if parsed.version == 6:
        assert parsed.number == int(address)
        assert address.ipv4_mapped is None
        assert address.sixtofour is None
        assert address.teredo is None
        assert parse(text_of(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("::ffff:198.51.100.7", id="mapped"),
        pytest.param("::ffff:0:198.51.100.7", id="translated"),
        pytest.param("::198.51.100.7", id="compatible"),
        pytest.param("2002:c633:6407::1", id="6to4"),
        pytest.param("2001:0:4136:e378:8000:63bf:39cc:9bf8", id="teredo"),
        pytest.param("64:ff9b::198.51.100.7", id="nat64"),
        pytest.param("64:ff9b:1::198.51.100.7", id="local-nat64"),
        pytest.param("2001:db8::5efe:198.51.100.7", id="isatap"),
        pytest.param("fe80::200:5efe:198.51.100.7", id="isatap-on-a-link"),
    ],
)
def test_ipv4_inside_ipv6_comes_out(text):
    assert text_of(parse(text)) == "198.51.100.7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("10.0.0.0/8", "a network"),
        ("fe80::1%eth0", "a zone"),
        ("[2001:db8::1]", "brackets"),
        ("198.51.100.7:443", "a port"),
        ("010.1.2.3", "leading zeros"),
        ("1.2.3", "not an IPv4 or IPv6"),
        ("1.2.3.256", "not an IPv4 or IPv6"),
        ("example.net", "not an IPv4 or IPv6"),
        ("1:2:3:4:5:6:7:8:9", "not an IPv4 or IPv6"),
        ("１.2.3.4", "not an IPv4 or IPv6"),
        ("1.2.3.4\x00", "not an IPv4 or IPv6"),
        ("x" * 500, "…"),
    ],
)
def test_what_is_not_an_address_is_told_what_it_is(text, said):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert caught.value.field == "address"
    assert said in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("8.8.8.8", Scope.PUBLIC),
        ("192.88.1.1", Scope.PUBLIC),
        ("2a00:1450::1", Scope.PUBLIC),
        ("10.255.0.1", Scope.PRIVATE),
        ("172.31.255.255", Scope.PRIVATE),
        ("172.32.0.0", Scope.PUBLIC),
        ("192.168.1.1", Scope.PRIVATE),
        ("fd12::1", Scope.PRIVATE),
        ("127.8.8.8", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("169.254.1.1", Scope.LINK_LOCAL),
        ("fe80::1", Scope.LINK_LOCAL),
        ("100.64.0.1", Scope.SHARED),
        ("100.128.0.1", Scope.PUBLIC),
        ("203.0.113.5", Scope.DOCUMENTATION),
        ("2001:db8::5", Scope.DOCUMENTATION),
        ("198.19.0.1", Scope.RESERVED),
        ("250.0.0.1", Scope.RESERVED),
        ("0.1.2.3", Scope.RESERVED),
    ],
)
def test_scopes(text, scope):
    parsed = parse(text)
    assert scope_of(parsed) is scope
    assert check_client(text, parsed) is scope


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "255.255.255.255", "239.1.1.1", "ff02::1"])
def test_addresses_that_no_client_has_are_refused(text):
    with pytest.raises(InvalidInput, match="no client has"):
        check_client(text, parse(text))


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_global_is_public(address):
    special = ipaddress.ip_network("192.0.0.0/24")  # versions of the library differ about it
    if address.is_global and not address.is_multicast and address not in special:
        assert scope_of(parse(str(address))) is Scope.PUBLIC
    if address.is_private and address not in special:
        assert scope_of(parse(str(address))) is not Scope.PUBLIC
