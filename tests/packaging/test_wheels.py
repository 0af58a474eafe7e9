"""The two distributions as users get them: built, installed and run outside the source tree."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.local_stack import Up
from tests.support.wheel_environment import WheelEnvironment

ROOT = Path(__file__).parents[2]
SERVER_PACKAGES = (
    "console", "control_plane", "data_sharing", "deployment_units", "provisioner", "simulation",
)  # fmt: skip
MOST_SDK_BYTES = 400_000
WHERE = """
import importlib, json
print(json.dumps({name: importlib.import_module(name).__file__ for name in %r}))
"""
MISSING = """
import importlib.util, json
print(json.dumps([name for name in %r if importlib.util.find_spec(name) is None]))
"""


class Wheels:
    def __init__(self, folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
             "--wheel-dir", str(folder), str(ROOT / "sdk"), str(ROOT)],
            check=True, timeout=120,
        )  # fmt: skip
        (self.sdk,) = folder.glob("homeport-*.whl")
        (self.server,) = folder.glob("homeport_server-*.whl")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return Wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def sdk_alone(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> WheelEnvironment:
    return WheelEnvironment(tmp_path_factory.mktemp("sdk") / "venv", [wheels.sdk])


@pytest.fixture(scope="module")
def both(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> WheelEnvironment:
    return WheelEnvironment(tmp_path_factory.mktemp("both") / "venv", [wheels.sdk, wheels.server])


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sources(folder: str) -> set[str]:
    """The files of a folder, but for what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.split() if (ROOT / name).exists()}


def test_the_sdk_is_small_and_holds_the_package_homeport_alone(wheels: Wheels) -> None:
    names = files_in(wheels.sdk)
    expected = {name.removeprefix("sdk/") for name in sources("sdk/homeport")}
    assert names == expected
    assert "homeport/py.typed" in names
    assert wheels.sdk.stat().st_size < MOST_SDK_BYTES


def test_the_server_holds_its_packages_with_their_data_and_nothing_of_the_sdk(
    wheels: Wheels,
) -> None:
    names = files_in(wheels.server)
    expected = {name for package in SERVER_PACKAGES if package != "data_sharing"
                for name in sources(package)}  # fmt: skip
    expected |= {
        name.removeprefix("data-sharing/") for name in sources("data-sharing/data_sharing")
    }
    assert names == expected
    assert "control_plane/fleet/sample.yaml" in names


def test_both_have_one_version_and_the_server_needs_that_very_sdk() -> None:
    version = importlib.metadata.version("homeport")
    assert importlib.metadata.version("homeport-server") == version
    assert f"homeport=={version}" in (importlib.metadata.requires("homeport-server") or [])


def test_the_sdk_alone_brings_no_server(sdk_alone: WheelEnvironment, tmp_path: Path) -> None:
    absent = (*SERVER_PACKAGES, "numpy", "pydantic", "typer", "msgspec")
    done = sdk_alone.run(MISSING % (absent,), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == list(absent)
    assert not (sdk_alone.bin / "homeport").exists()


def test_everything_comes_from_the_wheels(both: WheelEnvironment, tmp_path: Path) -> None:
    done = both.run(WHERE % (("homeport", *SERVER_PACKAGES),), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    places = json.loads(done.stdout)
    assert {Path(place).parents[1] for place in places.values()} == {both.site_packages}


def test_the_quickstart_runs_from_the_wheels_alone(
    sdk_alone: WheelEnvironment, both: WheelEnvironment, tmp_path: Path
) -> None:
    """README's example, in an environment of the SDK alone, against a stack that the installed
    command started in the other one."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    with Up(tmp_path / "data", command=[str(both.bin / "homeport")], cwd=tmp_path) as up:
        script = found.group(1).replace("127.0.0.1:7700", up.grpc)
        done = sdk_alone.run(script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    home, admission = done.stdout.splitlines()
    assert re.fullmatch(r"phone-4711 is at home on (\S+) \(127\.0\.0\.1:\d+\), \S+", home)
    assert admission == f"{home.split()[5]} says: admitted"
