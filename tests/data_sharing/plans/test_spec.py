"""What somebody plans: the zones that a plan can be in."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from data_sharing.plans.spec import PlanSpec, parse_plan, timing

TEXT = """
plan: p
owner: o
at: 2026-12-02T09:00
zone: {zone}
actions: {{ring: {{application: alarm, action: ring}}}}
"""


@pytest.mark.parametrize(
    ("zone", "offset_h"),
    [
        ("UTC", 0), ("Europe/Berlin", 1), ("Europe/Kiev", 2), ("Asia/Kolkata", 5.5),
        ("America/Argentina/Buenos_Aires", -3), ("EST5EDT", -5), ("Etc/GMT+5", -5),
        ("Pacific/Kiritimati", 14), ("US/Eastern", -5),
    ],
)  # fmt: skip
def test_a_zone_of_the_iana_database_is_taken(zone: str, offset_h: float) -> None:
    (at_ms,) = timing(parse_plan(TEXT.format(zone=zone))).since(0)
    assert 1_796_202_000_000 - at_ms == offset_h * 3_600_000


@pytest.mark.parametrize(
    "zone",
    [
        "right/Europe/Berlin", "posix/Europe/Berlin", "localtime", "Factory", "posixrules",
        "europe/berlin", "Europe", "Europe/", "Berlin", "CEST", "+01:00", "GMT+1", "../etc/passwd",
        "/usr/share/zoneinfo/UTC", "tzdata.zi", "zone.tab", '""', '"a\\0b"',
        "W. Europe Standard Time", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_else_a_system_keeps_beside_the_zones_is_refused_by_its_field(zone: str) -> None:
    with pytest.raises(InvalidInput, match="is no IANA time zone") as refused:
        parse_plan(TEXT.format(zone=zone))
    assert refused.value.field == "zone"
    assert len(refused.value.message) < 200


def test_a_plan_that_was_taken_in_such_a_zone_keeps_the_meaning_that_it_had() -> None:
    spec = PlanSpec(plan="p", owner="o", at="2026-12-02T09:00", actions={}, zone="Factory")
    assert list(timing(spec).since(0)) == [1_796_202_000_000]
