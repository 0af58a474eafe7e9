"""What a consent reaches is what a look at every rule finds, without one."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.decisions.consent_reach import reached
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.fields_read import feeds_of
from data_sharing.rules.ruleset import RuleSet
from data_sharing.sharing.audience import Audience, consumer_of
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.policies import GovernedFeed, Memory, SharingPolicies
from data_sharing.sharing.policy import FeedPolicy, GrantSpec
from tests.support.rule_harness import TENANT, rules_of

FEEDS, PURPOSES, APPLICATIONS = ["f0", "f1", "f2"], ["Help.", "Sell."], ["lamp", "horn"]
some_feeds = st.lists(st.sampled_from(FEEDS), unique=True, min_size=1, max_size=2)
a_purpose, an_application = st.sampled_from(PURPOSES), st.sampled_from(APPLICATIONS)
grants = st.builds(
    GrantSpec,
    purpose=a_purpose,
    fields=st.just(["/a"]),
    applications=st.lists(an_application, unique=True),
    tenant=st.sampled_from([[], ["rules"]]),
    basis=st.sampled_from(["consent", "contract"]),
)
policies = st.dictionaries(st.sampled_from(FEEDS), st.lists(grants, max_size=3))
readers = st.lists(st.tuples(some_feeds, a_purpose, an_application, st.booleans()), max_size=8)
consents = st.builds(
    Consent,
    id=st.just("c"), tenant=st.sampled_from([TENANT] * 4 + ["other"]), subject=st.just("anna"),
    consumer=st.sampled_from(["", *APPLICATIONS]), purpose=a_purpose,
    feed=st.sampled_from(["", *FEEDS]),
)  # fmt: skip


def governed(by_feed: Mapping[str, list[GrantSpec]]) -> SharingPolicies:
    return SharingPolicies(
        {
            (TENANT, feed): GovernedFeed.of(FeedPolicy(feed=feed, grants=those), b"s" * 32)
            for feed, those in by_feed.items()
        }
    )


def reading(those: list[tuple[list[str], str, str, bool]]) -> RuleSet:
    """Rules, and forecasts of the same feeds where that is said."""
    rules, forecasts = [], []
    for number, (feeds, purpose, application, estimated) in enumerate(those):
        rule: dict[str, object] = {
            "rule": f"r{number}", "purpose": purpose, "when": "true",
            "watch": {f"e{at}": {"feed": feed} for at, feed in enumerate(feeds)},
            "do": [{"invoke": {"application": application, "action": "blink", "config": {}}}],
        }  # fmt: skip
        rules.append(
            rule | ({"join": {"within": "10m", "consume": "chronicle"}} if len(feeds) > 1 else {})
        )
        if estimated:
            forecasts.append(
                {"forecast": f"f{number}", "feed": feeds[0], "value": "event.data.a",
                 "purpose": purpose, "readers": [application]}
            )  # fmt: skip
    return rules_of(json.dumps({"rules": rules, "forecasts": forecasts}))


def scanned(rules: RuleSet, consent: Consent) -> dict[Memory, set[str]]:
    """The same, by a look at every rule and forecast there is."""
    found: dict[Memory, set[str]] = {}
    every: list[tuple[str, str, CompiledRule | CompiledForecast, set[str]]] = [
        ("rule", one.state, one, feeds_of(one)) for one in rules.rules.values()
    ]
    every += [
        ("forecast", one.spec.forecast, one, {one.spec.feed}) for one in rules.forecasts.values()
    ]
    for kind, name, one, feeds in every:
        audience = one.audience
        if one.tenant != consent.tenant or consent.consumer not in map(
            consumer_of, audience.readers
        ):
            continue
        for feed in feeds:
            view = rules.policies.view(one.tenant, feed, audience)
            if (
                consent.about(feed, audience.purpose)
                and view is not None
                and consent.consumer in view.consumers
            ):
                found.setdefault(Memory(one.tenant, kind, name), set()).add(feed)
    return found


@settings(max_examples=60, deadline=None)
@given(those=readers, by_feed=policies, consent=consents)
def test_it_is_what_a_look_at_every_rule_finds(those, by_feed, consent) -> None:
    rules = reading(those).with_policies(governed(by_feed))
    found = {memory: one.feeds for memory, one in reached(rules, consent).items()}
    assert found == scanned(rules, consent)


def test_rules_that_cannot_be_concerned_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of other feeds, nor of other purposes or applications."""
    of_others = [(["f1"], "Help.", "lamp", True), (["f0"], "Sell.", "lamp", True),
                 (["f0"], "Help.", "horn", False)]  # fmt: skip
    grant = [GrantSpec(purpose=one, fields=["/a"], applications=APPLICATIONS, tenant=["rules"])
             for one in PURPOSES]  # fmt: skip
    rules = reading([(["f0"], "Help.", "lamp", False), *of_others * 20]).with_policies(
        governed({"f0": grant, "f1": grant})
    )
    consent = Consent(
        id="c", tenant=TENANT, subject="anna", consumer="lamp", purpose="Help.", feed="f0"
    )
    looked_at: list[tuple[str, Audience]] = []
    view = SharingPolicies.view

    def counted(policies: SharingPolicies, tenant: str, feed: str, to: Audience):
        looked_at.append((feed, to))
        return view(policies, tenant, feed, to)

    monkeypatch.setattr(SharingPolicies, "view", counted)

    def no_scan(_: RuleSet) -> Mapping[tuple[str, str], CompiledRule]:
        raise AssertionError("every rule is looked at")

    monkeypatch.setattr(RuleSet, "rules", property(no_scan))
    monkeypatch.setattr(RuleSet, "forecasts", property(no_scan))
    assert list(reached(rules, consent)) == [Memory(TENANT, "rule", "r0")]
    assert [(feed, to.purpose) for feed, to in looked_at] == [("f0", "Help.")]
