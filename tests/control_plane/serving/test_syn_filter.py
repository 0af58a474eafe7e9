"""Which packets the filter drops, as BPF is described and as the kernel has it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving import syn_filter
from control_plane.serving.connection_limits import group_of

SYN, SYN_ACK, ACK, SYN_ECN, RST = 0x02, 0x12, 0x10, 0xC2, 0x04
NETWORK = 0xFFF0_0000
ADDRESSES = st.ip_addresses().filter(
    lambda one: not isinstance(one, ipaddress.IPv6Address) or one.ipv4_mapped is None
)


def passes(groups: Sequence[str], source: str, flags: int) -> bool:
    """What classic BPF makes of a packet (linux/filter.h), with the instructions that occur."""
    address = ipaddress.ip_address(source)
    ip = bytearray(40)
    ip[0] = address.version << 4 | 5
    place = 12 if address.version == 4 else 8
    ip[place : place + len(address.packed)] = address.packed
    tcp = bytearray(20)
    tcp[13] = flags
    at, value = 0, 0
    program = syn_filter.program(groups)
    while True:
        code, if_so, if_not, operand = program[at]
        at += 1
        size = {0x30: 1, 0x20: 4}.get(code)
        if size is not None:
            of_ip = operand >= NETWORK
            data, start = (ip, operand - NETWORK) if of_ip else (tcp, operand)
            value = int.from_bytes(data[start : start + size], "big")
        elif code == 0x54:
            value &= operand
        elif code == 0x74:
            value >>= operand
        elif code == 0x05:
            at += operand
        elif code == 0x15:
            at += if_so if value == operand else if_not
        else:
            assert code == 0x06
            return operand > 0


@given(st.lists(ADDRESSES, max_size=syn_filter.MOST), ADDRESSES, st.data())
def test_exactly_what_asks_for_a_connection_from_one_of_the_groups_is_dropped(refused, other, data):
    groups = sorted({group_of(str(one)) for one in refused})
    source = data.draw(st.sampled_from([*refused, other]))
    is_refused = group_of(str(source)) in groups
    assert passes(groups, str(source), SYN) is not is_refused
    assert passes(groups, str(source), SYN_ECN) is not is_refused
    for flags in (SYN_ACK, ACK, RST, 0):
        assert passes(groups, str(source), flags)


@pytest.mark.parametrize("group", ["192.0.2.0/24", "2001:db8::/48", "2001:db8::1", "nobody", ""])
def test_what_is_neither_an_address_nor_a_customers_network_is_none(group):
    with pytest.raises(ValueError, match=r"IPv4 or IPv6 network|neither|does not appear|host bits"):
        syn_filter.program([group])


def test_more_than_a_filter_has_are_too_many():
    with pytest.raises(ValueError, match="64 at most"):
        syn_filter.program([f"192.0.2.{n}" for n in range(65)])


@contextlib.contextmanager
def listening(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, 0))
        listener.listen()
        yield listener


def connects(listener: socket.socket, source: str) -> bool:
    """A client waits as long as it takes; this one for less than the kernel's next try."""
    to = "::1" if ":" in source else "127.0.0.1"
    try:
        with socket.create_connection(
            (to, listener.getsockname()[1]), 0.3, source_address=(source, 0)
        ):
            return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    ("host", "refused", "source", "expected"),
    [
        pytest.param("127.0.0.1", ["127.0.0.2"], "127.0.0.2", False, id="one"),
        pytest.param("127.0.0.1", ["127.0.0.2"], "127.0.0.1", True, id="another"),
        pytest.param("127.0.0.1", ["::/64"], "127.0.0.1", True, id="another-of-ipv4"),
        pytest.param("::", ["127.0.0.2"], "127.0.0.2", False, id="one-at-both-families"),
        pytest.param("::", ["127.0.0.2"], "::1", True, id="another-of-ipv6"),
        pytest.param("::", ["::/64"], "::1", False, id="a-network"),
        pytest.param("::", ["2001:db8::/64"], "::1", True, id="another-network"),
        pytest.param(
            "::",
            [f"2001:db8:0:{n:x}::/64" for n in range(63)] + ["::/64"],
            "::1",
            False,
            id="the-last-of-as-many-as-there-may-be",
        ),
        pytest.param(
            "127.0.0.1",
            [f"198.51.100.{n}" for n in range(63)] + ["127.0.0.2"],
            "127.0.0.2",
            False,
            id="the-last-of-as-many-addresses",
        ),
    ],
)
def test_the_kernel_drops_what_the_filter_says(host, refused, source, expected):
    with listening(host) as listener:
        syn_filter.attach(listener.fileno(), refused)
        assert connects(listener, source) is expected


def test_a_connection_that_stands_goes_on_and_the_next_one_comes_when_the_filter_is_gone():
    with listening("127.0.0.1") as listener:
        before = socket.create_connection(
            listener.getsockname(), 5, source_address=("127.0.0.2", 0)
        )
        with before, listener.accept()[0] as accepted:
            syn_filter.attach(listener.fileno(), ["127.0.0.2"])
            before.sendall(b"still here")
            assert accepted.recv(64) == b"still here"
            assert not connects(listener, "127.0.0.2")
            syn_filter.attach(listener.fileno(), [])
            syn_filter.attach(listener.fileno(), [])  # there is none to take away
            assert connects(listener, "127.0.0.2")
