"""Lists of a message are counted before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import MAX_ISSUERS, EnrolmentMethod
from control_plane.fleet.validation import CONTINENTS, MAX_COUNTRIES, MAX_LABELS, MAX_TENANTS
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from provisioner.api import mapping
from provisioner.api.mapping import MAX_QUOTAS


class Counting:
    """A message whose lists tell whether anybody went through one of them."""

    def __init__(self, message: Any, field: str, length: int) -> None:
        self._message, self._field, self._length = message, field, length

    def __getattr__(self, name: str) -> Any:
        if name == self._field:
            return Unread(self._length)
        return getattr(self._message, name)


class Unread:
    """A list of that length which nobody may read."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Any:
        raise AssertionError("was gone through")


def unit() -> Any:
    return fleet_pb2.UnitSpec(unit_id="u", position={"latitude": 1, "longitude": 1})


@pytest.mark.parametrize(
    ("read", "message", "field", "most"),
    [
        (mapping.spec_from_proto, unit(), "labels", MAX_LABELS),
        (mapping.spec_from_proto, unit(), "tenants", MAX_TENANTS),
        (mapping.tenant_from_proto, tenancy_pb2.Tenant(), "enrolment", len(EnrolmentMethod)),
        (mapping.tenant_from_proto, tenancy_pb2.Tenant(), "issuers", MAX_ISSUERS),
        (mapping.tenant_from_proto, tenancy_pb2.Tenant(), "quotas", MAX_QUOTAS),
    ],
)
def test_one_too_many_is_refused_unread(
    read: Callable[[Any], object], message: Any, field: str, most: int
) -> None:
    with pytest.raises(InvalidInput, match=f"at most {most:,}"):
        read(Counting(message, field, most + 1))
    with pytest.raises(AssertionError, match="gone through"):
        read(Counting(message, field, most))


@pytest.mark.parametrize(
    ("field", "most"), [("countries", MAX_COUNTRIES), ("continents", len(CONTINENTS))]
)
def test_what_a_unit_serves_is_counted_too(field: str, most: int) -> None:
    spec = unit()
    getattr(spec.serves, field).extend(["x"] * most)
    mapping.spec_from_proto(spec)
    getattr(spec.serves, field).append("x")
    with pytest.raises(InvalidInput, match=f"spec.serves.{field}"):
        mapping.spec_from_proto(spec)
