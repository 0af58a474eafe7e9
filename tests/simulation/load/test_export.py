"""The same users with Locust and ghz: what is written, and what these make of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.load.export.ghz import ghz_config
from simulation.load.export.locust_file import locust_file
from simulation.load.export.locust_user import rate_at
from simulation.load.plan import plan_of
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import UserKind
from tests.support.go_programs import GHZ, needs
from tests.support.scripted_provisioning import home, serving

ROOT = Path(__file__).parents[3]
LOCUST = shutil.which("locust")
LIMIT_S = 60


def configured(host: str = "127.0.0.1:1", **given: Any) -> dict[str, Any]:
    settings = LoadSettings(**{"users": 30, "rate_per_s": 40.0, "duration_s": 2.0, **given})
    plan = plan_of(settings, 0, lambda users: np.zeros(len(users)))
    return ghz_config(
        settings, plan, host=host, secured=False,
        request=lambda user, place: {"clientId": f"load-{user}", "address": "81.2.69.142"},
    )  # fmt: skip


async def run(*words: str, environment: dict[str, str] | None = None) -> str:
    """What a program writes. Fails where it does."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


def test_ghz_is_told_all_calls_of_the_plan_but_those_who_are_released() -> None:
    settings = LoadSettings(users=30, rate_per_s=40.0, duration_s=2.0)
    plan = plan_of(settings, 0, lambda users: np.zeros(len(users)))
    wanted = [
        f"load-{user}"
        for user, kind in zip(plan.users, plan.kinds, strict=True)
        if kind != UserKind.RELEASED
    ]
    config = configured()
    assert [one["clientId"] for one in config["data"]] == wanted
    assert (config["total"], config["rps"], config["async"]) == (len(wanted), 40, True)
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize("scenario", [Scenario.HERD, Scenario.DAY])
def test_what_ghz_cannot_play_is_told(scenario: Scenario) -> None:
    with pytest.raises(ValueError, match=f"ghz has no {scenario.value}"):
        configured(scenario=scenario, duration_s=20.0)


@needs(GHZ, target="test-ghz")
async def test_ghz_makes_the_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls.json"
    async with serving(home) as (service, address):
        config = configured(address)
        file.write_text(json.dumps(config))
        told = json.loads(await run(str(GHZ.path), "--config", str(file), "--format", "json"))
    assert told["statusCodeDistribution"] == {"OK": config["total"]}
    asked = Counter(one["clientId"] for one in config["data"])
    assert service.times == asked


def test_a_locustfile_is_python_and_has_the_settings() -> None:
    settings = LoadSettings(scenario=Scenario.DAY, users=12, seed=4)
    text = locust_file(settings)
    compile(text, "locustfile.py", "exec")
    assert json.loads(text.split('"""')[3]) == settings.document()


@given(
    st.builds(
        LoadSettings,
        scenario=st.sampled_from(list(Scenario)),
        rate_per_s=st.floats(1.0, 1_000.0),
        duration_s=st.floats(20.0, 100.0),
    )
)
@pytest.mark.slow
def test_the_shape_for_locust_has_as_many_arrivals_as_the_scenario(settings: LoadSettings) -> None:
    at = np.linspace(0.0, settings.duration_s, 4_001)[:-1]
    rates = [rate_at(settings, float(one)) for one in at]
    assert None not in rates
    assert rate_at(settings, settings.duration_s) is None
    comes_to = sum(rate or 0.0 for rate in rates) * settings.duration_s / 4_000
    wanted = settings.rate_per_s * settings.duration_s
    match settings.scenario:
        case Scenario.RAMP:
            wanted /= 2
        case Scenario.HERD:
            wanted = wanted * 0.9 + settings.users
    assert comes_to == pytest.approx(wanted, rel=0.02)


@pytest.mark.skipif(LOCUST is None, reason="Locust is not installed; pip install locust")
@pytest.mark.slow
async def test_locust_plays_the_users(tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text(locust_file(LoadSettings(users=30, rate_per_s=5.0, duration_s=4.0)))
    async with serving(home) as (service, address):
        await run(
            str(LOCUST), "-f", str(file), "--headless", "--only-summary", "--host", address,
            environment={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )  # fmt: skip
    assert len(service.asked) >= 5
    assert all(name.startswith("load-locust-") for name in service.times)
