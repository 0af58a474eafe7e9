"""RulesInForce: the set of rules and forecasts that decides is what the tables say.

Whoever changes the tables calls `refresh` in the same transaction, behind its changes: so whatever
is decided after them, in that transaction already, is decided by what they have made, also where
the caller waits no more. A change that is undone is undone here as well. An application's rule
whose feed is no longer shared with it, or no longer there, is suspended until it is again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from control_plane.errors import ServiceError
from data_sharing.database import Database
from data_sharing.decisions import rule_tables
from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.decisions.rule_document import compiled_versions
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import compile_forecast
from data_sharing.rules.rollout import CANDIDATE
from data_sharing.rules.ruleset import RuleSet

log = logging.getLogger(__name__)


class _Before(NamedTuple):
    """What was so before the transaction that is under way changed it, and whose rules it did."""

    rules: RuleSet
    followed: Catalogue
    touched: dict[str, tuple[set[str], set[str]]]  # by tenant: rules and forecasts


class RulesInForce:
    """The worker decides by them. catalogue: as it is now."""

    def __init__(
        self, database: Database, worker: DecisionWorker, catalogue: Callable[[], Catalogue]
    ) -> None:
        self._database = database
        self._worker = worker
        self._catalogue = catalogue
        self._before: _Before | None = None  # while a transaction is under way that changed any
        self.suspended: dict[tuple[str, str], str] = {}  # to why
        database.on_commit.append(self._committed)
        database.on_undo.append(self._undone)
        self.load()

    def load(self) -> None:
        """Everything anew from the database; what does not compile any more is suspended."""
        rules, forecasts = self._database.read(
            lambda db: (rule_tables.deciding(db), rule_tables.forecasts(db))
        )
        catalogue = self._followed = self._catalogue()
        compiled_forecasts: list[CompiledForecast] = []
        compiled: list[CompiledRule] = []
        self.suspended = {}
        for tenant, spec in forecasts:
            try:
                feeds = ReadableFeeds(catalogue, tenant, None)
                compiled_forecasts.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
            except ServiceError as error:
                self.suspended[tenant, f"forecast {spec.forecast}"] = error.message
        known: dict[str, dict[str, CompiledForecast]] = defaultdict(dict)
        for one in compiled_forecasts:
            known[one.tenant][one.spec.forecast] = one
        for (tenant, _), versions in _by_rule(rules):
            made, errors = compiled_versions(versions, catalogue, known[tenant])
            compiled += made
            self.suspended |= {(tenant, slot): why.message for slot, why in errors.items()}
        for (tenant, name), why in self.suspended.items():
            log.warning("%s of tenant %s is suspended: %s", name, tenant, why)
        before = self._worker.rules
        self._worker.replace_rules(
            RuleSet(compiled, compiled_forecasts, before.policies, before.most_hops)
        )

    def known(self, tenant: str) -> dict[str, CompiledForecast]:
        """The tenant's forecasts that are in force, by name."""
        return {
            one.spec.forecast: one
            for one in self._worker.rules.forecasts.values()
            if one.tenant == tenant
        }

    # -- changes of the tables ---------------------------------------------------------

    def refresh(
        self,
        db: sqlite3.Connection,
        tenant: str,
        rule_ids: Iterable[str],
        compiled: Iterable[CompiledRule] = (),
        forecasts: Sequence[CompiledForecast] = (),
    ) -> None:
        """In a transaction, behind its changes: these rules decide from here on as the tables say,
        and so do the forecasts. compiled: of versions that have not decided yet."""
        if self._before is None:
            self._before = _Before(self._worker.rules, self._followed, {})
        names = list(dict.fromkeys(rule_ids))
        touched = self._before.touched.setdefault(tenant, (set(), set()))
        touched[0].update(names)
        touched[1].update(one.spec.forecast for one in forecasts)
        versions = [one for name in names for one in self._worker.rules.versions(tenant, name)]
        self._put(db, tenant, names, _by_version(versions) | _by_version(compiled), forecasts)

    def _put(
        self,
        db: sqlite3.Connection,
        tenant: str,
        rule_ids: Iterable[str],
        at_hand: Mapping[tuple[str, int], CompiledRule],
        forecasts: Sequence[CompiledForecast],
        ended: Sequence[str] = (),
    ) -> None:
        """at_hand: by id and version, what need not be compiled; ended: forecasts."""
        rules, catalogue = self._worker.rules, self._catalogue()
        known = self.known(tenant) | {one.spec.forecast: one for one in forecasts}
        known = {name: one for name, one in known.items() if name not in ended}
        made: list[CompiledRule] = []
        gone: set[tuple[str, str]] = set()
        for rule_id in rule_ids:
            for one in rules.versions(tenant, rule_id):
                gone.add((tenant, one.slot))
            versions = rule_tables.deciding(db, tenant, rule_id)
            found, errors = compiled_versions(versions, catalogue, known, at_hand)
            made += found
            for slot in (rule_id, rule_id + CANDIDATE):
                self.suspended.pop((tenant, slot), None)
            for slot, error in errors.items():
                self._suspend((tenant, slot), error)
        gone -= {(tenant, one.slot) for one in made}
        names = [(tenant, name) for name in ended]
        self._worker.replace_rules(rules.with_changes(made, forecasts, gone, names))

    def _again(self, db: sqlite3.Connection, before: _Before) -> None:
        """What was touched decides as the tables say now; where the catalogue is another one
        meanwhile, all of it is compiled anew."""
        anew = self._followed is not before.followed
        for tenant, (rule_ids, names) in before.touched.items():
            changed, ended = self._forecasts_again(db, tenant, names, before.rules, anew=anew)
            sets = [before.rules]
            if not (changed or ended):  # what is compiled now reads the right forecasts
                sets.append(self._worker.rules)
            at_hand = _by_version(
                one
                for rules in ([] if anew else sets)
                for name in rule_ids
                for one in rules.versions(tenant, name)
            )
            self._put(db, tenant, sorted(rule_ids), at_hand, changed, ended)

    def _forecasts_again(
        self, db: sqlite3.Connection, tenant: str, names: set[str], before: RuleSet, *, anew: bool
    ) -> tuple[list[CompiledForecast], list[str]]:
        """Those that are others than the ones that decide now, and those that are gone."""
        if not names:
            return [], []
        specs = {one.forecast: one for one in rule_tables.forecasts_of_tenant(db, tenant)}
        feeds = ReadableFeeds(self._catalogue(), tenant, None)
        changed: list[CompiledForecast] = []
        ended: list[str] = []
        for name in sorted(names):
            spec, now = specs.get(name), self._worker.rules.forecasts.get((tenant, name))
            was = before.forecasts.get((tenant, name))
            if spec is None:
                ended.append(name)
            elif not anew and now is not None and now.spec == spec:
                continue
            elif not anew and was is not None and was.spec == spec:
                changed.append(was)
            else:
                try:
                    changed.append(compile_forecast(spec, tenant=tenant, schemas=feeds))
                except ServiceError as error:
                    ended.append(name)
                    self._suspend((tenant, f"forecast {name}"), error)
        return changed, ended

    def _committed(self) -> None:
        before, self._before = self._before, None
        if before is not None and self._followed is not before.followed:
            # What was followed meanwhile was so with the tables as they were before.
            self._database.read(partial(self._again, before=before))

    def _undone(self) -> None:
        """Some work of the transaction that is under way was, or all of it: maybe one that has
        changed rules. What the connection that writes sees is so in either case."""
        before = self._before
        if not self._database.writer.in_transaction:
            self._before = None
        if before is not None:
            self._again(self._database.writer, before)

    # -- changes of the catalogue ------------------------------------------------------

    def follow(self, catalogue: Catalogue) -> None:
        """The catalogue is this one now. What reads a feed that is another than it was, or was
        suspended, is compiled anew, of the tenants whose applications changed; the rest stays."""
        before, self._followed = self._followed, catalogue
        for tenant in sorted(catalogue.tenants_changed(before)):
            self._follow(tenant, before, catalogue)

    def _follow(self, tenant: str, before: Catalogue, catalogue: Catalogue) -> None:
        specs = self._database.read(lambda db: rule_tables.forecasts_of_tenant(db, tenant))
        ours = ReadableFeeds(before, tenant, None), ReadableFeeds(catalogue, tenant, None)
        forecasts: list[CompiledForecast] = []
        ended: list[tuple[str, str]] = []
        touched: set[str] = set()
        for spec in specs:
            name = tenant, f"forecast {spec.forecast}"
            same = ours[0].produced(spec.feed) == ours[1].produced(spec.feed)
            if same and name not in self.suspended:
                continue
            touched.add(spec.forecast)
            try:
                forecasts.append(compile_forecast(spec, tenant=tenant, schemas=ours[1]))
                self.suspended.pop(name, None)
            except ServiceError as error:
                ended.append((tenant, spec.forecast))
                self._suspend(name, error)
        known = {
            name: one for name, one in self.known(tenant).items() if (tenant, name) not in ended
        } | {one.spec.forecast: one for one in forecasts}
        compiled: list[CompiledRule] = []
        gone: list[tuple[str, str]] = []
        rows = self._database.read(lambda db: rule_tables.deciding(db, tenant))
        for _, versions in _by_rule(rows):
            if not any(
                (tenant, rule.slot) in self.suspended
                or self._concerned(rule, touched, before, catalogue)
                for rule in versions
            ):
                continue
            made, errors = compiled_versions(versions, catalogue, known)
            compiled += made
            for rule in versions:
                self.suspended.pop((tenant, rule.slot), None)
            for slot, why in errors.items():
                gone.append((tenant, slot))
                self._suspend((tenant, slot), why)
        changed = self._worker.rules.with_changes(compiled, forecasts, gone, ended)
        self._worker.replace_rules(changed)

    def _concerned(
        self, rule: RuleVersion, forecasts: set[str], before: Catalogue, catalogue: Catalogue
    ) -> bool:
        """Whether a rule in force reads one of the forecasts, or a feed that is another now."""
        compiled = self._worker.rules.rules.get((rule.tenant, rule.slot))
        if compiled is None or forecasts & compiled.read_forecasts.keys():
            return True
        was, now = (
            ReadableFeeds(one, rule.tenant, rule.spec.application) for one in (before, catalogue)
        )
        feeds = {one.feed for one in compiled.inputs.values()}
        feeds |= {one.feed for one in compiled.windows.values()}
        feeds |= {self._worker.rules.forecasts[rule.tenant, name].spec.feed
                  for name in compiled.read_forecasts}  # fmt: skip
        return any(was.produced(feed) != now.produced(feed) for feed in feeds)

    def _suspend(self, name: tuple[str, str], error: ServiceError) -> None:
        if self.suspended.get(name) != error.message:
            log.warning("%s of tenant %s is suspended: %s", name[1], name[0], error.message)
        self.suspended[name] = error.message


def _by_version(rules: Iterable[CompiledRule]) -> dict[tuple[str, int], CompiledRule]:
    """By id and version."""
    return {(one.id, one.version): one for one in rules}


def _by_rule(
    versions: Iterable[RuleVersion],
) -> Iterator[tuple[tuple[str, str], list[RuleVersion]]]:
    """The versions of each rule, by tenant and id; they stand next to each other."""
    for name, those in groupby(versions, key=lambda one: (one.tenant, one.spec.rule)):
        yield name, list(those)
