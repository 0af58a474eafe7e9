"""The fleet file and the checks of units: everything wrong is named, all at once."""

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.fleet.file import SAMPLE, BadFleetFile, parse_fleet, read_fleet
from control_plane.fleet.records import DamagedRecord, decode_unit, encode_unit
from control_plane.fleet.unit import Position, ServedAreas, TenantSpec
from control_plane.fleet.validation import check_tenant, check_unit
from control_plane.store.port import KeyValue

GOOD = """
units:
  - id: eu-west-1a
    endpoint: eu-west-1a.example.net:443
    position: {latitude: 53.3, longitude: -6.3}
    country: IE
    capacity: 100000
"""


def problems(text: str) -> list[str]:
    with pytest.raises(BadFleetFile) as caught:
        parse_fleet(text, "fleet.yaml")
    return caught.value.problems


def test_the_sample_parses():
    units = read_fleet(SAMPLE)
    assert len(units) == 12
    assert units[0].id == "us-east"
    assert all(check_unit(unit) is unit for unit in units)


def test_what_is_left_out_has_its_default():
    (unit,) = parse_fleet(GOOD, "fleet.yaml")
    assert (unit.weight, unit.labels, unit.serves, unit.tenants) == (1.0, {}, ServedAreas(), ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("capacity: 100000", "capacity: 0", "at least 1"),
        ("capacity: 100000", "capacity: 9007199254740993", "at most 2**53"),
        ("capacity: 100000", "capacity: 1.5", "not a whole number"),
        ("capacity: 100000", "capacity: -1", "at least 1"),
        ("capacity: 100000", "capacity: 1\n    labels: {zone: NO}", "put it in quotes"),
        ("capacity: 100000", "capacity: 1\n    labels: [a]", "a mapping of names to texts"),
        ("capacity: 100000", "capacity: 1\n    labels: {'': x}", "use 1 to 63 letters"),
        ("capacity: 100000", "capacity: 1\n    serves: {countries: [NO]}", "in quotes"),
        ("capacity: 100000", "capacity: 1\n    serves: everywhere", "serves is a mapping"),
        ("capacity: 100000", "capacity: 1\n    weight: heavy", 'weight "heavy" is not a number'),
        ("latitude: 53.3", "latitude: 1" + "0" * 400, "too large a number"),
        ("latitude: 53.3", "latitude: north", "is not a number"),
        ("position: {latitude: 53.3, longitude: -6.3}", "position: here", "position is a mapping"),
        ("id: eu-west-1a", "id: 007", "put it in quotes"),
        ("capacity: 100000", "capacity: many", "not a whole number"),
        ("capacity: 100000", "capacity: true", "not a whole number"),
        ("country: IE", "country: NO", "put it in quotes"),
        ("country: IE", "country: Ireland", "ISO 3166-1"),
        ("country: IE", "country: IE\n    colour: blue", 'unknown key "colour"'),
        ("    country: IE\n", "", "country is missing"),
        ("latitude: 53.3", "latitude: 93", "between -90 and 90"),
        ("latitude: 53.3", "latitude: .nan", "between -90 and 90"),
        ("latitude: 53.3, ", "", "position.latitude is missing"),
        ("latitude: 53.3", "north: 53.3", "unknown key position.north"),
        ("id: eu-west-1a", "id: EU West", "not a valid name"),
        ("example.net:443", "example.net", "not host:port"),
        ("example.net:443", "example.net:99999", "not host:port"),
        ("capacity: 100000", "capacity: 1\n    weight: 0", "above 0"),
        ("capacity: 100000", "capacity: 1\n    serves: {continents: [Europe]}", "AF, AN, AS"),
        ("capacity: 100000", "capacity: 1\n    tenants: acme", "list of texts"),
    ],
)
def test_each_mistake_is_named_with_its_entry(old, new, said):
    (problem,) = problems(GOOD.replace(old, new))
    assert problem.startswith("units[0]")
    assert said in problem


def test_all_mistakes_of_a_file_are_told_together():
    two = GOOD.replace("capacity: 100000", "capacity: 0") + GOOD.split("units:")[1].replace(
        "country: IE", "country: Eire"
    )
    assert len(problems(two)) == 2


