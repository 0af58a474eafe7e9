"""How much of an address a log shows."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.client_address import AddressDetail, ClientAddress, truncate_address

NAMES = [
    pytest.param("198.51.100.7", "198.51.100.0/24", "198.51.100.7", id="ipv4"),
    pytest.param("2001:db8:1:2::7", "2001:db8:1::/48", "2001:db8:1:2::7", id="ipv6"),
    pytest.param("2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8:1:2::/64", id="an-ipv6-64"),
    pytest.param("::ffff:198.51.100.7", "198.51.100.0/24", "198.51.100.7", id="ipv4-mapped"),
    pytest.param("fe80::1%eth0", "fe80::/48", "fe80::1", id="the-zone-is-left-out"),
    pytest.param("10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", id="wider-than-the-cut"),
    pytest.param("127.0.0.1", "127.0.0.0/24", "127.0.0.1", id="loopback"),
    pytest.param("::1", "::/48", "::1", id="ipv6-loopback"),
    pytest.param("alice.example.net", "?", "?", id="a-name-is-not-shown"),
    pytest.param("", "?", "?", id="nothing"),
    pytest.param("198.51.100.7\nforged", "?", "?", id="no-line-is-forged"),
    pytest.param("198.51.100.7/99", "?", "?", id="no-network"),
]


@pytest.mark.parametrize(("text", "truncated", "full"), NAMES)
def test_each_detail_shows_as_much_as_it_says(text, truncated, full):
    address = ClientAddress(text)
    shown = [address.shown(detail) for detail in AddressDetail]
    assert shown == [truncated, full, "-"]
    assert str(address) == f"{address}" == truncated
    assert repr(address) == f"ClientAddress('{truncated}')"


@given(st.ip_addresses())
def test_nothing_of_the_host_part_is_left_of_any_address(address):
    network = ipaddress.ip_network(truncate_address(str(address)))
    inner = getattr(address, "ipv4_mapped", None) or address
    assert inner in network
    assert network.prefixlen == (24 if network.version == 4 else 48)
