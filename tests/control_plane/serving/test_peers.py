"""Which address counts for a call."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.serving.peers import Proxies, parse_networks, peer_address

PROXIES = Proxies(parse_networks(["198.51.100.0/24", "2001:db8:9::/48"]))


def forwarded(value: str):
    return (("user-agent", "x"), ("x-forwarded-for", value))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:81.2.69.142:5", "81.2.69.142"),
        ("ipv6:[2a00:1450::1]:5", "2a00:1450::1"),
        ("ipv6:%5B2a00:1450::1%5D:5", "2a00:1450::1"),
        ("ipv6:[fe80::1%25eth0]:5", "fe80::1"),
        ("unix:/tmp/x.sock", None),
        ("", None),
    ],
)
def test_peers_as_grpc_writes_them(peer, address):
    assert peer_address(peer) == address


@pytest.mark.parametrize(
    ("peer", "header", "address"),
    [
        pytest.param("ipv4:81.2.69.142:5", "8.8.8.8", "81.2.69.142", id="spoofed"),
        pytest.param("ipv4:198.51.100.1:5", "8.8.8.8", "8.8.8.8", id="one-proxy"),
        pytest.param("ipv4:198.51.100.1:5", "1.1.1.1, 8.8.8.8", "8.8.8.8", id="right-most"),
        pytest.param("ipv4:198.51.100.1:5", "8.8.8.8, 198.51.100.7", "8.8.8.8", id="two-proxies"),
        pytest.param("ipv6:[2001:db8:9::1]:5", "2a00::1", "2a00::1", id="ipv6-proxy"),
        pytest.param("ipv4:198.51.100.1:5", "[2a00::1]:99", "2a00::1", id="ipv6-with-port"),
        pytest.param("ipv4:198.51.100.1:5", "8.8.8.8:99", "8.8.8.8", id="ipv4-with-port"),
        pytest.param("ipv4:198.51.100.1:5", "8.8.8.8, nonsense", "198.51.100.1", id="nonsense"),
        pytest.param("ipv4:198.51.100.1:5", "198.51.100.2", "198.51.100.2", id="proxies-only"),
        pytest.param("ipv4:198.51.100.1:5", "", "198.51.100.1", id="an-empty-header"),
        pytest.param("ipv4:198.51.100.1:5", "8.8.8.8,", "198.51.100.1", id="a-trailing-comma"),
        pytest.param("ipv4:198.51.100.1:5", "[2a00::1]x", "198.51.100.1", id="brackets-and-more"),
        pytest.param("ipv4:198.51.100.1:5", "[2a00::1]", "2a00::1", id="ipv6-in-brackets"),
        pytest.param("ipv4:198.51.100.1:5", "fe80::1%eth0", "fe80::1", id="a-proxys-own-zone"),
        pytest.param(
            "ipv4:198.51.100.1:5", "nonsense, 8.8.8.8", "8.8.8.8", id="what-is-left-is-not-read"
        ),
        pytest.param(
            "ipv4:198.51.100.1:5", "8.8.8.8, [2001:db8:9::7]:80", "8.8.8.8", id="both-families"
        ),
        pytest.param("ipv4:198.51.101.1:5", "8.8.8.8", "198.51.101.1", id="just-outside"),
        pytest.param("ipv6:[::ffff:198.51.100.1]:5", "8.8.8.8", "8.8.8.8", id="mapped-proxy"),
        pytest.param("unix:/x", "8.8.8.8", None, id="a-socket-is-nobody"),
    ],
)
def test_the_right_most_untrusted_hop_counts(peer, header, address):
    assert PROXIES.client_address(peer, forwarded(header)) == address


def test_without_trusted_proxies_no_header_is_looked_at():
    assert Proxies().client_address("ipv4:1.1.1.1:5", forwarded("8.8.8.8")) == "1.1.1.1"


def test_several_headers_are_one_list():
    metadata = (("x-forwarded-for", "8.8.8.8"), ("x-forwarded-for", "198.51.100.3"))
    assert PROXIES.client_address("ipv4:198.51.100.1:5", metadata) == "8.8.8.8"


def test_a_bad_network_is_named():
    with pytest.raises(InvalidInput, match="nonsense"):
        parse_networks(["10.0.0.0/8", "nonsense"])


@given(st.text(max_size=60))
def test_whatever_an_untrusted_peer_sends_changes_nothing(header):
    assert PROXIES.client_address("ipv4:81.2.69.142:5", forwarded(header)) == "81.2.69.142"


@given(st.text(max_size=40), st.ip_addresses().filter(lambda a: not PROXIES.is_trusted(str(a))))
def test_a_caller_cannot_write_its_way_past_what_the_proxy_saw(written, seen):
    header = f"{written}, {seen}"
    assert PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(header)) == str(seen)


@given(st.text(max_size=60))
def test_whatever_a_proxy_passes_on_an_address_comes_out(header):
    found = PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(header))
    assert ipaddress.ip_address(found)


def test_headers_in_bytes_are_not_this_header():
    metadata = (("x-forwarded-for", b"8.8.8.8"),)
    assert PROXIES.client_address("ipv4:198.51.100.1:5", metadata) == "198.51.100.1"


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.0/33", ""])
def test_a_trusted_proxy_that_is_none_is_named(text):
    with pytest.raises(InvalidInput, match="not an address or CIDR block"):
        parse_networks(["10.0.0.0/8", text])
