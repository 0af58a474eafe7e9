"""Disclosure: which rules' values operators may see, in decisions, instructions, dead letters and
explanations.

A rule's values are shown where operators may read, for the rule's purpose, every field that it
reads of feeds with a policy. Whose event it was is not asked here, so a grant to operators that
rests on consent does not count. What is not shown is left out when it is read, by the policies of
then: what was decided before a policy came is covered by it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.fields_read import fields_estimated, fields_read
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RuleSpec
from data_sharing.sharing.audience import OPERATORS, Audience
from data_sharing.sharing.fields import Path

FindSpec = Callable[[str, str, int], RuleSpec | None]
"""(tenant, rule, version; 0 for the newest)."""


class Disclosure:
    """rules: in force; find_spec: of versions that are not."""

    def __init__(self, rules: Callable[[], RuleSet], find_spec: FindSpec) -> None:
        self._rules, self._find_spec = rules, find_spec

    def governed(self, tenant: str, rule: str, version: int = 0) -> bool:
        """Whether a rule reads a feed with a policy, itself or through a forecast."""
        if not rule or not self._rules().policies:
            return False
        compiled = self._compiled(tenant, rule, version)
        if compiled:
            return any(map(self._read, compiled))
        spec = self._find_spec(tenant, rule, version)
        return spec is None or self._may_read(tenant, spec)

    def shows(self, tenant: str, rule: str, version: int = 0) -> bool:
        """Whether operators may see what it read, and what it made of that."""
        if not self.governed(tenant, rule, version):
            return True
        compiled = self._compiled(tenant, rule, version)
        if not compiled:  # nobody knows what it read
            return False
        policies = self._rules().policies
        for feed, audience, paths in (read for one in compiled for read in self._read(one)):
            operators = Audience(frozenset((OPERATORS,)), audience.purpose)
            view = policies.view(tenant, feed, operators)
            selection = None if view is None else view.selection(())
            if selection is None or not all(map(selection.shows, paths)):
                return False
        return True

    def _compiled(self, tenant: str, rule: str, version: int) -> list[CompiledRule]:
        """Those that decide; version 0: of all versions."""
        found = self._rules().versions(tenant, rule)
        return [one for one in found if version in (0, one.version)]

    def _read(self, rule: CompiledRule) -> list[tuple[str, Audience, set[Path]]]:
        """What it reads of feeds with a policy."""
        rules = self._rules()
        found = [(feed, rule.audience, paths) for feed, paths in fields_read(rule).items()]
        for name in rule.read_forecasts:
            one = rules.forecasts.get((rule.tenant, name))
            if one is not None:
                found.append((one.spec.feed, one.audience, fields_estimated(one)))
        return [one for one in found if rules.policies.get(rule.tenant, one[0]) is not None]

    def _may_read(self, tenant: str, spec: RuleSpec) -> bool:
        """Of a version that is not in force: whether it may have."""
        rules = self._rules()
        feeds = {one.feed for one in spec.watch.values()}
        feeds |= {one.feed for one in spec.windows.values() if one.feed is not None}
        text = msgspec.json.encode(spec)
        feeds |= {
            one.spec.feed
            for one in rules.forecasts.values()
            if one.tenant == tenant and one.spec.forecast.encode() in text
        }
        return any(rules.policies.get(tenant, feed) is not None for feed in feeds)
