"""No round trip is believed that is shorter than light takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.geo.location import NOWHERE, Location, LocationSource
from provisioner.latencies.plausible import ReportOutcome, network_of, why_implausible
from tests.support.fleets import at

FASTER, RANGE = ReportOutcome.FASTER_THAN_LIGHT, ReportOutcome.OUT_OF_RANGE
UNKNOWN = ReportOutcome.NO_POSITION
BERLIN = at(52.5, 13.4, country="DE", uncertainty_km=20.0)


@pytest.mark.parametrize(
    ("ms", "location", "outcome", "told"),
    [
        pytest.param(70.0, BERLIN, None, "", id="possible"),  # to Virginia, 6,700 km
        pytest.param(30.0, BERLIN, FASTER, "light needs", id="faster-than-light"),
        pytest.param(30.0, at(52.5, 13.4, uncertainty_km=4_000.0), None, "", id="maybe-nearer"),
        pytest.param(30.0, NOWHERE, UNKNOWN, "nobody knows", id="nobody-knows-where"),
        pytest.param(
            70.0,
            replace(BERLIN, source=LocationSource.TENANT_DEFAULT),
            UNKNOWN,
            "nobody knows",
            id="only-by-its-tenants-default",
        ),
        pytest.param(0.0, NOWHERE, RANGE, "a round trip takes", id="none"),
        pytest.param(float("nan"), NOWHERE, RANGE, "a round trip takes", id="no-number"),
        pytest.param(1e9, NOWHERE, RANGE, "a round trip takes", id="forever"),
    ],
)
def test_what_cannot_be_is_told(
    ms: float, location: Location, outcome: ReportOutcome | None, told: str
) -> None:
    found = why_implausible(ms, location, 38.9, -77.4)
    if outcome is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] is outcome
        assert found[1].startswith(told)


def test_addresses_of_one_network_are_one_voice() -> None:
    assert network_of("::ffff:192.0.2.9") == network_of("192.0.2.200") == "192.0.2.0/24"
    assert network_of("2001:db8::1") != network_of("2001:db8:100::1")
