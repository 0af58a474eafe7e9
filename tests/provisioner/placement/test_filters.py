"""Who may not take a client, in words, and that asking once for all comes to the same."""

import pytest
from hypothesis import given

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.location import NOWHERE
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy, why_not
from tests.provisioner.placement import reference
from tests.support.fleets import at, country_only, fleet, never, only, situations, unit

PARIS = at(48.9, 2.4, country="FR", continent="EU")


@pytest.mark.parametrize(
    ("changes", "location", "reason"),
    [
        pytest.param({}, PARIS, "", id="nothing-against-it"),
        pytest.param({"accepting": False, "not_accepting_reason": "cordoned"}, PARIS, "cordoned",
                     id="a-unit-that-takes-nobody"),
        pytest.param({"accepting": False}, PARIS, "takes no new clients",
                     id="a-unit-that-takes-nobody-and-does-not-say-why"),
        pytest.param({"tenants": ("acme",)}, PARIS, "serves only tenant acme",
                     id="another-tenants-unit"),
        pytest.param({"tenants": ("acme", "t")}, PARIS, "", id="a-unit-of-several-tenants"),
        pytest.param({"serves": ServedAreas(countries=("DE", "AT"))}, PARIS,
                     "serves only countries DE, AT; the client is in FR",
                     id="outside-the-served-countries"),
        pytest.param({"serves": ServedAreas(countries=("DE",), continents=("AF",))}, PARIS,
                     "serves only country DE and continent AF; the client is in FR",
                     id="outside-country-and-continent"),
        pytest.param({"serves": ServedAreas(countries=("DE",), continents=("EU",))}, PARIS, "",
                     id="outside-the-countries-but-on-the-continent"),
        pytest.param({"serves": ServedAreas(countries=("DE",))}, NOWHERE,
                     "serves only country DE; the client is in an unknown country",
                     id="a-client-of-unknown-country"),
    ],
)  # fmt: skip
def test_a_unit_says_why_it_may_not_take_a_client(changes, location, reason):
    assert why_not(unit("dublin", **changes), PlacementPolicy(), location, "t") == reason


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        pytest.param(only(countries=["IE", "DE"]), "", id="allowed"),
        pytest.param(only(countries=["DE", "FR"]),
                     "is in IE, not in DE or FR, as rule r requires", id="not-allowed"),
        pytest.param(never(countries=["IE"]),
                     "is country IE, which rule r forbids", id="denied"),
        pytest.param(only(continents=["NA"]),
                     "is in continent EU, not in NA, as rule r requires", id="another-continent"),
        pytest.param(only(units=["fiji"]), "is not fiji, as rule r requires", id="another-unit"),
        pytest.param(only(labels={"ring": "stable"}), "", id="has-the-label"),
        pytest.param(only(labels={"ring": "canary"}),
                     "has ring=stable, not ring=canary, as rule r requires",
                     id="has-another-value"),
        pytest.param(only(labels={"gpu": "yes"}),
                     "lacks the label gpu=yes, as rule r requires", id="lacks-the-label"),
        pytest.param({"denied": "rule r denies it", "denied_by": "r"}, "rule r denies it",
                     id="the-client-is-denied"),
    ],
)  # fmt: skip
def test_a_policy_says_why_a_unit_is_out(policy, reason):
    dublin = unit("dublin", labels={"ring": "stable"})
    assert why_not(dublin, PlacementPolicy(**policy), PARIS, "t") == reason


@given(situations())
def test_the_eligible_are_those_that_nothing_speaks_against(situation):
    units = situation.fleet
    eligible = Eligibility(units, situation.policy).of(situation.location, situation.tenant)
    expected = [u.index for u in units.units if reference.allowed(u, situation)]
    assert eligible.indices.tolist() == expected
    assert eligible.ids == tuple(units.units[index].id for index in expected)
    assert (eligible.vectors == units.vectors[eligible.indices]).all()
    assert bool(eligible.refusal) == (not expected)


def test_countries_with_the_same_units_share_them():
    units = fleet("dublin", "oregon", oregon={"serves": ServedAreas(countries=("US",))})
    eligibility = Eligibility(units, PlacementPolicy())
    german = eligibility.of(country_only("DE", "EU"), "t")
    assert eligibility.of(country_only("FR", "EU"), "t") is german
    assert eligibility.of(country_only("US", "NA"), "t") is not german


def test_many_tenants_do_not_fill_the_memory():
    units = fleet("dublin", "oregon", oregon={"tenants": ("t1",)})
    eligibility = Eligibility(units, PlacementPolicy())
    for number in range(3000):
        found = eligibility.of(PARIS, f"t{number}")
        assert found.ids == (("dublin", "oregon") if number == 1 else ("dublin",))
    assert eligibility.kept <= 1024
