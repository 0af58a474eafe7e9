"""The base of the image: what the recipe calls it, what its digest is, what is said of it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.image_scripts import ROOT, script

build = script("build")
DIGEST = "sha256:" + "5" * 64
TAG = "docker.io/library/python:3.13-slim"
# In place of buildah and podman: it knows one image, and a registry with the same one.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$ASKED"
case "$*" in
  *pull*none.example*) echo "no such host" >&2; exit 125;;
  *inspect*) cat "$DOCUMENT";;
esac
"""
DOCUMENTS = {
    "podman": [{"Digest": DIGEST, "RepoTags": [TAG]}],
    "buildah": {"FromImage": TAG, "FromImageDigest": DIGEST},
}


@pytest.fixture(params=sorted(DOCUMENTS))
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name; what it is asked stands in `asked` of the folder."""
    name: str = request.param
    (tmp_path / name).write_text(PROGRAM)
    (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "document").write_text(json.dumps(DOCUMENTS[name]))
    (tmp_path / "asked").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("DOCUMENT", str(tmp_path / "document"))
    monkeypatch.delenv("HOMEPORT_STORAGE", raising=False)
    return name


def test_the_recipe_names_a_base() -> None:
    name = build.named_base((ROOT / "Containerfile").read_text())
    assert name == TAG
    with pytest.raises(ValueError, match="HOMEPORT_BASE"):
        build.named_base("FROM scratch\n")


def test_a_tag_is_pulled_and_its_digest_found(program: str, tmp_path: Path) -> None:
    assert build.pulled(program, TAG) == DIGEST
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == f"{program} pull --quiet {TAG}"
    assert "inspect" in asked[1]


def test_a_digest_is_pulled_and_stays_what_it_was(program: str, tmp_path: Path) -> None:
    """The one that was asked for: of a list of images, another is what this machine has."""
    wanted = "sha256:" + "7" * 64
    assert build.pulled(program, f"docker.io/library/python@{wanted}") == wanted
    assert f"pull --quiet docker.io/library/python@{wanted}" in (tmp_path / "asked").read_text()


def test_an_image_of_this_machine_is_asked_of_nobody(program: str, tmp_path: Path) -> None:
    assert build.pulled(program, "localhost/homeport-base:trixie") == DIGEST
    assert "pull" not in (tmp_path / "asked").read_text()


def test_a_base_that_cannot_be_had_is_named_with_what_to_do(program: str) -> None:
    with pytest.raises(SystemExit, match=r"none\.example.*HOMEPORT_BASE.*--local-base"):
        build.pulled(program, "none.example/python:1")


@pytest.mark.parametrize(
    ("base", "said"),
    [
        pytest.param(TAG, f"HOMEPORT_BASE=docker.io/library/python@{DIGEST} make", id="a tag"),
        pytest.param("r.example:5000/python", f"HOMEPORT_BASE=r.example:5000/python@{DIGEST} make",
                     id="no tag, and a port"),
        pytest.param("r.example:5000/python:3", f"HOMEPORT_BASE=r.example:5000/python@{DIGEST} m",
                     id="a tag, and a port"),
        pytest.param("python", f"HOMEPORT_BASE=python@{DIGEST} make", id="a short name"),
        pytest.param(f"docker.io/library/python@{DIGEST}", "", id="a digest says all"),
        pytest.param("localhost/homeport-base:trixie", "", id="one of this machine is not pulled"),
    ],
)  # fmt: skip
def test_how_to_pin_it_is_told_where_it_is_a_tag(base: str, said: str) -> None:
    advice = build.advice(base, DIGEST)
    assert (said in advice) if said else (advice == "")


def test_the_recipe_keeps_the_digest() -> None:
    recipe = (ROOT / "Containerfile").read_text()
    final = recipe.rpartition("\nFROM ")[2]
    assert 'org.opencontainers.image.base.digest="${HOMEPORT_BASE_DIGEST}"' in final
    assert '--base-digest "$HOMEPORT_BASE_DIGEST"' in recipe
