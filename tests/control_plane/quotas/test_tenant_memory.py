"""Bounds of memory in tenants' records."""

from __future__ import annotations

from dataclasses import fields

import pytest

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.fleet.unit import TenantMemory
from control_plane.quotas.tenant_memory import check_memory, check_memory_not_raised
from data_sharing.memory_limits import NAMES, MemoryLimits

NAMED = [one.name for one in fields(TenantMemory)]


def test_a_record_names_what_servers_bound():
    assert tuple(NAMED) == NAMES == tuple(one.name for one in fields(MemoryLimits))


@pytest.mark.parametrize("name", NAMED)
def test_each_has_a_bound_of_its_own(name):
    check_memory(TenantMemory(**{name: 1 << 50}))
    with pytest.raises(InvalidInput, match=f"tenant.memory.{name}"):
        check_memory(TenantMemory(**{name: (1 << 50) + 1}))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(
    ("before", "after", "raised"),
    [
        pytest.param(5, 4, False, id="lower"),
        pytest.param(0, 4, False, id="from the servers' to one of its own"),
        pytest.param(5, 5, False, id="as it was"),
        pytest.param(5, 6, True, id="higher"),
        pytest.param(5, 0, True, id="back to the servers'"),
    ],
)
def test_who_is_of_one_tenant_lowers_and_does_not_raise(name, before, after, raised):
    had, wants = TenantMemory(**{name: before}), TenantMemory(**{name: after})
    if not raised:
        check_memory_not_raised(had, wants)
        return
    with pytest.raises(PermissionDenied, match=name):
        check_memory_not_raised(had, wants)
