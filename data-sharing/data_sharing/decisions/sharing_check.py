"""What rules and forecasts must say where feeds have sharing policies, and what they will not
see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from control_plane.errors import Refused
from control_plane.printable import quoted
from data_sharing.rules.audiences import of_forecast, of_rule
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.fields_read import feeds_of, fields_read
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RulesDocument, RuleSpec
from data_sharing.sharing.audience import Audience
from data_sharing.sharing.fields import field_of
from data_sharing.sharing.policies import MOST_AUDIENCES
from data_sharing.sharing.policy import purpose_complaint


def check(tenant: str, document: RulesDocument, now: RuleSet) -> None:
    """Raises InvalidDocument where no purpose is stated for a feed with a policy; Refused where
    rules of too many audiences read one."""
    faults, policies = FaultCollector(), now.policies
    audiences: dict[str, set[Audience]] = defaultdict(set)
    stated: list[tuple[str, set[str], str | None, Audience]] = [
        (f"rules.{one.rule}", _feeds(one), one.purpose, of_rule(one)) for one in document.rules
    ]
    stated += [
        (f"forecasts.{one.forecast}", {one.feed}, one.purpose, of_forecast(one))
        for one in document.forecasts
    ]
    for at, feeds, purpose, audience in stated:
        complaint = "" if purpose is None else purpose_complaint(purpose)
        if complaint:
            faults.add(f"{at}.purpose", complaint)
        governed = sorted(feed for feed in feeds if policies.get(tenant, feed) is not None)
        for feed in governed:
            audiences[feed].add(audience)
        if governed and purpose is None:
            faults.add(
                f"{at}.purpose",
                f"{quoted(governed[0])} has a sharing policy: state what it is read for",
            )
    faults.raise_if_any()
    replaced = {one.rule for one in document.rules}
    for rule in now.rules.values() if audiences else ():
        if rule.tenant == tenant and rule.id not in replaced:
            for feed in feeds_of(rule) & audiences.keys():
                audiences[feed].add(rule.audience)
    for feed, those in audiences.items():
        if len(those) > MOST_AUDIENCES:
            raise Refused(
                f"rules of {len(those)} audiences would read {quoted(feed)}, which has a sharing "
                f"policy; at most {MOST_AUDIENCES}: give them the same purpose, or have them "
                "invoke the same applications"
            )


def warnings(rule: CompiledRule, rules: RuleSet) -> Iterator[str]:
    """What a rule reads and will not be shown, whatever users consent to."""
    for feed, paths in sorted(fields_read(rule).items()):
        view = rules.policies.view(rule.tenant, feed, rule.audience)
        if view is None:
            continue
        if view.widest is None:
            yield f"rules.{rule.id}: of {feed} nothing is granted to {rule.audience.text}"
            continue
        hidden = [field_of(path) for path in sorted(paths) if view.widest.action(path) == "drop"]
        if hidden:
            said = ", ".join(one or "all of the data" for one in hidden)
            yield f"rules.{rule.id}: of {feed}, {said} is not granted to {rule.audience.text}"
    for name in rule.read_forecasts:
        one = rules.forecasts.get((rule.tenant, name))
        if one is not None and not rules.may_tell(one, rule):
            yield (
                f"rules.{rule.id}: forecast {name} is not made for {rule.audience.text}: see its "
                "`purpose`, `readers` and `plans`"
            )


def _feeds(spec: RuleSpec) -> set[str]:
    feeds = {one.feed for one in spec.watch.values()}
    return feeds | {one.feed for one in spec.windows.values() if one.feed is not None}
