"""The first Python example of README and of docs/reference/sdk.md, run as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import FakeUnit, serving

ROOT = Path(__file__).parents[2]


def test_the_example_that_follows_moves_runs_as_written_but_for_the_port():
    page = (ROOT / "docs/reference/sdk.md").read_text()
    found = re.search(r"```python\n(.*?)```", page.partition("## Following moves")[2], re.DOTALL)
    assert found is not None
    service = FakeProvisioning()
    with serving(service) as server:
        script = found.group(1).replace("127.0.0.1:7700", server.address)
        with subprocess.Popen(
            [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "connecting to unit-0\n"
                service.move("default", "phone-4711", "unit-7")
                moved = process.stdout.readline()
                assert moved == "moved to unit-7 (drained), reconnecting\n"
                service.set_home("default", "phone-4711", "")
                assert process.stdout.readline() == "no home any more (released)\n"
            finally:
                process.kill()


@pytest.mark.parametrize("page", ["README.md", "docs/reference/sdk.md"])
def test_the_quickstart_runs_as_written_but_for_the_port(tmp_path, page):
    found = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found is not None
    script = found.group(1)
    assert script.count("127.0.0.1:7700") == 1
    assert len(script.splitlines()) <= 10

    service = FakeProvisioning()
    with serving(service, FakeUnit("unit-0")) as server:
        service.unit_endpoint = server.address
        done = subprocess.run(
            [sys.executable, "-c", script.replace("127.0.0.1:7700", server.address)],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"phone-4711 is at home on unit-0 ({server.address}), nearest",
        "unit-0 says: admitted",
    ]
    assert len(list((tmp_path / "homeport").glob("*.json"))) == 1