def test_a_wrong_type_does_not_hide_a_wrong_value_nor_a_key_that_stands_twice():
    """Parsing, types and ranges are three steps; an operator sees what all of them found."""
    text = GOOD.replace("capacity: 100000", "capacity: 0\n    weight: heavy").replace(
        "country: IE", "country: IE\n    country: Eire"
    )
    said = ['line 7: the key "country" stands there twice', "capacity is 0",
            'country "Eire" is not', "weight \"heavy\" is not a number"]  # fmt: skip
    found = problems(text)
    assert len(found) == len(said)
    assert [part for part in said if not any(part in problem for problem in found)] == []


def read(text):
    """The units and None, or no units and what is wrong."""
    try:
        return parse_fleet(text, "fleet.yaml"), None
    except BadFleetFile as bad:
        return (), bad.problems


@given(st.text(max_size=200) | st.text("units:[]{}-&*!<>|,? \n#'\"0.:~", max_size=200))
def test_any_text_at_all_is_a_fleet_or_a_bad_fleet_file(text):
    units, problems = read(text)
    assert problems is None or problems
    assert all(check_unit(unit) is unit for unit in units)


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.dates() | st.binary(max_size=4)
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_scalars, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "endpoint", "position", "country", "capacity", "weight",
                         "labels", "serves", "tenants", "colour"]),
        _values,
    )
)  # fmt: skip
def test_any_values_at_all_are_a_fleet_or_a_bad_fleet_file(changes):
    """A sound entry in which some values are anything YAML can say."""
    sound = yaml.safe_load(GOOD)["units"][0]
    text = yaml.safe_dump({"units": [{**sound, **changes}]}, allow_unicode=True)
    units, problems = read(text)
    assert all(problem.startswith("units[0]") for problem in problems or [])
    assert len(problems or units) >= 1
    assert all(check_unit(unit) is unit for unit in units)


def test_a_number_without_end_is_cut_short_in_the_message():
    (problem,) = problems(GOOD.replace("100000", "1" * 4000))
    assert len(problem) < 250


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "units: " + "{a: " * 5_000])
def test_brackets_without_end_are_not_followed(text):
    assert "not YAML" in problems(text)[0]


def test_merge_keys_are_named_as_not_supported():
    text = "units:\n  - &a {id: a}\n  - {<<: *a, id: b}\n"
    assert "line 3: `<<` is not supported" in problems(text)[0]


def test_json_is_read_as_well():
    (unit,) = parse_fleet(json.dumps(yaml.safe_load(GOOD), indent=1), "fleet.json")
    assert (unit,) == parse_fleet(GOOD, "fleet.yaml")


def test_an_empty_position_is_not_taken_for_the_gulf_of_guinea():
    found = problems(GOOD.replace("{latitude: 53.3, longitude: -6.3}", "{}"))
    assert ["latitude" in found[0], "longitude" in found[1], len(found)] == [True, True, 2]


