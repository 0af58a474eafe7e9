"""No round trip is believed that is shorter than light takes."""

from __future__ import annotations

import pytest

from provisioner.geo.location import NOWHERE, Location
from provisioner.latencies.plausible import network_of, why_implausible
from tests.support.fleets import at

BERLIN = at(52.5, 13.4, country="DE", uncertainty_km=20.0)


@pytest.mark.parametrize(
    ("ms", "location", "told"),
    [
        pytest.param(70.0, BERLIN, "", id="possible"),  # to Virginia, 6,700 km
        pytest.param(30.0, BERLIN, "light needs", id="faster-than-light"),
        pytest.param(30.0, at(52.5, 13.4, uncertainty_km=4_000.0), "", id="maybe-nearer"),
        pytest.param(30.0, NOWHERE, "nobody knows", id="nobody-knows-where"),
        pytest.param(0.0, NOWHERE, "a round trip takes", id="none"),
        pytest.param(float("nan"), NOWHERE, "a round trip takes", id="no-number"),
        pytest.param(1e9, NOWHERE, "a round trip takes", id="forever"),
    ],
)
def test_what_cannot_be_is_told(ms: float, location: Location, told: str) -> None:
    found = why_implausible(ms, location, 38.9, -77.4)
    assert found.startswith(told) if told else not found


def test_addresses_of_one_network_are_one_voice() -> None:
    assert network_of("::ffff:192.0.2.9") == network_of("192.0.2.200") == "192.0.2.0/24"
    assert network_of("2001:db8::1") != network_of("2001:db8:100::1")
