"""What is wrong with conditions, and with rules together, is told before a policy counts."""

from __future__ import annotations

import pytest

from provisioner.policy.faulty import FaultyPolicy
from tests.support.policies import compiled


def problems(text):
    with pytest.raises(FaultyPolicy) as caught:
        compiled(text)
    return list(caught.value.problems)


def condition(when, more=""):
    return problems(f"{more}\nrules: [{{name: a, when: '{when}', deny: true}}]")


WHERE = "rules[0] (a).when: "


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        pytest.param('location.country = "DE"',
                     "line 1, column 18: Syntax error: token recognition error at: '= '",
                     id="it-does-not-parse"),
        pytest.param("location.country", "line 1, column 9: location.country is a text, and has to "
                     "be true or false here; compare it", id="a-text-that-is-no-truth"),
        pytest.param("!client.groups || location.country == \"DE\"", "line 1, column 8: "
                     "client.groups is a list, and has to be true or false here",
                     id="a-list-that-is-no-truth"),
        pytest.param("location.country == 3",
                     "line 1, column 9: a text is compared with a number",
                     id="a-text-and-a-number"),
        pytest.param('"9" < location.latitude',
                     "line 1, column 15: a text is compared with a number",
                     id="a-number-and-a-text"),
        pytest.param("client.attributes.kind != 1",
                     "line 1, column 18: a text is compared with a number",
                     id="an-attribute-and-a-number"),
        pytest.param("location.latitude < 3 && location.country < location.continent", "",
                     id="which-is-good"),
        pytest.param("has(client.attributes.kind) && !has(client.attributes.age)", "",
                     id="which-asks-what-is-there"),
        pytest.param("[location.country, location.continent].exists(one, one == \"DE\")", "",
                     id="whose-type-is-known-later-only"),
        pytest.param("1 + 1", "must give bool, and gives int: 1 + 1", id="it-gives-no-truth-value"),
        pytest.param('location.contry == "DE"',
                     "line 1, column 9: there is no location.contry; did you mean country?",
                     id="a-misspelt-field"),
        pytest.param('client.tier == "a"', "line 1, column 7: there is no client.tier; known are "
                     "attributes, groups, id, rings", id="no-such-field"),
        pytest.param('location.country.code == "DE"',
                     'line 1, column 17: location.country has no field "code"',
                     id="a-field-of-a-text"),
        pytest.param('"gov" in client.groups',
                     'line 1, column 1: there is no group "gov"; the policy has no groups',
                     id="a-group-that-is-not-there"),
        pytest.param("size(location) > 0", "line 1, column 6: location is an object; read one of "
                     "country, subdivision, continent, latitude, longitude, uncertainty_km, "
                     "source, certainty", id="the-object-itself"),
        pytest.param("weather == 1", "line 1, column 1: undeclared reference to 'weather' (in "
                     "container '')", id="a-variable-that-is-not-there"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition(when, problem):
    if not problem:
        compiled(f"rules: [{{name: a, when: '{when}', deny: true}}]")
    else:
        found = condition(when)
        assert found[0].startswith(WHERE + problem)


def test_a_misspelt_group_and_the_one_that_was_meant():
    (found,) = condition('"gvo" in client.groups', "groups: {gov: {ids: [a]}}")
    assert found == WHERE + 'line 1, column 1: there is no group "gvo"; did you mean gov?'


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(
            "[{name: a, require: {countries: [DE]}, forbid: {continents: [EU]}}]",
            ["rules[0] (a): forbids every country that it requires"],
            id="a-rule-with-itself",
        ),
        pytest.param(
            "[{name: a, require: {countries: [DE]}}, {name: b, require: {continents: [NA]}}]",
            ["rules[0] (a): contradicts b: there is no country in which a unit satisfies all of "
             "them"],
            id="two-that-always-hold",
        ),
        pytest.param(
            "[{name: a, require: {countries: [DE]}},"
            " {name: b, when: 'location.country == \"US\"', require: {countries: [US]}}]",
            ["rules[1] (b): contradicts a: there is no country in which a unit satisfies all of "
             "them"],
            id="one-with-a-condition-and-one-that-always-holds",
        ),
        pytest.param(
            "[{name: a, when: 'location.country == \"DE\"', require: {countries: [DE]}},"
            " {name: b, when: 'location.country == \"US\"', require: {countries: [US]}}]",
            [],
            id="two-of-different-clients",
        ),
        pytest.param(
            "[{name: a, require: {continents: [EU]}},"
            " {name: b, forbid: {continents: [EU], labels: {tier: old}}}]",
            [],
            id="some-units-of-a-continent-alone",
        ),
    ],
)  # fmt: skip
def test_residency_that_contradicts_itself(rules, expected):
    text = f"rules: {rules}"
    assert (problems(text) if expected else compiled(text) and []) == expected
