"""RuleRegistry: the rules and forecasts of every tenant, applied, retired and found.

A document is read, compiled and checked in a process of its own before anything of it is kept,
against the feeds that its rules may read; it counts from the next event on. What was found to be
sound and cheap enough there is compiled here, rule by rule.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from control_plane.errors import Conflict, NotFound, Refused
from control_plane.offloading.port import Offload
from control_plane.printable import quoted
from data_sharing.database import Database
from data_sharing.decisions import (
    action_check,
    kept_events,
    memory_check,
    memory_tables,
    rule_document,
    rule_tables,
    sharing_check,
)
from data_sharing.decisions.loop_check import loop_warnings
from data_sharing.decisions.new_versions import KnownRule, NextVersion, next_version
from data_sharing.decisions.plan_store import planned_actions
from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.decisions.rule_costs import check_costs
from data_sharing.decisions.rule_document import compiled_rule
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.decisions.rules_in_force import RulesInForce
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.forecasts.spec import LONGEST_MS, ForecastSpec
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules import event_cost, key_reach
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import compile_forecast
from data_sharing.rules.rollout import CANDIDATE
from data_sharing.rules.spec import RulesDocument

log = logging.getLogger(__name__)

MOST_RULES = 20_000  # of a tenant
ATTEMPTS = 3  # at what changes meanwhile


class AppliedRules(NamedTuple):
    """A document's rules as they are now, and what they can fail on, each with its place."""

    versions: list[RuleVersion]
    forecasts: tuple[str, ...]
    warnings: tuple[str, ...]


class KnownRules(NamedTuple):
    """in_force: how many rules of the tenant are; rules: those of a document, by name."""

    in_force: int
    rules: dict[str, KnownRule]


