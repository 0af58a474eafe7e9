"""Which address counts for a call."""

import ipaddress
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.serving.peers import (
    MOST_HOPS,
    Proxies,
    hop_address,
    parse_networks,
    peer_address,
)

PROXIES = Proxies(parse_networks(["198.51.100.0/24", "2001:db8:9::/48"]))


def could_be_a_client(address):
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return False
    return not ((address.version == 6 and address.ipv4_mapped) or PROXIES.is_trusted(str(address)))


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


@given(st.text(max_size=40), st.ip_addresses().filter(could_be_a_client))
def test_a_caller_cannot_write_its_way_past_what_the_proxy_saw(written, seen):
    header = f"{written}, {seen}"
    assert PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(header)) == str(seen)


@given(st.text(max_size=60))
def test_whatever_a_proxy_passes_on_an_address_comes_out(header):
    found = PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(header))
    assert ipaddress.ip_address(found)


@pytest.mark.parametrize("value", [b"8.8.8.8", b"\xff\xfe, 8.8.8.8"])
def test_of_a_header_that_is_no_utf8_the_right_end_counts(value):
    """What a proxy of ours appended is sound, whatever its caller wrote."""
    metadata = (("x-forwarded-for", value),)
    assert PROXIES.client_address("ipv4:198.51.100.1:5", metadata) == "8.8.8.8"


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.0/33", ""])
def test_a_trusted_proxy_that_is_none_is_named(text):
    with pytest.raises(InvalidInput, match="not an address or CIDR block"):
        parse_networks(["10.0.0.0/8", text])


# What is an address to a proxy, in all the ways in which proxies write one.
HOPS = [
    ("8.8.8.8", "8.8.8.8"),
    ("8.8.8.8:99", "8.8.8.8"),
    ('"8.8.8.8"', "8.8.8.8"),
    ('"8.8.8.8:99"', "8.8.8.8"),
    ("2a00::1", "2a00::1"),
    ("2A00:0::1", "2a00::1"),
    ("[2a00::1]", "2a00::1"),
    ("[2a00::1]:99", "2a00::1"),
    ('"[2a00::1]:99"', "2a00::1"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%25eth0]:99", "fe80::1"),
    ("::ffff:8.8.8.8", "8.8.8.8"),
    ("::ffff:808:808", "8.8.8.8"),
    ("[::ffff:8.8.8.8]:99", "8.8.8.8"),
    ("2002:808:808::1", "2002:808:808::1"),
    ("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
]
NO_HOPS = [
    "unknown", "_hidden", "-", "localhost", "for=8.8.8.8", 'for="[2a00::1]:99"', "8.8.8",
    "8.8.8.8.8", "08.8.8.8", "8.8.8.256", "8.8.8.8:", "8.8.8.8:x", "8.8.8.8:123456",
    "8.8.8.8:\u0663", "8.8.8.8/32",
    "8.8.8.8%eth0", "8.8.8.8 9", "[8.8.8.8]", "[2a00::1", "2a00::1]", "[2a00::1]x", "[2a00::1]:",
    "[]", "[", '"', '""', '"8.8.8.8', '8.8.8.8"', "fe80::1%", "2a00:::1", "0.0.0.0", "::",
    "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255", "1" * 5000,
    "8.8.8.8:" + "9" * 5000,
    "http://8.8.8.8", "8.8.8.8;proto=https", "\x00", "8.8.8.8\x00",
]  # fmt: skip


@pytest.mark.parametrize(("hop", "address"), HOPS)
def test_an_address_is_read_as_proxies_write_it(hop, address):
    assert hop_address(hop) == address
    assert PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(f"1.1.1.1,{hop}")) == address


@pytest.mark.parametrize("hop", NO_HOPS)
def test_what_is_no_address_ends_the_search_at_the_proxy_that_wrote_it(hop):
    assert hop_address(hop) is None
    found = PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(f"1.1.1.1,{hop}"))
    assert found == "198.51.100.1"


EMPTIES = st.lists(st.sampled_from(["", " ", "\t", "  \t "]), max_size=4)


