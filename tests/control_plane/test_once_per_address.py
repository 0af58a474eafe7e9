"""One short line per network and minute, whatever strangers do."""

from __future__ import annotations

import logging

import pytest

from control_plane.once_per_address import EVERY_S, MOST, OncePerAddress

log = logging.getLogger("homeport.test")


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.WARNING, "homeport.test")
    return lambda: [r.getMessage() for r in caplog.records]


def test_a_network_has_one_line_a_minute_and_what_came_between_is_counted(told):
    now = 1_000.0
    once = OncePerAddress(log, clock=lambda: now)
    for last in range(1, 30):
        once.warn(f"192.0.2.{last}", "connections closed", 2)
    assert told() == ["192.0.2.0/24: 2 connections closed"]
    now += EVERY_S
    once.warn("192.0.2.200", "connections closed")
    assert told()[1:] == ["192.0.2.0/24: 1 connections closed (56 before that were not told)"]


def test_networks_are_told_apart_up_to_a_number(told):
    once = OncePerAddress(log, clock=lambda: 0.0)
    for number in range(2 * MOST):
        once.warn(f"10.{number >> 8}.{number & 255}.1", "connections closed")
    assert len(told()) == MOST + 1
    assert told()[-1].startswith("other addresses: ")


def test_an_ipv6_address_is_cut_to_its_48(told):
    OncePerAddress(log, clock=lambda: 0.0).warn("2001:db8:1:2::/64", "connections closed")
    assert told() == ["2001:db8:1::/48: 1 connections closed"]
