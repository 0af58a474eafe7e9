"""A dry run, for `homeport rules test`: rules, events and plans from files, decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import MOST_EVENTS_BYTES, name_of, read_text
from control_plane.errors import InvalidInput
from data_sharing.documents import value_of
from data_sharing.feed_key import KeyPath
from data_sharing.management.dry_run import dry_run_rules
from data_sharing.management.simulator import SimulatedStep
from data_sharing.registry.manifest_reader import read_manifest
from data_sharing.rules.compiler import (
    check_document,
    compile_forecast,
    compile_rule,
    parse,
)
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.ruleset import RuleSet

TENANT = "trial"


class _Feeds:
    """Those of the manifests; every feed there could be, where there is no manifest."""

    def __init__(self, manifests: Sequence[Path]) -> None:
        self._any = not manifests
        self._schemas: dict[str, FeedSchema] = {}
        self._keys: dict[str, KeyPath] = {}
        for path in manifests:
            manifest, faults = read_manifest(read_text(path), tenant=TENANT)
            if manifest is None:
                said = "; ".join(f"{one.path} {one.message}".strip() for one in faults)
                raise CommandFailed(f"{name_of(path)}: {said}", ExitCode.USAGE)
            for one in manifest.produces:
                self._schemas[one.type] = FeedSchema(one.type, one.schema)
                self._keys[one.type] = KeyPath.parse(one.key)

    def get(self, feed: str, /) -> FeedSchema | None:
        return FeedSchema(feed, None) if self._any else self._schemas.get(feed)

    def key_of(self, feed: str, event: Mapping[str, Any]) -> str | None:
        path = self._keys.get(feed)
        if path is None:
            return None
        if path.attribute:
            return str(event.get(path.attribute, ""))
        return path.of_data(event.get("data", {}))


def run(
    rules: Path, events: Path, plans: Sequence[Path], manifests: Sequence[Path]
) -> tuple[list[SimulatedStep], tuple[str, ...]]:
    """What came of each event, and warnings of what the rules can fail on. Raises CommandFailed
    or InvalidInput saying which file is at fault, and where."""
    feeds = _Feeds(manifests)
    document, faults = parse(read_text(rules), name_of(rules)), FaultCollector()
    check_document(document)
    forecasts, compiled = {}, []
    for estimate in document.forecasts:
        with faults.gather():
            made = compile_forecast(estimate, tenant=TENANT, schemas=feeds)
            forecasts[estimate.forecast] = made
    for rule in document.rules:
        with faults.gather():
            compiled.append(
                compile_rule(rule, tenant=TENANT, version=1, schemas=feeds, forecasts=forecasts)
            )
    faults.raise_if_any()
    rule_set = RuleSet(compiled, forecasts.values())
    steps = dry_run_rules(
        rule_set,
        TENANT,
        events=_lines(events),
        plans=[value_of(read_text(path), name_of(path)) for path in plans],
        key_of=feeds.key_of,
    )
    return steps, rule_set.warnings


def _lines(path: Path) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    text = read_text(path, most_bytes=MOST_EVENTS_BYTES)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(
                "events", f"{name_of(path)}, line {number}: not JSON: {error}"
            ) from None
    return found
