"""Groups of enrolment, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy


def document_of(group: tenancy.EnrolmentGroup) -> dict[str, Any]:
    return {"group": group.group, "created": time_text(group.create_time.ToMilliseconds())}


def groups_table(found: list[tenancy.EnrolmentGroup]) -> Table:
    """Groups, without their keys."""
    table = Table(whole("group"), whole("created"))
    for group in found:
        table.add_row(escape(group.group), time_text(group.create_time.ToMilliseconds()))
    return table