def test_all_mistakes_of_one_entry_are_told_together():
    text = (
        "units:\n  - {id: 007, colour: blue, position: {latitude: north}, country: NO,"
        " capacity: many, labels: {a: 1}}\n"
    )
    said = ['unknown key "colour"', "endpoint is missing", 'position.latitude "north"',
            "position.longitude is missing", "id 7 is not", "country false is not",
            'capacity "many" is not', 'labels has "a": 1']  # fmt: skip
    found = problems(text)
    assert len(found) == len(said)
    assert [part for part in said if not any(part in problem for problem in found)] == []
    assert all(problem.startswith("units[0] (7): ") for problem in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + GOOD.split("units:")[1], "ids are unique"),
        (GOOD.replace("country: IE", "country: IE\n    country: DE"), "stands there twice"),
        ("{", "not YAML"),
        ("units: [{[id]: x}]", "cannot be a key"),
        ("units: [{capacity: 2024-02-31}]", "not YAML"),
        ("", "needs a list of units"),
        ("units: {}", "needs a list of units"),
        ("[]", "needs a list of units"),
        (GOOD + "extra: 1\n", 'unknown key "extra"'),
        ("units: [1]", "a unit is a mapping"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(text, said):
    assert said in problems(text)[0]


def test_records_survive_the_store_and_newer_fields():
    (unit,) = parse_fleet(GOOD, "fleet.yaml")
    raw = encode_unit(replace(unit, labels={"ring": "stable"}))

    def pair(value: bytes) -> KeyValue:
        return KeyValue(key=b"/homeport/v1/units/u", value=value, create_revision=1,
                        mod_revision=1, version=1)  # fmt: skip

    assert decode_unit(pair(raw)) == replace(unit, labels={"ring": "stable"})
    assert decode_unit(pair(raw[:-1] + b',"added_later":1}')).id == unit.id
    with pytest.raises(DamagedRecord, match="/homeport/v1/units/u"):
        decode_unit(pair(b'{"id":'))


@pytest.mark.parametrize(
    "tenant",
    [
        TenantSpec(id="A"),
        TenantSpec(id="a", ticket_algorithm="RS256"),
        TenantSpec(id="a", ticket_ttl_s=1),
        TenantSpec(id="a", ticket_ttl_s=float("nan")),
        TenantSpec(id="a", default_position=Position(latitude=0, longitude=200)),
    ],
)
def test_tenants_that_are_refused(tenant):
    with pytest.raises(InvalidInput):
        check_tenant(tenant)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "EU"}, "spec.unit_id"),
        ({"endpoint": "[::1:443"}, "spec.endpoint"),
        ({"endpoint": "host:0"}, "spec.endpoint"),
        ({"endpoint": "host:" + "9" * 5000}, "spec.endpoint"),
        ({"endpoint": "host:４４３"}, "spec.endpoint"),
        ({"position": Position(latitude=0, longitude=180.1)}, "spec.position.longitude"),
        ({"country": "ie"}, "spec.country"),
        ({"capacity": 2**53 + 1}, "spec.capacity"),
        ({"weight": float("inf")}, "spec.weight"),
        ({"labels": {f"l{n}": "" for n in range(65)}}, "spec.labels"),
        ({"labels": {"a": "x" * 256}}, "spec.labels"),
        ({"labels": {"a": "line\nbreak"}}, "spec.labels"),
        ({"serves": ServedAreas(countries=("Eire",))}, "spec.serves.countries"),
        ({"serves": ServedAreas(continents=("EUR",))}, "spec.serves.continents"),
        ({"tenants": ("Acme",)}, "spec.tenants"),
    ],
)
def test_a_refused_unit_names_the_field(change, field):
    (unit,) = parse_fleet(GOOD, "fleet.yaml")
    with pytest.raises(InvalidInput) as caught:
        check_unit(replace(unit, **change))
    assert caught.value.field == field


@pytest.mark.parametrize("endpoint", ["a:1", "192.0.2.1:65535", "[2001:db8::1]:443", "a_b.c-d:80"])
def test_endpoints_that_are_good(endpoint):
    (unit,) = parse_fleet(GOOD, "fleet.yaml")
    assert check_unit(replace(unit, endpoint=endpoint)).endpoint == endpoint


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    binary = tmp_path / "fleet.yaml"
    binary.write_bytes(b"\xff\xfe")
    for path in (binary, tmp_path / "none.yaml"):
        with pytest.raises(BadFleetFile, match="cannot be read") as caught:
            read_fleet(path)
        assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: &a [x]\nunits: *a", "anchors and aliases", id="an-alias"),
        pytest.param("a: &a [x, x]\nb: &b [*a, *a]\nunits: [{id: *b}]", "anchors", id="a-bomb"),
        pytest.param("units: " + "[" * 17 + "]" * 17, "deeper than 16 levels", id="nesting"),
        pytest.param("units: [{capacity: " + "9" * 5_000 + "}]", "5,000 digits", id="digits"),
        pytest.param("units: [{weight: -" + "9" * 5_000 + "}]", "digits", id="digits-below-zero"),
    ],
)
def test_what_is_too_much_is_said_before_it_is_made(text, said):
    (problem,) = problems(text)
    assert said in problem
