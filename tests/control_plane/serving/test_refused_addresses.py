"""For how long an address is refused, at which sockets, and what is remembered."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from control_plane.serving.refused_addresses import (
    FIRST_S,
    LONGEST_S,
    REMEMBERED_S,
    RefusedAddresses,
)
from control_plane.serving.syn_filter import MOST

A, B = "192.0.2.1", "2001:db8::/64"
PORT, OTHER_PORT = 7700, 7701


@dataclass(kw_only=True)
class Host:
    """Sockets that listen, what each refuses, and the time."""

    now: float = 100.0
    filters: dict[int, list[str]] = field(default_factory=dict)
    fails: bool = False
    addresses: RefusedAddresses = field(init=False)
    sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.addresses = RefusedAddresses(clock=lambda: self.now, attach=self.attach, most=100)

    def attach(self, fd: int, groups: list[str]) -> None:
        if self.fails:
            raise PermissionError("no filters here")
        self.filters[fd] = groups

    def listen(self, port: int) -> int:
        self.sockets.append(one := socket.socket())
        self.addresses.listens(os.readlink(f"/proc/self/fd/{one.fileno()}"), one.fileno(), port)
        return one.fileno()

    def refused_for_s(self, fd: int) -> float:
        """Until the socket lets everybody in again."""
        began = self.now
        while self.filters.get(fd):
            self.now += self.addresses.lift()
            self.addresses.lift()
        return self.now - began


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    for one in made.sockets:
        one.close()


def test_an_address_is_refused_for_a_second_and_twice_as_long_each_time_again(host):
    fd = host.listen(PORT)
    lasted = []
    for _ in range(7):
        host.addresses.refuse(A, [PORT])
        assert host.filters[fd] == [A]
        lasted.append(host.refused_for_s(fd))
    assert lasted == pytest.approx([1, 2, 4, 8, 16, 16, 16])
    assert max(lasted) <= LONGEST_S


def test_what_is_refused_is_not_refused_for_longer(host):
    fd = host.listen(PORT)
    for _ in range(100):  # connections of one flood, each closed
        host.addresses.refuse(A, [PORT])
    assert host.refused_for_s(fd) == pytest.approx(FIRST_S)


def test_it_is_forgotten_after_a_while(host):
    fd = host.listen(PORT)
    for _ in range(4):
        host.addresses.refuse(A, [PORT])
        host.refused_for_s(fd)
    host.now += REMEMBERED_S
    host.addresses.refuse(A, [PORT])
    assert host.refused_for_s(fd) == pytest.approx(FIRST_S)


def test_at_every_socket_of_the_port_and_at_no_other_port(host):
    fds, other = [host.listen(PORT), host.listen(PORT)], host.listen(OTHER_PORT)
    host.addresses.refuse(A, [PORT])
    host.addresses.refuse(B, [PORT])
    late = host.listen(PORT)
    assert [host.filters[fd] for fd in (*fds, late)] == [[A, B]] * 3
    assert not host.filters.get(other)


def test_each_is_let_in_when_its_own_time_is_over(host):
    fd = host.listen(PORT)
    host.addresses.refuse(A, [PORT])
    host.now += FIRST_S / 2
    host.addresses.refuse(B, [PORT])
    assert host.addresses.lift() == pytest.approx(FIRST_S / 2)
    host.now += FIRST_S / 2
    assert host.addresses.lift() == pytest.approx(FIRST_S / 2)
    assert host.filters[fd] == [B]


def test_of_more_than_there_is_room_for_the_last_are_refused(host):
    fd = host.listen(PORT)
    groups = [f"192.0.2.{n}" for n in range(MOST + 6)]
    for group in groups:
        host.addresses.refuse(group, [PORT])
    assert host.filters[fd] == groups[6:]


def test_a_port_that_is_given_up_refuses_nobody(host):
    fd = host.listen(PORT)
    host.addresses.refuse(A, [PORT])
    host.addresses.release(PORT)
    assert host.filters[fd] == []


def test_a_descriptor_that_is_another_file_by_now_is_left_alone(host):
    fd = host.listen(PORT)
    host.sockets[0].close()
    host.sockets.append(other := socket.socket())
    assert other.fileno() == fd
    host.addresses.refuse(A, [PORT])
    assert host.filters == {}


def test_sockets_that_are_gone_are_forgotten(host):
    link = os.readlink(f"/proc/self/fd/{host.listen(PORT)}")
    assert link in host.addresses
    host.addresses.keep(set())
    assert link not in host.addresses
    host.addresses.refuse(A, [PORT])
    assert host.filters == {}


def test_where_the_kernel_takes_no_filter_one_line_says_so(host, caplog):
    host.fails = True
    host.listen(PORT)
    for group in (A, B):
        host.addresses.refuse(group, [PORT])
    assert [r.getMessage() for r in caplog.records] == [
        "addresses whose calls come to nothing cannot be kept from connecting again: the kernel "
        "takes no filter for sockets (no filters here)"
    ]
