"""The rule service over a registry of rules, with a worker behind it; each test has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_sharing.api.rule_service import RuleService
from data_sharing.decisions.rule_registry import RuleRegistry
from tests.support.decisions_harness import DecisionHarness, decision_harness
from tests.support.rule_services import Catalogues, rule_registry, rule_service


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


@pytest.fixture
def catalogues() -> Catalogues:
    return Catalogues()


@pytest.fixture
def registry(harness: DecisionHarness, catalogues: Catalogues) -> RuleRegistry:
    return rule_registry(harness, catalogues)


@pytest.fixture
def service(harness: DecisionHarness, registry: RuleRegistry) -> RuleService:
    return rule_service(harness, registry)
