"""Cases of a policy: clients, and where they have to live. Read strictly from YAML or JSON.

Everything wrong with a file is reported together, each with the place in it, and an unknown field
with the one that was most likely meant: a case that asks for nothing would never fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from control_plane.errors import InvalidInput
from control_plane.yaml_files import UnreadableYaml, parse
from provisioner.geo.cells import cell_of
from provisioner.geo.countries import continent_of, countries
from provisioner.geo.location import Location, LocationSource
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.fields import Fields, Problems
from provisioner.policy.latency_caps import MOST_AFTER_S
from provisioner.policy.told_attributes import told_anew

MOST_CASES = 10_000
MOST_UNITS = 1_000  # that a case names
CASE_FIELDS = ("name", "client", "attributes", "ip", "at", "full", "load", "waited_s", "expect")
AT_FIELDS = ("country", "subdivision", "latitude", "longitude", "uncertainty_km", "source")
EXPECT_FIELDS = ("units", "rule", "refused", "refused_by", "full")


class FaultyCases(FaultyPolicy):
    """What is wrong with a file of cases, a sentence each."""

    reason = "FAULTY_POLICY_CASES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a case asks for; parts that are empty ask for nothing. units: one of these; rule: by
    which the unit is chosen; refused: no unit may take the client, for `refused_by`, if that is
    said; full: those that may have no room."""

    units: tuple[str, ...] = ()
    rule: str = ""
    refused: bool = False
    refused_by: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One client. location None: where `address` is; both absent: nobody knows. full: units
    without room; load: the share of their capacity that others have, 0.0 to 1.0; waited_s: how
    long the client has waited for room."""

    name: str
    client: str
    expected: Expected
    address: str = ""
    location: Location | None = None
    full: tuple[str, ...] = ()
    load: Mapping[str, float] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)
    waited_s: float = 0.0


def read_cases(text: str) -> tuple[Case, ...]:
    """In their order. Raises FaultyCases with all that is wrong."""
    try:
        said, doubled = parse(text)
    except UnreadableYaml as error:
        raise FaultyCases([f"the file of cases {error}"]) from error
    problems = Problems(doubled)
    fields = Fields(said, "", ("cases",), problems)
    cases = []
    names: set[str] = set()
    for at, one in enumerate(fields.entries("cases", most=MOST_CASES)):
        case = Fields(one, f"cases[{at}]", CASE_FIELDS, problems)
        if not case.given:
            continue
        made = _case(case, at)
        if made.name in names:
            case.problem("name", "another case has it already; names are unique")
        names.add(made.name)
        cases.append(made)
    if not cases and not problems.found:
        problems.add("cases", "there is none; a test without a case would hold whatever comes")
    if problems.found:
        raise FaultyCases(problems.found)
    return tuple(cases)


def _case(case: Fields, at: int) -> Case:
    if case.has("ip") and case.has("at"):
        case.problem("at", "the client is where `ip` says already; give one of them")
    load = {
        unit: case.inner("load", case.list_object("load")).number(unit, 0.0, low=0.0, high=1.0)
        for unit in case.list_object("load")
    }
    return Case(
        name=case.text("name") or f"case {at + 1}",
        client=case.text("client") or "client",
        expected=_expected(case),
        address=case.text("ip"),
        location=location_at(case.part("at", AT_FIELDS)) if case.has("at") else None,
        full=tuple(case.texts("full", most=MOST_UNITS)),
        load=load,
        attributes=read_attributes(case),
        waited_s=case.number("waited_s", 0.0, low=0.0, high=10 * MOST_AFTER_S),
    )


def read_attributes(client: Fields) -> Attributes:
    """Those of a client; none where it says nothing of them."""
    said = client.list_object("attributes")
    inner = client.inner("attributes", said)
    told = {name: inner.text(name) for name in said}
    if inner.has_problems:
        return NO_ATTRIBUTES
    try:
        return told_anew(None, told)
    except InvalidInput as error:
        client.problem("attributes", error.message)
        return NO_ATTRIBUTES


def _expected(case: Fields) -> Expected:
    said = case.part("expect", EXPECT_FIELDS)
    refused_by = said.text("refused_by")
    found = Expected(
        units=tuple(said.texts("units", most=MOST_UNITS)),
        rule=said.text("rule"),
        refused=said.flag("refused", bool(refused_by)) or bool(refused_by),
        refused_by=refused_by,
        full=said.flag("full", False),
    )
    lives = bool(found.units or found.rule)
    if lives + found.refused + found.full != 1 and not said.has_problems:
        case.problem("expect", "say one of: units or rule; refused or refused_by; full: true")
    return found


def location_at(at: Fields) -> Location:
    """Where the fields of AT_FIELDS say; what is wrong is told to their problems."""
    country = at.text("country")
    if country and country not in countries():
        at.problem("country", f"there is no country {country}; give its ISO 3166-1 code, as IE")
    if at.has("latitude") != at.has("longitude"):
        at.problem("", "give latitude and longitude, or neither")
    positioned = at.has("latitude") and at.has("longitude")
    latitude = at.number("latitude", 0.0, low=-90.0, high=90.0) if positioned else None
    longitude = at.number("longitude", 0.0, low=-180.0, high=180.0) if positioned else None
    uncertainty_km = at.number("uncertainty_km", 0.0, low=0.0, high=20_100.0)
    sources: Sequence[str] = tuple(source.value for source in LocationSource)
    source = at.choice("source", sources) or LocationSource.DATABASE.value
    continent = continent_of(country)
    return Location(
        source=LocationSource(source),
        country=country,
        subdivision=at.text("subdivision"),
        continent=continent,
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=uncertainty_km,
        cell=cell_of(country, latitude, longitude, uncertainty_km, continent),
    )
