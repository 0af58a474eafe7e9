"""A policy document is read strictly: whatever is wrong is told with its place, all at once."""

from __future__ import annotations

import textwrap

import pytest

from provisioner.placement.hooks import HookUse
from provisioner.placement.latency import LatencyCaps
from provisioner.placement.ranking import Cost, Preference
from provisioner.policy.document import Trust
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.reading import MOST_BYTES, MOST_RULES, read_policy
from tests.support.fleets import selector


def problems(text):
    with pytest.raises(FaultyPolicy) as caught:
        read_policy(textwrap.dedent(text))
    return list(caught.value.problems)


def one_rule(said):
    return f"policy: 1\nrules: [{{name: a, {said}}}]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("policy: 1\nshuffle_sharding: {}",
                     "shuffle_sharding.units: say how many units each tenant has", id="no-units"),
        pytest.param("policy: 1\nshuffle_sharding: {units: 1.5}",
                     "shuffle_sharding.units: is 1.5; give a whole number", id="half-a-unit"),
        pytest.param("policy: 1\nshuffle_sharding: {units: 0}",
                     "shuffle_sharding.units: is 0, outside 1 to 1000", id="no-unit-at-all"),
        pytest.param("policy: 1\nshuffle_sharding: {units: 2, by: client}",
                     'shuffle_sharding.by: "client" is none of tenant; did you mean tenant?',
                     id="by-client"),
        pytest.param("policy: 1\nshuffle_sharding: {units: 2, amongst: {}}",
                     'shuffle_sharding: there is no field "amongst"; did you mean among?',
                     id="amongst"),
        pytest.param("rules: []", "policy: write `policy: 1`, the version of the format",
                     id="no-format"),
        pytest.param("policy: 2", "policy: write `policy: 1`, the version of the format",
                     id="another-format"),
        pytest.param("[]", "the policy has to be an object, and is a list", id="a-list"),
        pytest.param("policy: 1\nrulez: []", 'there is no field "rulez"; did you mean rules?',
                     id="an-unknown-field-and-the-nearest-one"),
        pytest.param(one_rule("requires: {countries: [DE]}"),
                     'rules[0] (a): there is no field "requires"; did you mean require?',
                     id="an-unknown-field-of-a-rule"),
        pytest.param(one_rule("require: {countries: [DX]}"),
                     'rules[0] (a).require.countries: there is no country "DX"; did you mean XK?',
                     id="no-such-country"),
        pytest.param(one_rule("require: {countries: de}"),
                     'rules[0] (a).require.countries: there is no country "de"; did you mean DE?',
                     id="a-country-in-small-letters"),
        pytest.param(one_rule("require: {countries: [NO]}"),
                     "rules[0] (a).require.countries: has to be a list of texts, and has false "
                     "in it", id="what-yaml-makes-of-norway"),
        pytest.param(one_rule("require: {}"),
                     "rules[0] (a).require: says nothing; give it one of units, countries, "
                     "continents, labels", id="a-selector-that-says-nothing"),
        pytest.param(one_rule("when: 'true'"),
                     "rules[0] (a): says nothing; give it one of require, forbid, deny, rank, "
                     "hook, pool, nowhere, full", id="a-rule-that-says-nothing"),
        pytest.param(one_rule("hook: {}"),
                     "rules[0] (a).hook.name: name the hook, as the operator of the servers has it",
                     id="a-hook-without-name"),
        pytest.param(one_rule("hook: {name: h, deadline_ms: 2001}"),
                     "rules[0] (a).hook.deadline_ms: is 2001, outside 1 to 2000",
                     id="a-hook-that-clients-would-wait-for-too-long"),
        pytest.param(one_rule("hook: {name: h, url: 'https://x.example'}"),
                     'rules[0] (a).hook: there is no field "url"; known are attributes, away, '
                     "deadline_ms, each, groups, keep_s, name, units", id="a-hook-with-an-address"),
        pytest.param(one_rule("rank: {bias: [{units: [x], percent: 100}]}"),
                     "rules[0] (a).rank.bias[0].percent: is 100, outside -99 to 99",
                     id="a-bias-out-of-range"),
        pytest.param(one_rule("rank: {latency: {relax_to_ms: 9}}"),
                     "rules[0] (a).rank.latency.cap_ms: say within how many ms all units are alike",
                     id="latency-without-cap"),
        pytest.param(one_rule("rank: {latency: {cap_ms: 50, relax_to_ms: 9}}"),
                     "rules[0] (a).rank.latency.relax_to_ms: is 9, below cap_ms, which is 50",
                     id="latency-that-relaxes-the-wrong-way"),
        pytest.param(one_rule("rank: {bias: [{units: [x]}]}"),
                     "rules[0] (a).rank.bias[0].percent: give a number from -99 to 99",
                     id="a-bias-without-number"),
        pytest.param(one_rule("pool: main"),
                     'rules[0] (a).pool: there is no pool "main"; the policy has no pools',
                     id="a-pool-that-is-not-there"),
        pytest.param(one_rule("nowhere: sprad"),
                     'rules[0] (a).nowhere: "sprad" is none of spread, refuse; did you mean '
                     "spread?", id="a-word-that-is-none"),
        pytest.param("policy: 1\nrings: {canary: {share: 101, labels: {r: c}}}",
                     "rings.canary.share: is 101, outside 0 to 100", id="a-share-above-all"),
        pytest.param("policy: 1\ngroups: {a: {ids: ['x-*']}}",
                     'groups.a.ids: "x-*" is a pattern; move it to `patterns`',
                     id="a-pattern-among-ids"),
        pytest.param("policy: 1\nequal_within_km: {least: 9, most: 3}",
                     "equal_within_km: least is 9, above most, which is 3", id="least-above-most"),
        pytest.param("policy: 1\nrules: [{name: a, deny: true}, {name: a, deny: true}]",
                     "rules[1] (a).name: rules[0] has it already; names are unique",
                     id="one-name-twice"),
        pytest.param("policy: 1\npolicy: 1", 'line 2: the key "policy" stands there twice; keep '
                     "one", id="a-key-twice"),
        pytest.param("policy: 1\nrules: [", "the policy is not YAML: while parsing a flow node "
                     "did not find expected node content in \"<unicode string>\", line 3, "
                     "column 1", id="no-yaml"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text, problem):
    assert problems(text) == [problem]


