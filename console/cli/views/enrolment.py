"""Groups of enrolment, for people and for programs, and what is said of what lets nobody in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy


def document_of(group: tenancy.EnrolmentGroup) -> dict[str, Any]:
    return {
        "group": group.group,
        "created": time_text(group.create_time.ToMilliseconds()),
        "attributes": dict(sorted(group.attributes.items())),
    }


def groups_table(found: list[tenancy.EnrolmentGroup]) -> Table:
    """Groups, without their keys."""
    table = Table(whole("group"), whole("created"), whole("attributes"))
    for group in found:
        given = ", ".join(f"{name}={value}" for name, value in sorted(group.attributes.items()))
        table.add_row(
            escape(group.group), time_text(group.create_time.ToMilliseconds()), escape(given)
        )
    return table


def way_warnings(tenant: tenancy.Tenant, way: str, made: str) -> list[str]:
    """What to tell who makes what lets clients in by a way that the tenant does not have. way:
    as `tenants apply --enrolment` has it; made: what lets nobody in then."""
    from homeport.api.tenancy.v1 import tenancy_pb2

    prefix = "ENROLMENT_METHOD_"
    ways = [
        tenancy_pb2.EnrolmentMethod.Name(one).removeprefix(prefix).lower()
        for one in tenant.enrolment
    ] or ["token"]  # what servers that ask for credentials take where nothing is said
    if way in ways:
        return []
    return [
        f"new clients of tenant {tenant.tenant} enrol by {', '.join(ways)}, so {made} let nobody "
        f"in where servers ask for credentials; `homeport tenants apply {tenant.tenant} "
        f"--enrolment {','.join([*ways, way])}` adds {way}"
    ]
