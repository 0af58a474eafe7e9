"""Which servers a client may ask, and in what order."""

from __future__ import annotations

import pytest

from homeport.endpoints import Endpoints, parse_server, parse_servers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("example.net", "example.net:7700", id="a name"),
        pytest.param("example.net:443", "example.net:443", id="a name and a port"),
        pytest.param(" 127.0.0.1 ", "127.0.0.1:7700", id="an IPv4 address, with spaces around"),
        pytest.param("::1", "[::1]:7700", id="a bare IPv6 address"),
        pytest.param("[2001:DB8:0::1]:99", "[2001:db8::1]:99", id="an IPv6 address and a port"),
        pytest.param("[::1]", "[::1]:7700", id="an IPv6 address in brackets"),
        pytest.param("dns:///example.net:1", "dns:///example.net:1", id="gRPC's own scheme"),
        pytest.param("unix:/run/homeport", "unix:/run/homeport", id="a socket"),
        pytest.param("homeport_1.internal.:1", "homeport_1.internal.:1", id="an unusual name"),
    ],
)
def test_servers_may_be_written_in_many_ways(text, expected):
    assert parse_server(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "http://example.net", "example.net:", "example.net:0", "example.net:65536",
     "example.net:http", "a b", "[::1", "[::1]x", "[::g]:1", "::g", ":7700", "[1.2.3.4]:1",
     "-x", "example.net:٣"],
)  # fmt: skip
def test_what_is_no_server_is_refused_with_the_way_to_write_one(text):
    with pytest.raises(ValueError, match=r"write host, host:port or \[IPv6\]:port"):
        parse_server(text)


def test_one_text_may_hold_several():
    assert parse_servers("a, b:1,a") == ("a:7700", "b:1")


def test_a_list_must_hold_one():
    with pytest.raises(ValueError, match="name at least one"):
        parse_servers([])


def test_the_order_given_is_the_order_asked_and_goes_round():
    endpoints = Endpoints("a,b,c")
    asked = []
    for _ in range(4):
        asked.append(endpoints.current[0])
        endpoints.mark_failed(endpoints.current)
    assert asked == ["a", "b", "c", "a"]


def test_many_calls_that_fail_on_one_server_move_on_once():
    endpoints = Endpoints("a,b,c")
    for _ in range(5):
        endpoints.mark_failed("a:7700")
    assert endpoints.current == "b:7700"
