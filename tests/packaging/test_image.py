"""The image's recipe: its locks are those of constraints.txt and pyproject.toml, what it copies is
all that the distributions are made of, and it has the commands that the charts call."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart_values import CASES
from tests.support.helm_rendering import containers_of, pods_of, render
from tests.support.image_scripts import script

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "Containerfile").read_text()


lock, sbom = script("lock"), script("sbom")
each_lock = pytest.mark.parametrize("held", lock.LOCKS, ids=lambda one: one.file.stem)


@each_lock
def test_a_lock_holds_what_is_needed_at_the_pinned_versions_with_hashes(held: Any) -> None:
    assert lock.slips(held, held.file.read_text(), lock.CONSTRAINTS.read_text()) == []


@each_lock
def test_what_is_wrong_with_a_lock_is_seen(held: Any) -> None:
    text, constraints = held.file.read_text(), lock.CONSTRAINTS.read_text()
    name, version = next(iter(lock.pinned(text).items()))
    hashless = re.sub(
        rf"({re.escape(name)}==[^\n]*?) \\\n(    --hash=\S+( \\)?\n)+", r"\1\n", text, count=1
    )
    assert lock.slips(held, hashless, constraints) == [f"{name} has no hash"]
    moved = text.replace(f"{name}=={version}", f"{name}==0.0.1", 1)
    assert f"{name} is 0.0.1, and {version} in constraints.txt" in lock.slips(
        held, moved, constraints
    )
    for one in held.needed():
        wanted = lock.canonicalize_name(one.name)
        less = re.sub(rf"^{re.escape(wanted)}==", "other==", text, flags=re.MULTILINE)
        assert f"{wanted} is needed and not in it" in lock.slips(held, less, constraints)


def test_what_is_ours_is_built_and_not_fetched() -> None:
    for held in lock.LOCKS:
        assert not lock.OURS & lock.pinned(held.file.read_text()).keys()


def test_it_copies_every_package_of_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = (ROOT / ".containerignore").read_text().splitlines()
    for name in [*packages, "sdk"]:
        assert re.search(rf"^COPY {re.escape(name)} ", RECIPE, re.MULTILINE), name
        assert f"!{name}" in let_in
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", RECIPE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert any(name == one[1:] or name.startswith(f"{one[1:]}/") for one in let_in), name


def test_whatever_pip_fetches_is_checked_by_hashes() -> None:
    joined = RECIPE.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install [^&\n]*", joined)
    assert len(installs) == 3
    for words in installs:
        assert "--require-hashes" in words or "--no-index" in words, words


def test_it_runs_as_the_user_of_the_pods_and_starts_homeport() -> None:
    final = RECIPE.rpartition("\nFROM ")[2]
    assert final.startswith("scratch\n")
    assert "\nUSER 65532:65532\n" in final
    assert '\nENTRYPOINT ["homeport"]' in final
    assert "RUN" not in final


@pytest.mark.parametrize("chart", CASES)
def test_pods_call_commands_that_it_has(chart: str) -> None:
    """`test` and `sleep` are Debian's, of coreutils, which is essential there."""
    scripts = {one.name for one in entry_points(group="console_scripts")}
    assert "homeport" in scripts
    cases = list(CASES[chart].values())[:4]
    cases += [values for name, values in CASES[chart].items() if name == "a-console"]
    found = set()
    for one in render(chart, cases):
        for component, pod in pods_of(one.manifests()):
            for container in containers_of(pod) if component != "etcd" else []:
                found.add(container["command"][0])
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    if "exec" in container.get(probe, {}):
                        found.add(container[probe]["exec"]["command"][0])
    assert found <= {"homeport", "test", "sleep"}
    assert "homeport" in found


STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12+deb13u1
Description: GNU C Library
 Version: 9 is said here, and is no field.

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
RELEASE = 'ID=debian\nVERSION_ID="13"\nNAME="Debian GNU/Linux"\n'


def test_a_package_of_debian_is_named_as_scanners_look_for_it() -> None:
    (found,) = sbom.debian_packages(STATUS, RELEASE)
    assert found["purl"] == "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13"
    assert (found["name"], found["version"]) == ("libc6", "2.41-12+deb13u1")


def test_python_is_listed_where_no_package_is_it() -> None:
    packages = list(sbom.debian_packages(STATUS, RELEASE))
    assert [one["name"] for one in sbom.interpreter(packages)] == ["python"]
    assert list(sbom.interpreter([*packages, {"name": "python3.13-minimal"}])) == []


DIGEST = "sha256:" + "5" * 64
PYTHON = f"pkg:oci/python@sha256%3A{'5' * 64}?repository_url=docker.io/library/python"


@pytest.mark.parametrize(
    ("name", "digest", "version", "purl"),
    [
        pytest.param("docker.io/library/python:3.13-slim", DIGEST, DIGEST,
                     f"{PYTHON}&tag=3.13-slim", id="a tag, and what it was"),
        pytest.param(f"docker.io/library/python@{DIGEST}", "", DIGEST, PYTHON, id="a digest"),
        pytest.param(f"docker.io/library/python:3.13-slim@{DIGEST}", DIGEST, DIGEST,
                     f"{PYTHON}&tag=3.13-slim", id="both"),
        pytest.param("docker.io/library/python:3.13-slim", "", "3.13-slim", None,
                     id="a tag that nobody looked at"),
        pytest.param("localhost:5000/Base", DIGEST, DIGEST,
                     f"pkg:oci/base@sha256%3A{'5' * 64}?repository_url=localhost:5000/Base",
                     id="a registry with a port"),
        pytest.param("localhost:5000/base", "", None, None, id="neither"),
    ],
)  # fmt: skip
def test_the_base_is_named_as_scanners_look_for_it(
    name: str, digest: str, version: str | None, purl: str | None
) -> None:
    found = sbom.base_image(name, digest)
    assert (found.get("version"), found.get("purl")) == (version, purl)
    assert found["type"] == "container"
    assert "@" not in found["name"]


def test_the_bill_is_that_of_the_image_and_everything_hangs_on_it() -> None:
    ours = {"bom-ref": "a", "type": "library", "name": "homeport-server", "version": "1.2.3"}
    found = {
        "bomFormat": "CycloneDX", "components": [ours], "dependencies": [{"ref": "a"}],
        "metadata": {"properties": [{"name": "cdx:reproducible", "value": "true"}]},
    }  # fmt: skip
    packages = list(sbom.debian_packages(STATUS, RELEASE))
    base = sbom.base_image("localhost/base:1", DIGEST)
    made = sbom.bill_of_materials(found, packages, base)
    assert made["metadata"]["component"]["pedigree"] == {"ancestors": [base]}
    assert made["metadata"]["component"]["version"] == "1.2.3"
    assert [one["name"] for one in made["components"]] == ["homeport-server", "libc6", "python"]
    assert len(made["dependencies"][-1]["dependsOn"]) == 3
    assert made == json.loads(json.dumps(made))


def test_a_file_that_does_not_compile_ends_the_build() -> None:
    script_of_system = (ROOT / "packaging/image/trim.sh").read_text()
    for text in (RECIPE, script_of_system):
        joined = text.replace("\\\n", " ")
        compiles = [line for line in joined.splitlines() if "compileall" in line]
        assert compiles
        assert not [line for line in compiles if re.search(r"compileall .*\|\||2>", line)]


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh here")
def test_the_script_of_the_build_is_one() -> None:
    done = subprocess.run(
        ["sh", "-n", str(ROOT / "packaging/image/trim.sh")], timeout=30, check=False
    )
    assert done.returncode == 0
