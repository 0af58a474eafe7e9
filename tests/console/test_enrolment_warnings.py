"""What is said to who makes something that lets clients in by a way that their tenant has not."""

from __future__ import annotations

import pytest

from console.cli.views.enrolment import way_warnings
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy

OPEN, TOKEN = tenancy.ENROLMENT_METHOD_OPEN, tenancy.ENROLMENT_METHOD_TOKEN
X509, BOOTSTRAP = tenancy.ENROLMENT_METHOD_X509, tenancy.ENROLMENT_METHOD_BOOTSTRAP


@pytest.mark.parametrize(
    ("ways", "way"),
    [
        ([], "token"),
        ([TOKEN], "token"),
        ([X509, TOKEN], "token"),
        ([BOOTSTRAP], "bootstrap"),
        ([OPEN, BOOTSTRAP], "bootstrap"),
    ],
)
def test_nothing_is_said_of_a_way_that_the_tenant_has(ways, way):
    assert way_warnings(tenancy.Tenant(tenant="city", enrolment=ways), way, "tokens") == []


@pytest.mark.parametrize(
    ("ways", "way", "has", "then"),
    [
        ([], "bootstrap", "token", "token,bootstrap"),
        ([TOKEN], "bootstrap", "token", "token,bootstrap"),
        ([OPEN], "token", "open", "open,token"),
        ([OPEN], "bootstrap", "open", "open,bootstrap"),
        ([X509, BOOTSTRAP], "token", "x509, bootstrap", "x509,bootstrap,token"),
    ],
)
def test_of_another_it_is_said_what_there_is_and_how_to_add_it(ways, way, has, then):
    (said,) = way_warnings(tenancy.Tenant(tenant="city", enrolment=ways), way, "such tokens")
    assert f"tenant city enrol by {has}, so such tokens let nobody in" in said
    assert f"`homeport tenants apply city --enrolment {then}`" in said
