"""Addresses: what is read, what is unwrapped, what is refused and in which words."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from provisioner.geo.address import (
    Address,
    Scope,
    check_client,
    embedded_ipv4,
    parse,
    scope_of,
    text_of,
)

CLIENT = "81.2.69.142"
CLIENT_NUMBER = int(ipaddress.IPv4Address(CLIENT))
HEX = f"{CLIENT_NUMBER >> 16:x}:{CLIENT_NUMBER & 0xFFFF:x}"
INVERTED = CLIENT_NUMBER ^ 0xFFFFFFFF
INVERTED_HEX = f"{INVERTED >> 16:x}:{INVERTED & 0xFFFF:x}"

FORMS = [
    pytest.param(f"::ffff:{CLIENT}", id="mapped"),
    pytest.param(f"::ffff:{HEX}", id="mapped-in-hexadecimal"),
    pytest.param(f"::ffff:0:{CLIENT}", id="translated"),
    pytest.param(f"::{CLIENT}", id="compatible"),
    pytest.param(f"2002:{HEX}::1", id="6to4"),
    pytest.param(f"2002:{HEX}:5:6:7:8:9", id="6to4-with-a-host-part"),
    pytest.param(f"2001:0:4136:e378:8000:63bf:{INVERTED_HEX}", id="Teredo-stores-it-inverted"),
    pytest.param(f"64:ff9b::{CLIENT}", id="NAT64-well-known-prefix"),
    pytest.param(f"64:ff9b:1::{CLIENT}", id="NAT64-local-prefix"),
    pytest.param(f"64:ff9b:1:ffff::{CLIENT}", id="NAT64-local-prefix-with-a-subnet"),
    pytest.param(f"2a00:1450::5efe:{CLIENT}", id="ISATAP"),
    pytest.param(f"2a00:1450::200:5efe:{CLIENT}", id="ISATAP-with-a-global-interface-id"),
    pytest.param(f"2001:db8::5efe:{CLIENT}", id="ISATAP-beside-the-Teredo-prefix"),
    pytest.param(f"fe80::5efe:{CLIENT}", id="ISATAP-link-local"),
]


@pytest.mark.parametrize("text", FORMS)
def test_an_ipv4_address_inside_an_ipv6_one_comes_out(text):
    assert parse(text) == Address(4, CLIENT_NUMBER)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2001:4860:4860::8888", id="an-ordinary-one-beside-Teredo"),
        pytest.param("2003::1", id="an-ordinary-one-beside-6to4"),
        pytest.param("::1", id="loopback-is-not-0.0.0.1"),
        pytest.param("::", id="unspecified-is-not-0.0.0.0"),
        pytest.param("2a00:1450::5eff:102:304", id="nearly-ISATAP"),
        pytest.param("64:ff9b:2::102:304", id="beside-the-local-NAT64-prefix"),
        pytest.param("::fffe:102:304", id="nearly-mapped"),
    ],
)
def test_an_ipv6_address_without_ipv4_inside_stays_one(text):
    assert parse(text) == Address(6, int(ipaddress.IPv6Address(text)))


@given(st.ip_addresses(v=4))
def test_reads_every_ipv4_literal_as_the_ipaddress_module_does(address):
    assert parse(str(address)) == Address(4, int(address))
    assert text_of(parse(str(address))) == str(address)


@given(st.ip_addresses(v=6), st.sampled_from(["compressed", "exploded", "upper"]))
def test_reads_every_ipv6_literal_as_the_ipaddress_module_does(address, spelling):
    text = str(address).upper() if spelling == "upper" else getattr(address, spelling)
    inner = embedded_ipv4(int(address))
    expected = Address(6, int(address)) if inner is None else Address(4, inner)
    assert parse(text) == expected


@given(st.text(alphabet="0123456789abcfx.:/%[] \u0661\0", max_size=45))
def test_accepts_no_text_that_the_ipaddress_module_refuses(text):
    try:
        expected = ipaddress.ip_address(text)
    except ValueError:
        with pytest.raises(InvalidInput) as caught:
            parse(text)
        assert caught.value.field == "address"
    else:
        if "%" not in text:
            found = parse(text)
            assert found.version == 4 or found.number == int(expected)


@given(st.ip_addresses(v=6))
def test_agrees_with_the_ipaddress_module_on_what_is_embedded(address):
    if address.ipv4_mapped is not None:
        assert embedded_ipv4(int(address)) == int(address.ipv4_mapped)
    elif address.teredo is not None:
        assert embedded_ipv4(int(address)) == int(address.teredo[1])
    elif address.sixtofour is not None:
        assert embedded_ipv4(int(address)) == int(address.sixtofour)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_unwraps_any_teredo_and_6to4_address(inner, rest):
    """Arbitrary IPv6 addresses hardly ever hit these prefixes, so they are built here."""
    teredo = (0x20010000 << 96) | (rest << 32) | inner
    assert embedded_ipv4(teredo) == int(ipaddress.IPv6Address(teredo).teredo[1])
    six_to_four = (0x2002 << 112) | (inner << 80) | (rest & (2**80 - 1))
    assert embedded_ipv4(six_to_four) == inner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "address is empty", id="empty"),
        pytest.param("192.0.2.0/24", "is a network; give one address", id="a-CIDR-block"),
        pytest.param("2001:db8::/32", "is a network; give one address", id="an-IPv6-CIDR-block"),
        pytest.param("fe80::1%eth0", "has a zone", id="a-zone"),
        pytest.param("[2001:db8::1]", "has a port or brackets", id="brackets"),
        pytest.param("[2001:db8::1]:443", "has a port or brackets", id="brackets-and-a-port"),
        pytest.param("192.0.2.1:443", "has a port or brackets", id="an-IPv4-port"),
        pytest.param("192.0.02.1", "has leading zeros", id="leading-zeros"),
        pytest.param("010.0.0.1", "has leading zeros", id="leading-zeros-like-octal"),
        pytest.param("1.2.3", "is not an IPv4 or IPv6 address", id="three-parts"),
        pytest.param("1.2.3.256", "is not an IPv4 or IPv6 address", id="too-large-a-part"),
        pytest.param("16909060", "is not an IPv4 or IPv6 address", id="one-number"),
        pytest.param("0x1.2.3.4", "is not an IPv4 or IPv6 address", id="hexadecimal"),
        pytest.param(" 1.2.3.4", "is not an IPv4 or IPv6 address", id="a-space"),
        pytest.param("1.2.3.4\n", "is not an IPv4 or IPv6 address", id="a-newline"),
        pytest.param("1.2.3.4\0", "is not an IPv4 or IPv6 address", id="a-NUL"),
        pytest.param("\u0661.2.3.4", "is not an IPv4 or IPv6 address", id="Arabic-digits"),
        pytest.param("::1::", "is not an IPv4 or IPv6 address", id="two-double-colons"),
        pytest.param("12345::", "is not an IPv4 or IPv6 address", id="a-group-of-five"),
        pytest.param("\ud800", "is not an IPv4 or IPv6 address", id="half-a-surrogate-pair"),
        pytest.param("example.net", "is not an IPv4 or IPv6 address", id="a-name"),
    ],
)
def test_says_what_is_wrong_with_a_text(text, said):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert said in caught.value.message
    assert caught.value.field == "address"


def test_a_long_text_is_not_repeated_whole():
    with pytest.raises(InvalidInput) as caught:
        parse("x" * 10_000)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81.2.69.142", Scope.PUBLIC),
        ("2a00:1450::1", Scope.PUBLIC),
        ("10.1.2.3", Scope.PRIVATE),
        ("172.31.255.255", Scope.PRIVATE),
        ("172.32.0.0", Scope.PUBLIC),
        ("192.168.0.1", Scope.PRIVATE),
        ("fd00::1", Scope.PRIVATE),
        ("127.0.0.1", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("::ffff:127.0.0.1", Scope.LOOPBACK),
        ("169.254.1.1", Scope.LINK_LOCAL),
        ("fe80::1", Scope.LINK_LOCAL),
        ("100.64.0.1", Scope.SHARED),
        ("100.128.0.0", Scope.PUBLIC),
        ("198.51.100.7", Scope.DOCUMENTATION),
        ("2001:db8::1", Scope.DOCUMENTATION),
        ("2001:db9::1", Scope.PUBLIC),
        ("3fff::1", Scope.DOCUMENTATION),
        ("3fff:1000::1", Scope.PUBLIC),
        ("198.18.0.1", Scope.RESERVED),
        ("240.0.0.1", Scope.RESERVED),
        ("0.1.2.3", Scope.RESERVED),
        ("224.0.0.1", Scope.MULTICAST),
        ("ff02::1", Scope.MULTICAST),
        ("0.0.0.0", Scope.UNSPECIFIED),
        ("::", Scope.UNSPECIFIED),
        ("255.255.255.255", Scope.BROADCAST),
    ],
)
def test_knows_what_an_address_is_good_for(text, expected):
    assert scope_of(parse(text)) is expected


@given(st.ip_addresses())
def test_calls_no_private_address_public(address):
    """What ipaddress calls private, loopback or multicast is never looked up as public."""
    parsed = parse(str(address))
    plain = ipaddress.ip_address(text_of(parsed))
    if plain.is_multicast or plain.is_loopback or plain.is_link_local or plain.is_unspecified:
        assert scope_of(parsed) is not Scope.PUBLIC


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("255.255.255.255", "broadcast"),
    ],
)
def test_refuses_addresses_that_no_client_has(text, kind):
    with pytest.raises(InvalidInput, match=kind):
        check_client(text, parse(text))


def test_a_private_address_may_be_a_clients():
    assert check_client("10.0.0.1", parse("10.0.0.1")) is Scope.PRIVATE


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_global_is_public(address):
    special = ipaddress.ip_network("192.0.0.0/24")  # versions of the library differ about it
    if address.is_global and not address.is_multicast and address not in special:
        assert scope_of(parse(str(address))) is Scope.PUBLIC
    if address.is_private and address not in special:
        assert scope_of(parse(str(address))) is not Scope.PUBLIC
