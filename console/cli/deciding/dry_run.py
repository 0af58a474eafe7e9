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
from data_sharing.feed_key import MAX_KEY_BYTES, KeyPath
from data_sharing.management.dry_run import SAMPLES, dry_run_rules
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
from data_sharing.schemas import DataSchema

TENANT = "trial"
MOST_TOLD = 50  # samples that are refused


class _Feeds:
    """Those of the manifests; every feed there could be, where there is no manifest."""

    def __init__(self, manifests: Sequence[Path]) -> None:
        self._any = not manifests
        self._schemas: dict[str, FeedSchema] = {}
        self._keys: dict[str, KeyPath] = {}
        self._checks: dict[str, DataSchema] = {}
        for path in manifests:
            manifest, faults = read_manifest(read_text(path), tenant=TENANT)
            if manifest is None:
                said = "; ".join(f"{one.path} {one.message}".strip() for one in faults)
                raise CommandFailed(f"{name_of(path)}: {said}", ExitCode.USAGE)
            for one in manifest.produces:
                self._schemas[one.type] = FeedSchema(one.type, one.schema)
                self._keys[one.type] = KeyPath.parse(one.key)
                self._checks[one.type] = DataSchema(one.schema)

    def get(self, feed: str, /) -> FeedSchema | None:
        return FeedSchema(feed, None) if self._any else self._schemas.get(feed)

    def refusal(self, event: Any) -> str:
        """Why its feed would not take the data of an event that is published; empty: it would,
        or nothing is known of the feed."""
        feed = event.get("type") if isinstance(event, Mapping) else None
        if not isinstance(feed, str) or feed not in self._checks:
            return ""
        check = self._checks[feed]
        data = event.get("data")
        if data is None:
            return "data is missing; an event of a feed carries one JSON object"
        breach = check.breach(data)
        if breach is not None:
            return f"data{breach.pointer}: {breach.message}"
        key = self._keys[feed]
        if key.attribute != "source" and key.of_event(data, event) is None:
            at = key.attribute or "data" + key.pointer.removeprefix("/data")
            return (
                f"{at} is the key of {feed}: give it as text of 1 to {MAX_KEY_BYTES} bytes, or as "
                "a whole number"
            )
        return ""

    def key_of(self, feed: str, event: Mapping[str, Any]) -> str | None:
        path = self._keys.get(feed)
        return path and path.of_event(event.get("data", {}), {"source": SAMPLES, **event})


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
    samples = _lines(events)
    refused = [
        f"{name_of(events)}, line {number}: {why}"
        for number, event in samples
        if (why := feeds.refusal(event))
    ]
    if refused:
        left = len(refused) - MOST_TOLD
        more = [f"… and {left:,} more: {InvalidInput.rest}"] if left > 0 else []
        raise InvalidInput("events", "\n".join(refused[:MOST_TOLD] + more))
    rule_set = RuleSet(compiled, forecasts.values())
    steps = dry_run_rules(
        rule_set,
        TENANT,
        events=[event for _, event in samples],
        plans=[value_of(read_text(path), name_of(path)) for path in plans],
        key_of=feeds.key_of,
    )
    return steps, rule_set.warnings


def _lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Each event with the number of its line."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    text = read_text(path, most_bytes=MOST_EVENTS_BYTES)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((number, msgspec.json.decode(line)))
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(
                "events", f"{name_of(path)}, line {number}: not JSON: {error}"
            ) from None
    return found