def test_everything_wrong_is_told_at_once():
    assert len(problems(one_rule("requires: 1, pool: x, deny: maybe"))) == 3


def test_spillover_may_not_go_round_in_a_circle():
    text = """
        policy: 1
        pools:
          a: {labels: {p: a}, spillover: b}
          b: {labels: {p: b}, spillover: c}
          c: {labels: {p: c}, spillover: a}
          d: {labels: {p: d}, spillover: a}
    """
    assert problems(text) == ["pools.a.spillover: goes round in a circle: a → b → c → a"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("policy: 1\n#" + "x" * MOST_BYTES, id="bytes"),
        pytest.param(
            "policy: 1\nrules:\n" + "- {name: a, deny: true}\n" * (MOST_RULES + 1), id="rules"
        ),
        pytest.param("policy: 1\nrules: [{name: a, when: '%s', deny: true}]" % ("x" * 5000),
                     id="characters-of-a-condition"),
    ],
)  # fmt: skip
def test_a_document_is_bounded(text):
    assert len(problems(text)) == 1


def test_all_that_a_document_can_say():
    document = read_policy(
        textwrap.dedent(
            """
            policy: 1
            description: everything
            certain_within_km: 20
            equal_within_km: {least: 5, most: 300}
            groups: {gov: {ids: [a], patterns: ["gov-*"]}}
            pools: {main: {continents: [EU], spillover: rest}, rest: {}}
            rings: {canary: {share: 2.5, labels: {ring: canary}}}
            rules:
            - name: all
              when: '"gov" in client.groups'
              location: strict
              require: {countries: [DE, FR], labels: {tier: [a, b]}}
              forbid: {units: old}
              deny: true
              rank:
                by_country: {DE: [{countries: [FR]}]}
                prefer: [{continents: [EU]}]
                cost: {label: price, band: 5}
                latency: {cap_ms: 50, relax_to_ms: 100}
                distance: true
                bias: [{units: [x], percent: -20}]
                load: false
                weights: [{weight: 2}]
              pool: main
              nowhere: refuse
              full: refuse
            """
        )
    )
    (rule,) = document.rules
    assert (document.certain_within_km, document.least_uncertainty_km) == (20.0, 5.0)
    assert document.most_uncertainty_km == 300.0
    assert document.groups[0].patterns == ("gov-*",)
    assert [pool.spillover for pool in document.pools] == ["rest", ""]
    assert document.rings[0].share == 2.5
    assert rule.trust is Trust.STRICT
    assert rule.require == selector(countries=["DE", "FR"], labels={"tier": ["a", "b"]})
    assert rule.forbid == selector(units=["old"])
    assert (rule.deny, rule.pool, rule.nowhere, rule.full) == (True, "main", "refuse", "refuse")
    ranking = rule.rank.ranking
    assert ranking.orders == (
        Preference(selectors=(selector(continents=["EU"]),)), Cost(label="price", band=5.0),
    )  # fmt: skip
    assert ranking.latency == LatencyCaps(cap_ms=50.0, relax_to_ms=100.0)
    assert (ranking.by_distance, ranking.by_load) == (True, False)
    assert ranking.biases == ((selector(units=["x"]), -20.0),)
    assert ranking.weights == ((selector(), 2.0),)
    assert rule.rank.preferences.table == (("DE", (selector(countries=["FR"]),)),)


def test_json_says_the_same():
    text = '{"policy": 1, "rules": [{"name": "a", "deny": true}]}'
    assert read_policy(text).rules[0].deny


def test_a_hook_says_what_holds_without_it_and_how_long_it_may_take():
    (rule,) = read_policy(
        one_rule(
            "hook: {name: h, away: refuse, deadline_ms: 50, keep_s: 5, units: 3, each: client}"
        )
    ).rules
    assert rule.hook == HookUse(
        name="h", away="refuse", deadline_ms=50, keep_s=5.0, units=3, by_client=True
    )
    (plain,) = read_policy(one_rule("hook: {name: h}")).rules
    assert plain.hook == HookUse(name="h")
    assert not plain.is_hard
