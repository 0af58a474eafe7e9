"""A rule service over a registry of rules, for tests, and documents that it takes."""

from __future__ import annotations

import dataclasses

from data_sharing.api.rule_service import RuleService
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.registry.catalogue import Catalogue
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import (
    CATALOGUE,
    TENANT,
    DecisionHarness,
)
from tests.support.fakes.offload import FakeOffload
from tests.support.sharing_parts import read_turns, redaction


def document(*names: str, when: str = "e.data.on") -> str:
    return "rules:\n" + "\n".join(
        f"""
  - rule: {name}
    watch: {{e: {{feed: switched}}}}
    when: {when}
    do: [{{invoke: {{application: lamp, action: blink}}}}]
"""
        for name in names
    )


class Catalogues:
    """The catalogue, which a test can replace."""

    def __init__(self) -> None:
        self.now = CATALOGUE

    def __call__(self) -> Catalogue:
        return self.now


def rule_registry(harness: DecisionHarness, catalogues: Catalogues) -> RuleRegistry:
    """Over the harness, with what it compiles against."""
    return RuleRegistry(
        harness.database, harness.worker, catalogues, FakeOffload(), wall_ms=harness.clock
    )


def rule_service(harness: DecisionHarness, registry: RuleRegistry) -> RuleService:
    """Whose callers may do everything."""
    rollouts = Rollouts(harness.database, registry, harness.worker, wall_ms=harness.clock)
    pauses = Pauses(harness.database, registry, harness.worker, wall_ms=harness.clock)
    return RuleService(
        registry,
        rollouts,
        pauses,
        harness.worker,
        FakeOffload(),
        callers(),
        redaction(harness),
        read_turns(),
    )


async def apply(service: RuleService, text: str, *, dry_run: bool = False) -> list[pb.Rule]:
    request = pb.ApplyRulesRequest(document=text, dry_run=dry_run)
    return list((await service.ApplyRules(request, OPERATOR)).rules)


def replace_fields(catalogue: Catalogue, schema: dict[str, object]) -> Catalogue:
    """The same with another schema of its only feed."""
    version = catalogue.application(TENANT, "lamp")
    assert version is not None
    (feed,) = version.manifest.produces
    manifest = dataclasses.replace(
        version.manifest, produces=(dataclasses.replace(feed, schema=schema),)
    )
    return Catalogue([dataclasses.replace(version, manifest=manifest)])
