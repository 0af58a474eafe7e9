"""Executables are submissions like others only where an operator has switched them on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import Refused
from data_sharing.database import Database
from data_sharing.platforms.settings import read_settings as platform_settings
from data_sharing.registry import tables
from data_sharing.registry.artifacts import Artifacts
from data_sharing.registry.registry import Registry
from data_sharing.registry.trial import Trial
from data_sharing.runtimes.processes import ProcessPolicy
from data_sharing.runtimes.runtime_host import RuntimeHost
from data_sharing.settings import read_settings as server_settings
from tests.support.fakes.offload import FakeOffload
from tests.support.submissions import coffee, text

BREWS = b'#!/bin/sh\ncat > /dev/null\necho \'{"performed": "brew", "cups": 2}\'\n'
FLAGS = ("--allow-processes", "--allow-root-sandbox", "--allow-processes-without-cgroup")


async def submitted(folder: Path, policy: ProcessPolicy, program: bytes = BREWS) -> Any:
    runtime: dict[str, Any] = {
        "kind": "process",
        "sha256": hashlib.sha256(program).hexdigest(),
        "capabilities": {"clock": True, "random": True},
        "limits": {"wall_s": 20},
    }
    database = await Database.open(folder / "sharing.db", [tables.SCHEMA])
    with RuntimeHost(folder / "compiled", threads=1, processes=policy) as hosting:
        try:
            registry = Registry(
                database, Artifacts(folder / "artifacts"), Trial(hosting, folder / "trials"),
                FakeOffload(), wall_ms=lambda: 7,
            )  # fmt: skip
            return await registry.submit(text(coffee(runtime=runtime)), program, tenant="city")
        finally:
            await database.close()


async def test_by_default_they_are_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--allow-processes"):
        await submitted(tmp_path, ProcessPolicy())
    kept = [one for one in (tmp_path / "artifacts").rglob("*") if one.is_file()]
    assert kept == []


async def test_where_they_are_switched_on_they_are_tried_and_taken(tmp_path: Path) -> None:
    try:
        verdict = await submitted(tmp_path, ProcessPolicy(allowed=True, as_root=True))
    except Refused as error:
        pytest.skip(error.message)
    assert verdict.faults == ()
    assert verdict.version is not None


async def test_one_that_tries_to_get_out_does_not_do_what_it_says(tmp_path: Path) -> None:
    program = b"#!/bin/sh\nunshare --user true && echo '{}'\n"
    try:
        verdict = await submitted(tmp_path, ProcessPolicy(allowed=True, as_root=True), program)
    except Refused as error:
        pytest.skip(error.message)
    (fault,) = verdict.faults
    assert "Operation not permitted" in fault.message


@pytest.mark.parametrize("flag", FLAGS)
def test_each_permission_is_a_setting_of_both_programs_and_off(flag: str) -> None:
    required = ["--name=a", "--applications=b", "--data-dir=c"]
    place = FLAGS.index(flag)

    def of(policy: ProcessPolicy) -> list[bool]:
        return [policy.allowed, policy.as_root, policy.without_cgroup]

    for read, arguments in ((server_settings, []), (platform_settings, required)):
        assert of(read(arguments).processes()) == [False] * 3
        assert of(read([*arguments, flag]).processes()) == [at == place for at in range(3)]
