"""RuleRegistry: the rules and forecasts of every tenant that are in force, and the set of them
that decides.

A document is compiled before anything of it is kept, against the feeds that its rules may
read; it counts from the next event on. An application's rule whose feed is no longer shared
with it, or no longer there, is suspended until it is again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from control_plane.errors import NotFound, Refused, ServiceError
from data_sharing.database import Database
from data_sharing.decisions import action_check, rule_tables
from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import (
    check_document,
    compile_forecast,
    compile_rule,
    parse,
)
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RulesDocument, RuleSpec

log = logging.getLogger(__name__)

MOST_RULES = 20_000  # of a tenant


class AppliedRules(NamedTuple):
    """A document's rules as they are now, and what they can fail on, each with its place."""

    versions: list[RuleVersion]
    warnings: tuple[str, ...]


class RuleRegistry:
    """wall_ms: Unix ms. The worker decides by what is in force here."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        catalogue: Callable[[], Catalogue],
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._worker = worker
        self._catalogue = catalogue
        self._wall_ms = wall_ms
        self._changing = asyncio.Lock()
        self.suspended: dict[tuple[str, str], str] = {}  # to why
        self.load()

    def load(self) -> None:
        """Everything anew from the database; what does not compile any more is suspended."""
        rules, forecasts = self._database.read(
            lambda db: (rule_tables.in_force(db), rule_tables.forecasts(db))
        )
        catalogue = self._catalogue()
        compiled_forecasts: list[CompiledForecast] = []
        compiled: list[CompiledRule] = []
        self.suspended = {}
        for tenant, spec in forecasts:
            try:
                feeds = ReadableFeeds(catalogue, tenant, None)
                compiled_forecasts.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
            except ServiceError as error:
                self.suspended[tenant, f"forecast {spec.forecast}"] = error.message
        for rule in rules:
            try:
                compiled.append(_compiled(rule, catalogue, compiled_forecasts))
            except ServiceError as error:
                self.suspended[rule.tenant, rule.spec.rule] = error.message
        for (tenant, name), why in self.suspended.items():
            log.warning("%s of tenant %s is suspended: %s", name, tenant, why)
        self._worker.replace_rules(RuleSet(compiled, compiled_forecasts))

    async def apply(self, tenant: str, text: str, *, dry_run: bool = False) -> AppliedRules:
        """A document comes into force, all of it or nothing. Raises InvalidInput, Refused."""
        document = parse(text)
        check_document(document)
        async with self._changing:
            before = {rule.spec.rule: rule for rule in self.rules(tenant, with_retired=True)}
            versions = [self._next(tenant, spec, before.get(spec.rule)) for spec in document.rules]
            compiled, forecasts = self.compile(tenant, document, versions)
            warnings = (*RuleSet(compiled, forecasts).warnings, *self._check_actions(compiled))
            in_force = sum(not rule.retired for rule in before.values())
            if in_force + len(versions) > MOST_RULES + len(before):
                raise Refused(f"tenant {tenant} may have {MOST_RULES:,} rules; retire some first")
            if not dry_run:
                await self._database.transact(
                    lambda db: rule_tables.write(db, tenant, versions, document.forecasts)
                )
                self._worker.replace_rules(self._worker.rules.with_changes(compiled, forecasts))
                for rule in versions:
                    self.suspended.pop((tenant, rule.spec.rule), None)
            return AppliedRules(versions, warnings)

    def warnings(self, rule: RuleVersion) -> tuple[str, ...]:
        """What a rule in force can fail on, and what of its actions is not there now."""
        compiled = self._worker.rules.rules.get((rule.tenant, rule.spec.rule))
        if compiled is None or compiled.version != rule.version:
            return ()
        return (*compiled.warnings, *action_check.of_rule(self._catalogue(), compiled).texts)

    def _check_actions(self, rules: Sequence[CompiledRule]) -> tuple[str, ...]:
        """Warnings. Raises InvalidDocument where settings can never be taken."""
        catalogue, faults = self._catalogue(), FaultCollector()
        warnings: list[str] = []
        for rule in rules:
            found = action_check.of_rule(catalogue, rule)
            for at, what in found.faults:
                faults.add(at, what)
            warnings += (f"{at}: {what}" for at, what in found.warnings)
        faults.raise_if_any()
        return tuple(warnings)

    def compile(
        self, tenant: str, document: RulesDocument, versions: Sequence[RuleVersion]
    ) -> tuple[list[CompiledRule], list[CompiledForecast]]:
        """Raises InvalidDocument with all that is wrong."""
        catalogue, faults = self._catalogue(), FaultCollector()
        forecasts: list[CompiledForecast] = []
        for spec in document.forecasts:
            with faults.gather():
                feeds = ReadableFeeds(catalogue, tenant, None)
                forecasts.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
        known = {one.spec.forecast: one for one in self._worker.rules.forecasts.values()
                 if one.tenant == tenant}  # fmt: skip
        known |= {one.spec.forecast: one for one in forecasts}
        compiled: list[CompiledRule] = []
        for rule in versions:
            with faults.gather():
                compiled.append(_compiled(rule, catalogue, list(known.values())))
        faults.raise_if_any()
        return compiled, forecasts

    def sample(self, tenant: str, text: str) -> RuleSet:
        """A document alone, compiled against the feeds there are, to be tried. Raises
        InvalidInput."""
        document = parse(text)
        check_document(document)
        versions = [RuleVersion(tenant=tenant, version=1, spec=one, applied_ms=0)
                    for one in document.rules]  # fmt: skip
        return RuleSet(*self.compile(tenant, document, versions))

    def _next(self, tenant: str, spec: RuleSpec, before: RuleVersion | None) -> RuleVersion:
        if before is not None and before.spec == spec:
            return replace(before, retired=False)
        version = before.version + 1 if before is not None else 1
        return RuleVersion(tenant=tenant, version=version, spec=spec, applied_ms=self._wall_ms())

    async def retire(self, tenant: str, rule_id: str) -> RuleVersion:
        """It decides no more, and what it remembers is deleted. Raises NotFound."""
        async with self._changing:
            rule = self.rule(tenant, rule_id)

            def work(db: sqlite3.Connection) -> None:
                rule_tables.retire(db, tenant, rule_id)

            await self._database.transact(work)
            self._worker.replace_rules(self._worker.rules.with_changes(retired=[(tenant, rule_id)]))
            return replace(rule, retired=True)

    async def retry(
        self, tenant: str, rule_id: str, *, key: str = "", source: str = ""
    ) -> tuple[RuleVersion, int]:
        """What is parked of a rule is run again from the next event on: all of it, or what is
        parked at a key or for a producer. The rule, and how much there was. Raises NotFound,
        Refused."""
        async with self._changing:
            rule = self.rule(tenant, rule_id)
            if rule.retired:
                raise Refused(f"rule {rule_id} is retired; apply it again to run it")
            why = self.suspended.get((tenant, rule_id))
            if why is not None:
                raise Refused(f"rule {rule_id} is suspended, not parked: {why}")

            def work(db: sqlite3.Connection) -> int:
                return self._worker.unpark(db, tenant, rule_id, key, source)

            return rule, await self._database.transact(work)

    def rule(self, tenant: str, rule_id: str, version: int = 0) -> RuleVersion:
        """One version of a rule; 0: the newest. Raises NotFound."""
        found = self._database.read(lambda db: rule_tables.get(db, tenant, rule_id, version))
        if found is None:
            raise NotFound(
                f"tenant {tenant} has no rule {rule_id!r}" + f" {version}" * bool(version)
            )
        return found

    def rules(self, tenant: str, *, with_retired: bool = False) -> list[RuleVersion]:
        """The newest versions, by id."""
        found = self._database.read(lambda db: rule_tables.of_tenant(db, tenant))
        return [rule for rule in found if with_retired or not rule.retired]

    def forecasts(self, tenant: str) -> list[ForecastSpec]:
        """By name."""
        return self._database.read(lambda db: rule_tables.forecasts_of_tenant(db, tenant))


def _compiled(
    rule: RuleVersion, catalogue: Catalogue, forecasts: Sequence[CompiledForecast]
) -> CompiledRule:
    """Raises InvalidDocument."""
    return compile_rule(
        rule.spec,
        tenant=rule.tenant,
        version=rule.version,
        schemas=ReadableFeeds(catalogue, rule.tenant, rule.spec.application),
        forecasts={one.spec.forecast: one for one in forecasts if one.tenant == rule.tenant},
    )
