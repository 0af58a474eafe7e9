"""A document of rules held against the feeds and actions there are: compiled rules and warnings,
or every fault of it. Pure but for compiling; done in a process of its own before it is applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from control_plane.errors import ServiceError
from control_plane.offloading.port import Ask
from data_sharing.decisions import action_check
from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.registry.catalogue import Catalogue
from data_sharing.registry.catalogue_part import catalogue_of, of_names, part_of
from data_sharing.rules import event_cost
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import check_document, compile_forecast, compile_rule, parse
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.rollout import BUCKETS, CANDIDATE
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RulesDocument

CHECK = "check-rules"
ALL_NAMED = 200  # forecasts of a tenant, of which a message can name all
_WORD = re.compile(r"\w+")


class CompiledDocument(NamedTuple):
    """warnings: what its rules can fail on, and what of their actions is not there."""

    rules: list[CompiledRule]
    forecasts: list[CompiledForecast]
    warnings: tuple[str, ...]


def compile_document(
    tenant: str,
    document: RulesDocument,
    versions: Sequence[RuleVersion],
    catalogue: Catalogue,
    known: Mapping[str, CompiledForecast],
) -> CompiledDocument:
    """versions: of its rules. known: forecasts of the tenant besides. Raises InvalidDocument with
    all that is wrong."""
    faults = FaultCollector()
    forecasts: list[CompiledForecast] = []
    for spec in document.forecasts:
        with faults.gather():
            feeds = ReadableFeeds(catalogue, tenant, None)
            forecasts.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
    named = {**known, **{one.spec.forecast: one for one in forecasts}}
    compiled: list[CompiledRule] = []
    for rule in versions:
        with faults.gather():
            compiled.append(compiled_rule(rule, catalogue, named))
    faults.raise_if_any()
    warnings = RuleSet(compiled, forecasts).warnings
    return CompiledDocument(compiled, forecasts, (*warnings, *check_actions(catalogue, compiled)))


def compiled_rule(
    rule: RuleVersion, catalogue: Catalogue, forecasts: Mapping[str, CompiledForecast]
) -> CompiledRule:
    """forecasts: of its tenant, by name. Raises InvalidDocument."""
    return compile_rule(
        rule.spec,
        tenant=rule.tenant,
        version=rule.version,
        schemas=ReadableFeeds(catalogue, rule.tenant, rule.spec.application),
        forecasts=forecasts,
        activation=rule.activation,
    )


def compiled_versions(
    versions: Sequence[RuleVersion],
    catalogue: Catalogue,
    forecasts: Mapping[str, CompiledForecast],
    at_hand: Mapping[tuple[str, int], CompiledRule] = MappingProxyType({}),
) -> tuple[list[CompiledRule], dict[str, ServiceError]]:
    """The versions of one rule that decide, and by slot why others do not compile. Where the new
    one of a rollout does not, the other one acts for all keys. at_hand: by id and version, those
    that need not be compiled again."""
    found: list[CompiledRule] = []
    errors: dict[str, ServiceError] = {}
    for rule in versions:
        known = at_hand.get((rule.spec.rule, rule.version))
        try:
            found.append(
                compiled_rule(rule, catalogue, forecasts)
                if known is None
                else replace(known, activation=rule.activation)
            )
        except ServiceError as error:
            errors[rule.slot] = error
    if any(slot.endswith(CANDIDATE) for slot in errors):
        found = [
            replace(one, activation=replace(one.activation, acts_from=0, acts_to=BUCKETS))
            for one in found
        ]
    return found, errors


def check_actions(catalogue: Catalogue, rules: Iterable[CompiledRule]) -> tuple[str, ...]:
    """Warnings. Raises InvalidDocument where settings can never be taken."""
    faults = FaultCollector()
    warnings: list[str] = []
    for rule in rules:
        found = action_check.of_rule(catalogue, rule)
        for at, what in found.faults:
            faults.add(at, what)
        warnings += (f"{at}: {what}" for at, what in found.warnings)
    faults.raise_if_any()
    return tuple(warnings)


# -- in a process of its own -----------------------------------------------------------


class CheckedDocument(NamedTuple):
    """A document with what it was compiled to."""

    document: RulesDocument
    compiled: CompiledDocument


def check_task(arguments: Any, ask: Ask) -> Any:
    """[tenant, text] to [the document as JSON, warnings, what events can cost its parts]. Asks
    for a part of the catalogue."""
    tenant, text = arguments
    found = read_and_compile(tenant, text, ask)
    costs = [cost for rule in found.compiled.rules for cost in event_cost.of_rule(rule)]
    costs += map(event_cost.of_forecast, found.compiled.forecasts)
    return [
        msgspec.json.encode(found.document),
        list(found.compiled.warnings),
        [[*cost[:-1], list(cost.values)] for cost in costs],
    ]


def read_and_compile(tenant: str, text: str, ask: Ask) -> CheckedDocument:
    """Raises InvalidInput."""
    document = parse(text)
    check_document(document)
    part, specs = ask(_question(document))
    catalogue = catalogue_of(part)
    feeds = ReadableFeeds(catalogue, tenant, None)
    known: dict[str, CompiledForecast] = {}
    for spec in msgspec.json.decode(specs, type=list[ForecastSpec]):
        faults = FaultCollector()
        with faults.gather():  # one whose feed is gone is suspended, and not known
            known[spec.forecast] = compile_forecast(spec, tenant=tenant, schemas=feeds)
    versions = [
        RuleVersion(tenant=tenant, version=1, spec=one, applied_ms=0) for one in document.rules
    ]
    return CheckedDocument(document, compile_document(tenant, document, versions, catalogue, known))


def _question(document: RulesDocument) -> dict[str, list[str]]:
    """What the document names: feeds, applications, and words of which some may be forecasts."""
    feeds = {one.feed for one in document.forecasts}
    applications: set[str] = set()
    words: set[str] = set()
    for rule in document.rules:
        feeds |= {one.feed for one in rule.watch.values()}
        feeds |= {one.feed for one in rule.windows.values() if one.feed is not None}
        applications |= {rule.application or ""}
        applications |= {one.invoke.application for one in rule.do if one.invoke is not None}
        words.update(_WORD.findall(msgspec.json.encode(rule).decode()))
    return {
        "feeds": sorted(feeds), "applications": sorted(applications), "words": sorted(words),
    }  # fmt: skip


def answer(
    question: Mapping[str, list[str]],
    catalogue: Catalogue,
    tenant: str,
    forecasts: Mapping[str, CompiledForecast],
) -> list[Any]:
    """To `read_and_compile`, on the event loop. forecasts: of the tenant that are in force."""
    words = set(question["words"])
    many = len(forecasts) > ALL_NAMED
    specs = [one.spec for name, one in forecasts.items() if not many or name in words]
    feeds = [*question["feeds"], *(spec.feed for spec in specs)]
    versions = of_names(catalogue, tenant, feeds=feeds, applications=question["applications"])
    return [part_of(versions), msgspec.json.encode(specs)]
