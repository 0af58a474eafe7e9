"""Numbers that people read: every digit of them, whatever their size."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from console.cli.views import tenants
from console.cli.views.numbers import exact
from homeport.api.tenancy.v1 import tenancy_pb2
from tests.support.rendered_views import rendered


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_what_is_shown_is_the_number_without_an_exponent(value: float, grouped: bool) -> None:
    shown = exact(value, grouped=grouped)
    assert float(shown.replace(",", "")) == value
    assert "e" not in shown.lower()
    assert not shown.endswith(".")


@pytest.mark.parametrize("rate", [100.0, 1_234_567.0, 2_500_000.0, 0.05, 123_456.789])
def test_a_tenants_own_quotas_can_be_typed_again(rate: float) -> None:
    quota = tenancy_pb2.Quota(quota="provisions", counted_by="tenant", per_s=rate, burst=2 * rate)
    shown = rendered(tenants.tenants_table([tenancy_pb2.Tenant(tenant="t", quotas=[quota])]), 400)
    asked, _, burst = shown.partition("provisions/tenant=")[2].split()[0].partition(":")
    assert (float(asked), float(burst)) == (rate, 2 * rate)


def test_a_hold_of_months_and_a_position_are_shown_whole() -> None:
    tenant = tenancy_pb2.Tenant(tenant="t", hold_ttl=Duration(seconds=12_345_678))
    tenant.default_position.latitude, tenant.default_position.longitude = 35.689487, 139.691711
    shown = rendered(tenants.tenants_table([tenant]), 400)
    assert "12,345,678 s" in shown
    assert "35.689487, 139.691711" in shown
