"""The store of a data-sharing server: which there may be, and that one which is away is no reason
not to serve."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from control_plane.store.measured import StoreStatistics
from data_sharing.memory_limits import MemoryLimits, TenantLimits
from data_sharing.settings import read_settings
from data_sharing.wiring.config_checks import checks
from data_sharing.wiring.tenant_records import tenant_quota_records


def refusal_of(check: Callable[[], object]) -> str:
    try:
        check()
    except InvalidInput as error:
        return str(error)
    return ""


LIMITS = TenantLimits(MemoryLimits())


def nothing(tenant: str, bounds: object) -> None:
    pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--store=embedded:x.db"], "embedded store is inside", id="of-one-process"),
        pytest.param(["--store=redis://h"], "no store that Homeport knows", id="unknown"),
        pytest.param(["--store=etcd://u:p@h:1"], "holds a user", id="a-password-in-the-url"),
        pytest.param(["--store=etcd://h:1", "--store-ca=ca.pem"], "etcds://", id="tls-of-nothing"),
        pytest.param(["--store=etcds://h:1", "--store-ca=none.pem"], "none.pem", id="no-such-ca"),
    ],
)
async def test_one_that_cannot_be_is_refused_by_the_start_and_by_the_check(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    settings = read_settings([f"--data-dir={tmp_path / 'data'}", *arguments])
    refusals = [said for check in checks(settings) if (said := refusal_of(check))]
    assert len(refusals) == 1
    assert words in refusals[0]
    statistics = StoreStatistics(clock=time.monotonic)
    with pytest.raises(InvalidInput, match=words):
        async with tenant_quota_records(settings, statistics, nothing, LIMITS):
            pass


async def test_none_is_fine(tmp_path: Path) -> None:
    statistics = StoreStatistics(clock=time.monotonic)
    async with tenant_quota_records(read_settings([]), statistics, nothing, LIMITS) as records:
        assert records is None


async def test_one_that_is_away_is_not_waited_for() -> None:
    statistics = StoreStatistics(clock=time.monotonic)
    settings = read_settings(["--store=etcd://127.0.0.1:1", "--store-user=u", "--store-password=p"])
    async with tenant_quota_records(settings, statistics, nothing, LIMITS, start_s=0.05) as records:
        assert records is not None
        assert not records.status.current
