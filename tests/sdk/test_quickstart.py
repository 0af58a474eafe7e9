"""The first Python example of README and of docs/reference/sdk.md, run as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.provisioning_service import FakeProvisioning, FakeUnit, serving

ROOT = Path(__file__).parents[2]


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
