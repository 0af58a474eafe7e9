"""Quotas of a tenant's record: in force at once, never above what the server allows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.fleet.unit import TenantId, TenantQuota, TenantSpec
from control_plane.quotas.limits import USUAL, Counted, Quota, read_limits
from control_plane.quotas.quotas import QuotaExceeded, Quotas
from control_plane.quotas.tenant_limits import Source, check_quotas, check_raises_none, in_force

KNOWN = (Quota.PROVISIONS, Quota.LOOKUPS, Quota.BATCHED_CLIENTS)
rates = st.floats(0.001, 1e6)


def quota(name: str = "provisions", by: str = "tenant", per_s: float = 5.0, burst: float = 0.0):
    return TenantQuota(quota=name, counted_by=by, per_s=per_s, burst=burst)


def quotas_of(clock=lambda: 0.0, **settings) -> Quotas:
    return Quotas(read_limits(settings, KNOWN), clock=clock)


def tenants(*quotas: TenantQuota) -> dict[str, TenantSpec]:
    return {"shop": TenantSpec(id=TenantId("shop"), quotas=quotas)}


def taken(quotas: Quotas, times: int, tenant: str = "shop", **whose) -> int:
    """How many of so many calls are let through."""
    done = 0
    for _ in range(times):
        try:
            quotas.take(Quota.PROVISIONS, tenant, **whose)
            done += 1
        except QuotaExceeded:
            pass
    return done


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (quota("nothing"), "quota"),
        (quota("provision"), "quota"),
        (quota(by="tenants"), "counted_by"),
        (quota("batched-clients", by="client"), "counted_by"),
        (quota(per_s=0.0), "per_s"),
        (quota(per_s=-1.0), "per_s"),
        (quota(per_s=math.nan), "per_s"),
        (quota(per_s=math.inf), "per_s"),
        (quota(burst=0.5), "burst"),
        (quota(burst=-3.0), "burst"),
        (quota(burst=math.nan), "burst"),
        (quota(burst=math.inf), "burst"),
    ],
)
def test_what_is_no_quota_is_named(one, field):
    with pytest.raises(InvalidInput) as caught:
        check_quotas([quota("lookups"), one])
    assert caught.value.field == f"tenant.quotas[1].{field}"


@pytest.mark.parametrize("one", list(Quota))
def test_a_record_may_have_every_quota_whoever_counts_it(one):
    check_quotas([quota(one.value, by=counted.value) for counted in USUAL[one]])


def test_none_stands_there_twice():
    check_quotas([quota(), quota(by="client"), quota("lookups")])
    with pytest.raises(InvalidInput, match="twice"):
        check_quotas([quota(), quota("lookups"), quota(per_s=6.0)])


@given(per_s=rates, burst=st.just(0.0) | st.floats(1, 1e6), most=st.just(0.0) | rates)
def test_no_record_gives_more_than_the_server_does(per_s, burst, most):
    limits = read_limits({"provisions": {"tenant": most}}, KNOWN)
    (found,) = [
        one
        for one in in_force("shop", [quota(per_s=per_s, burst=burst)], limits)
        if (one.quota, one.counted) == (Quota.PROVISIONS, Counted.TENANT)
    ]
    assert found.rate.per_s == (min(per_s, most) if most else per_s)
    assert found.rate.burst >= min(1.0, most or 1.0)
    if most:
        assert found.rate.burst <= max(1.0, most * 5)
    assert found.source in (Source.TENANT, Source.SETTINGS)


def test_it_is_said_where_each_number_comes_from():
    limits = read_limits({"provisions": {"tenant:shop": 50, "address": 0}}, KNOWN)
    asked = [quota("lookups", per_s=7.0), quota("lookups", "client", per_s=1e9)]
    found = {(o.quota, o.counted): (o.source, o.rate) for o in in_force("shop", asked, limits)}
    told = {key: (source, rate and rate.per_s) for key, (source, rate) in found.items()}
    usual = USUAL[Quota.LOOKUPS]
    assert told[Quota.LOOKUPS, Counted.TENANT] == (Source.TENANT, 7.0)
    assert told[Quota.LOOKUPS, Counted.CLIENT] == (Source.DEFAULT, usual[Counted.CLIENT])
    assert told[Quota.PROVISIONS, Counted.TENANT] == (Source.SETTINGS, 50)
    assert told[Quota.PROVISIONS, Counted.ADDRESS] == (Source.SETTINGS, None)
    assert told[Quota.BATCHED_CLIENTS, Counted.TENANT] == (Source.DEFAULT, 500_000)


@pytest.mark.parametrize(
    ("one", "whose"),
    [
        (quota(per_s=1.0, burst=3.0), {}),
        (quota(by="client", per_s=1.0, burst=3.0), {"client": "c"}),
        (quota(by="address", per_s=1.0, burst=3.0), {"address": "192.0.2.1"}),
    ],
    ids=["tenant", "client", "address"],
)
def test_a_record_counts_from_the_moment_it_is_heard_of(one, whose):
    quotas = quotas_of()
    assert taken(quotas, 10, **whose) == 10
    quotas.follow(tenants(one))
    assert taken(quotas, 10, **whose) == 3
    assert taken(quotas, 10, "city", **whose) == 10
    quotas.follow(tenants(one))  # the same again gives nobody anything
    assert taken(quotas, 10, **whose) == 0
    quotas.follow(tenants())
    assert taken(quotas, 10, **whose) == 10
    quotas.follow({})
    assert taken(quotas, 10, **whose) == 10


def test_who_is_under_another_client_or_address_of_the_tenant_is_not_refused():
    quotas = quotas_of()
    quotas.follow(tenants(quota(by="client", burst=2.0), quota(by="address", burst=4.0)))
    assert taken(quotas, 9, client="a", address="192.0.2.1") == 2
    assert taken(quotas, 9, client="b", address="192.0.2.1") == 2
    assert taken(quotas, 9, client="c", address="192.0.2.1") == 0
    assert taken(quotas, 9, client="d", address="192.0.2.2") == 2


def test_addresses_of_a_tenant_count_for_all_tenants_as_well():
    quotas = quotas_of(provisions={"address": 1, "tenant": 1_000})
    quotas.follow(tenants(quota(by="address", per_s=0.8)))
    assert taken(quotas, 9, address="192.0.2.1") == 4
    assert taken(quotas, 9, "city", address="192.0.2.1") == 1


@given(before=st.none() | rates, after=st.none() | rates)
def test_who_is_of_one_tenant_may_lower_and_not_raise(before, after):
    limits = read_limits({}, KNOWN)

    def held(per_s):
        return list(in_force("shop", [quota(per_s=per_s)] if per_s else [], limits))

    most = USUAL[Quota.PROVISIONS][Counted.TENANT]
    if min(after or most, most) <= min(before or most, most):
        check_raises_none(held(before), held(after))
    else:
        with pytest.raises(PermissionDenied, match="may not raise"):
            check_raises_none(held(before), held(after))


@given(before=st.none() | rates, after=st.none() | rates)
def test_nor_raise_what_other_servers_count_whatever_those_allow(before, after):
    quotas = quotas_of()

    def held(per_s):
        return quotas.in_force_anywhere("shop", [quota("events", per_s=per_s)] if per_s else [])

    if (after or math.inf) <= (before or math.inf):
        check_raises_none(held(before), held(after))
    else:
        with pytest.raises(PermissionDenied, match="may not raise"):
            check_raises_none(held(before), held(after))


def test_one_tenants_record_is_followed_without_the_others():
    quotas = quotas_of()
    quotas.follow_tenant("shop", [quota(per_s=1.0, burst=3.0)])
    quotas.follow_tenant("city", [quota(per_s=1.0, burst=2.0)])
    assert (taken(quotas, 9), taken(quotas, 9, "city")) == (3, 2)
    quotas.follow_tenant("shop", [quota(per_s=1.0, burst=3.0)])  # the same again
    assert taken(quotas, 9) == 0
    quotas.follow_tenant("shop", ())
    quotas.follow_tenant("nobody", ())
    assert (taken(quotas, 9), taken(quotas, 9, "city")) == (9, 0)


def test_a_burst_is_not_raised_either():
    limits = read_limits({}, KNOWN)
    with pytest.raises(PermissionDenied):
        check_raises_none(
            in_force("shop", [quota(burst=2.0)], limits),
            in_force("shop", [quota(burst=3.0)], limits),
        )


@pytest.mark.parametrize(
    "settings", [{"provisions": {"tenant": 0}}, {"provisions": {"tenant:shop": 0}}]
)
def test_where_the_server_has_no_limit_a_record_may_say_any(settings):
    quotas = quotas_of(**settings)
    quotas.follow(tenants(quota(per_s=1.0, burst=2.0)))
    assert taken(quotas, 9) == 2
    quotas.follow({})
    assert taken(quotas, 9) == 9
