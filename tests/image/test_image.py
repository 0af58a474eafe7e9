"""The image, built on a Debian of its own and run as the charts run it: `make image-test`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/homeport-test:1"
BUILD_S, RUN_S = 3_000, 300
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
CONTENTS = ROOT / "tests/support/image_contents.py"


def obstacle() -> str:
    """Why it cannot be built and run here; empty: nothing is in the way."""
    if os.environ.get("HOMEPORT_IMAGE_TEST") != "1":
        return "takes minutes; `make image-test` runs it"
    if missing := [one for one in TOOLS if shutil.which(one) is None]:
        return f"not on the PATH: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "only as root"


pytestmark = [
    pytest.mark.skipif(bool(obstacle()), reason=obstacle()),
    pytest.mark.timeout(BUILD_S + RUN_S),
]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images and containers of these tests are, the image among them."""
    folder = tmp_path_factory.mktemp("storage")
    environment = {**os.environ, "HOMEPORT_STORAGE": str(folder), "HOMEPORT_IMAGE": IMAGE}
    try:
        subprocess.run(
            [sys.executable, "packaging/image/build.py", "--local-base"],
            cwd=ROOT, env=environment, check=True, timeout=BUILD_S,
        )  # fmt: skip
        yield folder
    finally:
        podman(folder, "rm", "--all", "--force")
        podman(folder, "rmi", "--all", "--force")
        shutil.rmtree(folder, ignore_errors=True)


def podman(storage: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = [
        f"--root={storage}/root", f"--runroot={storage}/run", "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=runc",
    ]  # fmt: skip
    return subprocess.run(
        ["podman", *options, *words], capture_output=True, text=True, timeout=RUN_S, check=False
    )


def run(storage: Path, *words: str, entrypoint: str = "homeport") -> str:
    """What a container says that is restricted as the charts' are. Fails where the program does."""
    done = podman(
        storage, "run", "--rm", "--network=none", "--read-only", "--read-only-tmpfs=false",
        "--cap-drop=all", "--security-opt=no-new-privileges", "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=1024:1024", f"--entrypoint={entrypoint}", IMAGE, *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_homeport_and_says_so(storage: Path) -> None:
    inspected = podman(storage, "inspect", "--type=image", IMAGE)
    assert inspected.returncode == 0, inspected.stderr
    config = json.loads(inspected.stdout)[0]["Config"]
    version = run(storage, "--version").split()[1]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["homeport"])


def test_its_user_writes_nothing_and_its_bill_is_exact(storage: Path) -> None:
    found = json.loads(run(storage, "-c", CONTENTS.read_text(), entrypoint="python"))
    assert found["user"] == [65532, 65532]
    assert (found["writable"], found["wrote"]) == (["/tmp"], False)
    assert found["builders"] == []
    assert "homeport-server" in dict(found["distributions"])
    assert found["listed distributions"] == found["distributions"]
    assert "libc6" in dict(found["packages"])
    assert found["listed packages"] == found["packages"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["serve", "--store=etcd://127.0.0.1:2379"], id="serve"),
        pytest.param(["agent", "--unit=eu", "--server=127.0.0.1:7700"], id="agent"),
    ],
)
def test_services_take_their_settings_in_it(storage: Path, words: list[str]) -> None:
    run(storage, *words, "--insecure", "--check-config")
