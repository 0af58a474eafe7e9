"""RuleRegistry: the rules and forecasts of every tenant, in all their versions, and the set of them
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
from dataclasses import dataclass, replace

import msgspec

from control_plane.errors import NotFound, Refused, ServiceError
from data_sharing.database import Database, Schema
from data_sharing.decisions import worker_tables
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.delivery.outcome_events import OUTCOME_FEED
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.registry.access import may_read
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import (
    check_document,
    compile_forecast,
    compile_rule,
    parse,
)
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RulesDocument, RuleSpec

log = logging.getLogger(__name__)

MOST_RULES = 20_000  # of a tenant
SCHEMA = Schema(
    part="rules",
    steps=(
        (
            """CREATE TABLE rule_versions (
                 tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                 spec BLOB NOT NULL, applied_ms INTEGER NOT NULL,
                 PRIMARY KEY (tenant, id, version)) WITHOUT ROWID""",
            """CREATE TABLE rules (
                 tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                 retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id)) WITHOUT ROWID""",
            """CREATE TABLE forecasts (
                 tenant TEXT NOT NULL, name TEXT NOT NULL, spec BLOB NOT NULL,
                 PRIMARY KEY (tenant, name)) WITHOUT ROWID""",
        ),
    ),
)
_encode = msgspec.json.Encoder(order="deterministic").encode
_rule = msgspec.json.Decoder(RuleSpec).decode
_forecast = msgspec.json.Decoder(ForecastSpec).decode
_READ = (
    "SELECT r.tenant, v.version, v.spec, v.applied_ms, r.retired FROM rules r"
    " JOIN rule_versions v ON v.tenant = r.tenant AND v.id = r.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRule:
    """One version of a rule."""

    tenant: str
    version: int
    spec: RuleSpec
    applied_ms: int
    retired: bool = False


class _Feeds:
    """The feeds that a rule may read: of its application, or all of its tenant."""

    def __init__(self, catalogue: Catalogue, tenant: str, application: str | None) -> None:
        self._catalogue = catalogue
        self._tenant = tenant
        self._application = application

    def get(self, feed: str, /) -> FeedSchema | None:
        if feed == OUTCOME_FEED and not self._application:
            return FeedSchema(feed, None)
        found = self._catalogue.feed(self._tenant, feed)
        if found is None:
            return None
        if (
            self._application
            and not may_read(
                self._catalogue, tenant=self._tenant, application=self._application, feed=feed
            ).allowed
        ):
            return None
        return FeedSchema(feed, found.schema)


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

        def read(db: sqlite3.Connection) -> tuple[list[KeptRule], list[tuple[str, ForecastSpec]]]:
            rows = db.execute(f"{_READ} AND v.version = r.version WHERE r.retired = 0")
            forecasts = db.execute("SELECT tenant, spec FROM forecasts").fetchall()
            return [_kept(row) for row in rows], [(of, _forecast(spec)) for of, spec in forecasts]

        rules, forecasts = self._database.read(read)
        catalogue = self._catalogue()
        estimated: list[CompiledForecast] = []
        compiled: list[CompiledRule] = []
        self.suspended = {}
        for tenant, spec in forecasts:
            try:
                feeds = _Feeds(catalogue, tenant, None)
                estimated.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
            except ServiceError as error:
                self.suspended[tenant, f"forecast {spec.forecast}"] = error.message
        for rule in rules:
            try:
                compiled.append(_compiled(rule, catalogue, estimated))
            except ServiceError as error:
                self.suspended[rule.tenant, rule.spec.rule] = error.message
        for (tenant, name), why in self.suspended.items():
            log.warning("%s of tenant %s is suspended: %s", name, tenant, why)
        self._worker.rules = RuleSet(compiled, estimated)

    async def apply(self, tenant: str, text: str, *, dry_run: bool = False) -> list[KeptRule]:
        """A document comes into force, all of it or nothing. Its rules, as they are now.
        Raises InvalidInput, Refused."""
        document = parse(text)
        check_document(document)
        async with self._changing:
            before = {rule.spec.rule: rule for rule in self.rules(tenant, with_retired=True)}
            kept = [self._next(tenant, spec, before.get(spec.rule)) for spec in document.rules]
            compiled, estimated = self.compile(tenant, document, kept)
            standing = sum(not rule.retired for rule in before.values())
            if standing + len(kept) > MOST_RULES + len(before):
                raise Refused(f"tenant {tenant} may have {MOST_RULES:,} rules; retire some first")
            if not dry_run:
                await self._database.transact(
                    lambda db: _write(db, tenant, kept, document.forecasts)
                )
                self._worker.forget()  # a parked rule runs again
                self._worker.rules = self._worker.rules.with_changes(compiled, estimated)
                for rule in kept:
                    self.suspended.pop((tenant, rule.spec.rule), None)
            return kept

    def compile(
        self, tenant: str, document: RulesDocument, kept: Sequence[KeptRule]
    ) -> tuple[list[CompiledRule], list[CompiledForecast]]:
        """Raises InvalidDocument with all that is wrong."""
        catalogue, faults = self._catalogue(), FaultCollector()
        estimated: list[CompiledForecast] = []
        for spec in document.forecasts:
            with faults.gather():
                feeds = _Feeds(catalogue, tenant, None)
                estimated.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
        known = {one.spec.forecast: one for one in self._worker.rules.forecasts.values()
                 if one.tenant == tenant}  # fmt: skip
        known |= {one.spec.forecast: one for one in estimated}
        compiled: list[CompiledRule] = []
        for rule in kept:
            with faults.gather():
                compiled.append(_compiled(rule, catalogue, list(known.values())))
        faults.raise_if_any()
        return compiled, estimated

    def sample(self, tenant: str, text: str) -> RuleSet:
        """A document alone, compiled against the feeds there are, to be tried. Raises
        InvalidInput."""
        document = parse(text)
        check_document(document)
        kept = [KeptRule(tenant=tenant, version=1, spec=one, applied_ms=0)
                for one in document.rules]  # fmt: skip
        return RuleSet(*self.compile(tenant, document, kept))

    def _next(self, tenant: str, spec: RuleSpec, before: KeptRule | None) -> KeptRule:
        if before is not None and before.spec == spec:
            return replace(before, retired=False)
        version = before.version + 1 if before is not None else 1
        return KeptRule(tenant=tenant, version=version, spec=spec, applied_ms=self._wall_ms())

    async def retire(self, tenant: str, rule_id: str) -> KeptRule:
        """It no longer decides, and what it remembers is let go. Raises NotFound."""
        async with self._changing:
            rule = self.rule(tenant, rule_id)

            def work(db: sqlite3.Connection) -> None:
                db.execute(
                    "UPDATE rules SET retired = 1 WHERE tenant = ? AND id = ?", (tenant, rule_id)
                )
                worker_tables.retire(db, tenant, rule_id)

            await self._database.transact(work)
            self._worker.forget()
            self._worker.rules = self._worker.rules.with_changes(retired=[(tenant, rule_id)])
            return replace(rule, retired=True)

    def rule(self, tenant: str, rule_id: str, version: int = 0) -> KeptRule:
        """One version of a rule; 0: the newest. Raises NotFound."""
        of = "v.version = ?" if version else "v.version = r.version"
        values = (tenant, rule_id, version) if version else (tenant, rule_id)
        row = self._database.read(
            lambda db: db.execute(
                f"{_READ} WHERE r.tenant = ? AND r.id = ? AND {of}", values
            ).fetchone()
        )
        if row is None:
            raise NotFound(
                f"tenant {tenant} has no rule {rule_id!r}" + f" {version}" * bool(version)
            )
        return _kept(row)

    def rules(self, tenant: str, *, with_retired: bool = False) -> list[KeptRule]:
        """The newest versions, by id."""
        rows = self._database.read(
            lambda db: db.execute(
                f"{_READ} AND v.version = r.version WHERE r.tenant = ? ORDER BY r.id", (tenant,)
            ).fetchall()
        )
        return [rule for rule in map(_kept, rows) if with_retired or not rule.retired]

    def forecasts(self, tenant: str) -> list[ForecastSpec]:
        """By name."""
        rows = self._database.read(
            lambda db: db.execute(
                "SELECT spec FROM forecasts WHERE tenant = ? ORDER BY name", (tenant,)
            ).fetchall()
        )
        return [_forecast(spec) for (spec,) in rows]


def _compiled(
    rule: KeptRule, catalogue: Catalogue, forecasts: Sequence[CompiledForecast]
) -> CompiledRule:
    """Raises InvalidDocument."""
    return compile_rule(
        rule.spec,
        tenant=rule.tenant,
        version=rule.version,
        schemas=_Feeds(catalogue, rule.tenant, rule.spec.application),
        forecasts={one.spec.forecast: one for one in forecasts if one.tenant == rule.tenant},
    )


def _write(
    db: sqlite3.Connection,
    tenant: str,
    rules: Sequence[KeptRule],
    forecasts: Sequence[ForecastSpec],
) -> None:
    for rule in rules:
        name = rule.spec.rule
        db.execute(
            "INSERT OR IGNORE INTO rule_versions VALUES (?, ?, ?, ?, ?)",
            (tenant, name, rule.version, _encode(rule.spec), rule.applied_ms),
        )
        db.execute("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, 0)", (tenant, name, rule.version))
        db.execute(
            "DELETE FROM cells WHERE tenant = ? AND kind = 'health' AND name = ?", (tenant, name)
        )
    for spec in forecasts:
        db.execute(
            "INSERT OR REPLACE INTO forecasts VALUES (?, ?, ?)",
            (tenant, spec.forecast, _encode(spec)),
        )


def _kept(row: tuple[str, int, bytes, int, int]) -> KeptRule:
    tenant, version, spec, applied_ms, retired = row
    return KeptRule(
        tenant=tenant, version=version, spec=_rule(spec), applied_ms=applied_ms,
        retired=bool(retired),
    )  # fmt: skip
