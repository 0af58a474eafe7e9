"""Caps in latency that relax, and what hooks are told, as policy documents say it."""

from __future__ import annotations

from math import inf

import pytest

from provisioner.placement.hooks import HookUse
from provisioner.placement.latency import CapStep, LatencyCaps
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.reading import read_policy

RELAX = "rules[0] (a).rank.latency.relax"


def one_rule(said: str, more: str = "") -> str:
    return f"policy: 1\n{more}\nrules: [{{name: a, {said}}}]"


def relaxing(steps: str) -> str:
    return one_rule(f"rank: {{latency: {{cap_ms: 50, relax: [{steps}]}}}}")


def caps_of(text: str) -> LatencyCaps:
    (rule,) = read_policy(text).rules
    assert rule.rank is not None
    caps = rule.rank.ranking.latency
    assert caps is not None
    return caps


def hook_of(text: str) -> HookUse:
    (rule,) = read_policy(text).rules
    assert rule.hook is not None
    return rule.hook


def test_steps_are_read_and_the_last_one_is_the_limit() -> None:
    caps = caps_of(relaxing("{after_s: 120, to_ms: 100}, {after_s: 300.5, to_ms: any}"))
    assert caps.steps == (CapStep(after_s=120.0, to_ms=100.0), CapStep(after_s=300.5, to_ms=inf))
    assert (caps.cap_ms, caps.limit_ms, caps.rule) == (50.0, inf, "a")
    assert caps_of(relaxing("{after_s: 9, to_ms: 60}")).limit_ms == 60.0


def test_documents_of_before_mean_what_they_meant() -> None:
    """Nobody is refused: what is beyond goes last."""
    caps = caps_of(one_rule("rank: {latency: {cap_ms: 50, relax_to_ms: 100}}"))
    assert caps == LatencyCaps(cap_ms=50.0, relax_to_ms=100.0)
    assert (caps.steps, caps.limit_ms) == ((), inf)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(relaxing("{after_s: 0, to_ms: 100}"),
                     f"{RELAX}[0].after_s: is 0, outside 1 to 3600", id="at-once"),
        pytest.param(relaxing("{after_s: 3601, to_ms: 100}"),
                     f"{RELAX}[0].after_s: is 3601, outside 1 to 3600", id="too-late"),
        pytest.param(relaxing("{after_s: 2m, to_ms: 100}"),
                     f"{RELAX}[0].after_s: has to be a number, and is a text", id="as-people-say"),
        pytest.param(relaxing("{after_s: 9, to_ms: 10001}"),
                     f"{RELAX}[0].to_ms: is 10001, outside 1 to 10000", id="beyond-all"),
        pytest.param(relaxing("{after_s: 9, to_ms: 50}"),
                     f"{RELAX}[0].to_ms: is 50, no more than 50, which holds before",
                     id="to-what-holds"),
        pytest.param(relaxing("{after_s: 9, to_ms: 60}, {after_s: 9, to_ms: 70}"),
                     f"{RELAX}[1].after_s: is 9, no more than the step before has",
                     id="times-that-do-not-grow"),
        pytest.param(relaxing("{after_s: 9, to_ms: any}, {after_s: 10, to_ms: any}"),
                     f"{RELAX}[1].to_ms: is any, no more than any, which holds before",
                     id="a-step-after-any"),
        pytest.param(relaxing("{after_s: 9}"),
                     f"{RELAX}[0].to_ms: say to how many ms it relaxes", id="to-nothing"),
        pytest.param(relaxing("{to_ms: 90}"),
                     f"{RELAX}[0].after_s: say after how many seconds it relaxes", id="some-time"),
        pytest.param(relaxing("{after_s: 9, to_ms: all}"),
                     f"{RELAX}[0].to_ms: has to be a number, and is a text", id="to-a-word"),
        pytest.param(relaxing("{after_s: 9, to_ms: null}"),
                     f"{RELAX}[0].to_ms: has to be a number, and is empty", id="to-null"),
        pytest.param(relaxing("{after: 9, to_ms: 90}"),
                     f"{RELAX}[0]: there is no field \"after\"; did you mean after_s?",
                     id="a-field-that-is-none"),
        pytest.param(relaxing(", ".join(f"{{after_s: {n}, to_ms: {50 + n}}}" for n in range(1, 6))),
                     f"{RELAX}: has 5 entries; at most 4", id="too-many-steps"),
        pytest.param(relaxing("7"), f"{RELAX}[0]: has to be an object, and is a number",
                     id="a-step-that-is-none"),
        pytest.param(relaxing(""), f"{RELAX}: has no step; give one, or leave it out",
                     id="no-step"),
        pytest.param(one_rule("rank: {latency: {cap_ms: 50, relax_to_ms: 99, "
                              "relax: [{after_s: 9, to_ms: 99}]}}"),
                     f"{RELAX}: says when the cap relaxes, and `relax_to_ms` has no time; say one",
                     id="at-once-and-later"),
        pytest.param(one_rule("hook: {name: h, attributes: [plan, 'a b']}"),
                     'rules[0] (a).hook.attributes: "a b" is no name of an attribute; use '
                     "A-Z a-z 0-9 '_' '-' '.'", id="a-hook-told-what-is-no-attribute"),
        pytest.param(one_rule("hook: {name: h, attributes: [" + "x, " * 17 + "]}"),
                     "rules[0] (a).hook.attributes: has 17 entries; at most 16",
                     id="a-hook-told-too-much"),
        pytest.param(one_rule("hook: {name: h, groups: gov}"),
                     'rules[0] (a).hook.groups: there is no group "gov"; the policy has no groups',
                     id="a-hook-told-a-group-that-is-not-there"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(FaultyPolicy) as caught:
        read_policy(text)
    assert problem in caught.value.problems


def test_a_hook_is_told_nothing_unless_the_policy_says_so() -> None:
    plain = hook_of(one_rule("hook: {name: h}"))
    assert (plain.attributes, plain.groups) == (frozenset(), frozenset())
    groups = "groups: {gov: {ids: [anna]}}"
    said = hook_of(one_rule("hook: {name: h, attributes: [plan, ring], groups: gov}", groups))
    assert said.attributes == {"plan", "ring"}
    assert said.groups == {"gov"}