class RuleRegistry:
    """wall_ms: Unix ms. in_force: what the worker decides by."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        catalogue: Callable[[], Catalogue],
        offload: Offload,
        *,
        wall_ms: Callable[[], int],
        keep_events_ms: int = LONGEST_MS,
        spread: bool = False,
    ) -> None:
        """keep_events_ms: how long feeds keep events; spread: keys are, over partitions."""
        self._spread = spread
        self._database = database
        self._keep_events_ms = keep_events_ms
        self._worker = worker
        self._catalogue = catalogue
        self._offload = offload
        self._wall_ms = wall_ms
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.in_force = RulesInForce(database, worker, catalogue)

    @property
    def suspended(self) -> Mapping[tuple[str, str], str]:
        """(tenant, slot), or what a forecast is called, to why."""
        return self.in_force.suspended

    async def apply(
        self, tenant: str, text: str, *, dry_run: bool = False, by: str = ""
    ) -> AppliedRules:
        """A document comes into force, all of it or nothing. by: who applies it. Raises
        InvalidInput, Refused; Conflict where what it builds on changed again and again."""
        async with self.lock(tenant):
            for _ in range(ATTEMPTS):
                catalogue = self._catalogue()
                encoded, warnings, plain = await self._offload.offload(
                    rule_document.CHECK,
                    [tenant, text],
                    tenant=tenant,
                    subject="document",
                    answer=lambda question: self.answer(tenant, question),
                )
                document = msgspec.json.decode(encoded, type=RulesDocument)
                if self._spread:
                    key_reach.check(document)
                kept_events.check(document, self._keep_events_ms)
                memory_check.check(document, tenant, self._worker.state.limits)
                sharing_check.check(tenant, document, self._worker.rules)
                known = self._database.read(partial(_known_rules, tenant=tenant, document=document))
                following = self._following(tenant, document, known)
                versions = [one.version for one in following]
                # In a thread: a tenant may have many rules.
                await asyncio.to_thread(
                    check_costs, tenant, document.forecasts, versions, self._worker.rules,
                    event_cost.from_plain(plain),
                )  # fmt: skip
                compiled, forecasts = await self._compile(tenant, document, versions, catalogue)
                others = [one for one in self._worker.rules.rules.values() if one.tenant == tenant]
                plans = self._database.read(partial(planned_actions, tenant=tenant, limit=200))
                loops = await asyncio.to_thread(loop_warnings, catalogue, compiled, others, plans)
                names = tuple(one.forecast for one in document.forecasts)
                applied = AppliedRules(versions, names, (*warnings, *loops))
                if dry_run:
                    return applied
                if self._catalogue() is not catalogue:
                    continue
                write = partial(
                    self._write, tenant=tenant, document=document, known=known,
                    following=following, compiled=compiled, forecasts=forecasts, by=by,
                )  # fmt: skip
                if await self._database.transact(write):
                    return applied
            raise Conflict("what these rules build on keeps changing; apply them once more")

    def _write(
        self,
        db: sqlite3.Connection,
        *,
        tenant: str,
        document: RulesDocument,
        known: KnownRules,
        following: list[NextVersion],
        compiled: list[CompiledRule],
        forecasts: list[CompiledForecast],
        by: str,
    ) -> bool:
        """In a transaction: whether they are in force. Of an apply whose caller has left the
        transaction may have come in between; then the versions here are of rules that were."""
        if _known_rules(db, tenant=tenant, document=document) != known:
            return False
        begun = {one.version.spec.rule: one.rollout for one in following if one.rollout is not None}
        versions = [one.version for one in following]
        rule_tables.write(db, tenant, versions, document.forecasts, begun, by=by)
        rules = [one.rule for one in document.rules]
        self.in_force.refresh(db, tenant, rules, compiled, forecasts)
        return True

    def answer(self, tenant: str, question: Any) -> list[Any]:
        """To what a task in another process asks about the tenant's feeds and forecasts."""
        return rule_document.answer(
            question, self._catalogue(), tenant, self.in_force.known(tenant)
        )

    def warnings(self, rule: RuleVersion) -> tuple[str, ...]:
        """What a rule in force can fail on, and what of its actions is not there now."""
        compiled = self._worker.rules.rules.get((rule.tenant, rule.slot))
        if compiled is None or compiled.version != rule.version:
            return ()
        return (
            *compiled.warnings,
            *action_check.of_rule(self._catalogue(), compiled).texts,
            *sharing_check.warnings(compiled, self._worker.rules),
        )

    def _following(
        self, tenant: str, document: RulesDocument, now: KnownRules
    ) -> list[NextVersion]:
        """What becomes of the document's rules, were it applied. Raises Refused."""
        in_force, known = now
        now_ms = self._wall_ms()
        found = [next_version(tenant, one, known[one.rule], now_ms) for one in document.rules]
        before = (one.in_force for one in known.values())
        new = sum(one is None or one.retired for one in before)
        if in_force + new > MOST_RULES:
            raise Refused(f"tenant {tenant} may have {MOST_RULES:,} rules; retire some first")
        return found

    async def compiled_alone(self, rule: RuleVersion) -> CompiledRule:
        """A version to be put in force by itself, which was sound when it was applied. Raises
        InvalidDocument, Refused."""
        compiled = compiled_rule(rule, self._catalogue(), self.in_force.known(rule.tenant))
        costs = list(event_cost.of_rule(compiled))
        now = self._worker.rules
        await asyncio.to_thread(check_costs, rule.tenant, (), [rule], now, costs)
        return compiled

    async def _compile(
        self,
        tenant: str,
        document: RulesDocument,
        versions: list[RuleVersion],
        catalogue: Catalogue,
    ) -> tuple[list[CompiledRule], list[CompiledForecast]]:
        """Of a document that was checked, giving way to others after each part. Raises
        InvalidDocument."""
        forecasts: list[CompiledForecast] = []
        feeds = ReadableFeeds(catalogue, tenant, None)
        for spec in document.forecasts:
            forecasts.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
            await asyncio.sleep(0)
        known = self.in_force.known(tenant) | {one.spec.forecast: one for one in forecasts}
        compiled: list[CompiledRule] = []
        for rule in versions:
            compiled.append(compiled_rule(rule, catalogue, known))
            await asyncio.sleep(0)
        return compiled, forecasts

    def lock(self, tenant: str) -> asyncio.Lock:
        """Changes of one tenant's rules are made one after another."""
        return self._changing.setdefault(tenant, asyncio.Lock())

    async def retire(self, tenant: str, rule_id: str) -> RuleVersion:
        """It decides no more, and what it remembers is deleted. Raises NotFound."""
        async with self.lock(tenant):
            rule = self.rule(tenant, rule_id)

            def work(db: sqlite3.Connection) -> None:
                self._worker.begin_anew(db, rule_tables.retire(db, tenant, rule_id))
                self.in_force.refresh(db, tenant, [rule_id])

            await self._database.transact(work)
            return replace(rule, retired=True)

    async def retry(
        self, tenant: str, rule_id: str, *, key: str = "", source: str = ""
    ) -> tuple[RuleVersion, int]:
        """What is parked of a rule is run again from the next event on: all of it, or what is
        parked at a key or for a producer. The rule, and how much there was. Raises NotFound,
        Refused."""
        async with self.lock(tenant):
            rule = self.rule(tenant, rule_id)
            if rule.retired:
                raise Refused(f"rule {rule_id} is retired; apply it again to run it")
            why = self.suspended.get((tenant, rule.slot))
            if why is not None:
                raise Refused(f"rule {rule_id} is suspended, not parked: {why}")

            def work(db: sqlite3.Connection) -> int:
                slots = (rule_id, rule_id + CANDIDATE)
                return sum(self._worker.unpark(db, tenant, one, key, source) for one in slots)

            return rule, await self._database.transact(work)

    def rule(self, tenant: str, rule_id: str, version: int = 0) -> RuleVersion:
        """One version of a rule; 0: the one in force. Raises NotFound."""
        found = self._database.read(lambda db: rule_tables.get(db, tenant, rule_id, version))
        if found is None:
            raise NotFound(
                f"tenant {tenant} has no rule {quoted(rule_id)}" + f" {version}" * bool(version)
            )
        return found

    def memory_used(self, tenant: str, source: str) -> dict[str, int]:
        """What rules and forecasts of a tenant remember, as far as is committed, by the name of
        its bound; and what events of that source have made, where one is given."""
        return self._database.read(lambda db: memory_tables.used(db, tenant, source))

    def rules(self, tenant: str, *, with_retired: bool = False) -> list[RuleVersion]:
        """The versions in force, by id."""
        found = self._database.read(lambda db: rule_tables.of_tenant(db, tenant))
        return [rule for rule in found if with_retired or not rule.retired]

    def forecasts(self, tenant: str) -> list[ForecastSpec]:
        """By name."""
        return self._database.read(lambda db: rule_tables.forecasts_of_tenant(db, tenant))


def _known_rules(db: sqlite3.Connection, tenant: str, document: RulesDocument) -> KnownRules:
    known = {one.rule: _known_rule(db, tenant, one.rule) for one in document.rules}
    return KnownRules(rule_tables.count_in_force(db, tenant), known)


def _known_rule(db: sqlite3.Connection, tenant: str, rule_id: str) -> KnownRule:
    deciding = rule_tables.deciding(db, tenant, rule_id)
    return KnownRule(
        in_force=rule_tables.get(db, tenant, rule_id),
        candidate=next((one for one in deciding if one.activation.candidate), None),
        newest=rule_tables.newest(db, tenant, rule_id),
    )