@given(
    st.lists(st.tuples(EMPTIES, st.sampled_from(HOPS)), min_size=1, max_size=6),
    EMPTIES,
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_empty_elements_and_line_breaks_change_nothing(hops, last, breaks):
    """However a list is cut into lines, and whatever is empty in it (RFC 9110, 5.3, 5.6.1)."""
    lines, line = [], []
    for (empties, (hop, _)), broken in zip(hops, breaks, strict=False):
        line += [*empties, f" {hop}\t"]
        if broken:
            lines.append(",".join(line))
            line = []
    lines.append(",".join([*line, *last]))
    metadata = [("x-forwarded-for", text) for text in lines]
    found = PROXIES.client_address("ipv4:198.51.100.1:5", metadata)
    assert found == hops[-1][1][1]


def test_no_more_than_so_many_hops_are_looked_at():
    """A caller that writes more than any chain of proxies has changes nothing by it."""
    through = ["198.51.100.9"] * (MOST_HOPS - 1)
    seen = PROXIES.client_address("ipv4:198.51.100.1:5", forwarded(",".join(["8.8.8.8", *through])))
    assert seen == "8.8.8.8"
    for more in (["198.51.100.9"], [""], [" "] * 10_000):
        far = forwarded(",".join(["8.8.8.8", *more, *through]))
        assert PROXIES.client_address("ipv4:198.51.100.1:5", far) == "198.51.100.9"


def test_a_header_of_proxies_alone_is_told_once(caplog):
    proxies = Proxies(parse_networks(["198.51.100.0/24"]))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            proxies.client_address("ipv4:198.51.100.1:5", forwarded("198.51.100.2"))
            proxies.client_address("ipv4:198.51.100.1:5", ())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "198.51.100.0/24" in caplog.text  # its address may be a client's
    assert "198.51.100.2" not in caplog.text


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        (" 10.0.0.0/8 ", ["10.0.0.0/8"]),
        ("10.1.2.3", ["10.1.2.3/32"]),
        ("10.1.2.3/8", ["10.0.0.0/8"]),
        ("10.0.0.0/255.0.0.0", ["10.0.0.0/8"]),
        ("::1", ["::1/128"]),
        ("2001:DB8::/32", ["2001:db8::/32"]),
        ("2001:db8::1/32", ["2001:db8::/32"]),
        ("::ffff:127.0.0.0/104", ["127.0.0.0/8"]),
        ("::ffff:7f00:0/104", ["127.0.0.0/8"]),
        ("::ffff:10.1.2.3", ["10.1.2.3/32"]),
        ("::ffff:10.1.2.3/112", ["10.1.0.0/16"]),
        ("::ffff:0:0/96", ["0.0.0.0/0"]),
        ("2002:a00:1::/48", ["2002:a00:1::/48"]),
        ("64:ff9b::/96", ["64:ff9b::/96"]),
        ("64:ff9b::198.51.100.0/120", ["64:ff9b::c633:6400/120"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("::/0", ["::/0"]),
    ],
)
def test_a_network_is_read_as_it_was_meant(text, networks):
    assert [str(one) for one in parse_networks([text])] == networks


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("::ffff:127.0.0.0/95", "covers all IPv4 addresses"),
        ("::ffff:127.0.0.1/64", "covers all IPv4 addresses"),
        ("::/1", "covers all IPv4 addresses"),
        ("::10.0.0.0/104", "give 10.0.0.0/8"),
        ("::10.0.0.1", "give 10.0.0.1/32"),
        ("fe80::1%eth0", "has a zone"),
        ("fe80::%eth0/10", "has a zone"),
        ("10.0.0.0/8,10.1.0.0/16", "not an address or CIDR block"),
        ("010.0.0.0/8", "not an address or CIDR block"),
        ("localhost", "not an address or CIDR block"),
        ("unix:/run/proxy", "not an address or CIDR block"),
        ("10.0.0.1:443", "not an address or CIDR block"),
        ("[::1]", "not an address or CIDR block"),
    ],
)
def test_a_network_that_no_caller_could_be_in_is_refused_with_what_to_do(text, complaint):
    with pytest.raises(InvalidInput, match=complaint) as caught:
        parse_networks(["10.0.0.0/8", text])
    assert json.dumps(text) in caught.value.message


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["0.0.0.0/0"], "every IPv4 address"),
        (["0.0.0.0/1", "128.0.0.0/1"], "every IPv4 address"),
        (["::ffff:0:0/96"], "every IPv4 address"),
        (["::/0"], "every IPv6 address"),
        (["10.1.2.3/8"], "10.1.2.3/8 is read as 10.0.0.0/8"),
        (["10.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16", "::1", "10.1.2.3/32"], ""),
    ],
)
def test_trust_that_is_wider_than_it_may_be_meant_is_logged(texts, said, caplog):
    with caplog.at_level(logging.WARNING):
        parse_networks(texts)
    assert said in caplog.text
    assert bool(said) == bool(caplog.records)


networks = st.one_of(
    st.builds(
        lambda address, bits: ipaddress.ip_network((int(address), bits), strict=False),
        st.ip_addresses(v=4), st.integers(1, 32),
    ),
    st.builds(
        lambda low, bits: ipaddress.ip_network(((0x2001 << 112) + low, bits), strict=False),
        st.integers(0, (1 << 112) - 1), st.integers(3, 128),
    ),
)  # fmt: skip


@given(st.lists(networks, max_size=8), st.data())
def test_an_address_is_trusted_where_a_network_holds_it_in_either_form(listed, data):
    """Duplicates, nested and neighbouring networks, and IPv4 ones written as mapped."""
    texts = [
        f"::ffff:{one.network_address}/{one.prefixlen + 96}"
        if one.version == 4 and data.draw(st.booleans())
        else str(one)
        for one in listed
    ]
    proxies = Proxies(parse_networks(texts))
    edges = [
        int(end) + step
        for one in listed
        for end in (one.network_address, one.broadcast_address)
        for step in (-1, 0, 1)
        if one.version == 4
    ]
    v4 = st.sampled_from(edges) if edges else st.integers(0, 2**32 - 1)
    number = min(max(data.draw(st.one_of(v4, st.integers(0, 2**32 - 1))), 0), 2**32 - 1)
    address = ipaddress.IPv4Address(number)
    expected = any(one.version == 4 and address in one for one in listed)
    assert proxies.is_trusted(str(address)) is expected
    assert proxies.is_trusted(f"::ffff:{address}") is expected
    six = data.draw(st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None))
    assert proxies.is_trusted(str(six)) is any(one.version == 6 and six in one for one in listed)
