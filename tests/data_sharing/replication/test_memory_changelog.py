"""The changelog that tests use keeps the contract."""

from __future__ import annotations

import pytest

from tests.support.contracts.changelog_contract import ChangeLogContract
from tests.support.fakes.memory_changelog import MemoryChangeLog


@pytest.fixture
def changelog() -> MemoryChangeLog:
    return MemoryChangeLog()


class TestMemory(ChangeLogContract):
    """See ChangeLogContract."""
