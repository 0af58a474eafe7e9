"""The image, built on a Debian of its own and run as the charts run it: `make image-test`."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.image_storage import BASE, BUILT, IMAGE, ROOT, ImageStorage, build

CONTENTS = ROOT / "tests/support/image_contents.py"
IMPORTS = ROOT / "tests/support/image_imports.py"


def inspected(storage: ImageStorage, image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(storage.podman("inspect", "--type=image", image))[0]
    return found


def test_it_is_homeport_and_says_so(storage: ImageStorage) -> None:
    config = inspected(storage, IMAGE)["Config"]
    assert isinstance(config, dict)
    version = storage.run("--version", image=IMAGE).split()[1]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["homeport"])


def test_it_says_on_which_base_it_stands(storage: ImageStorage) -> None:
    config = inspected(storage, IMAGE)["Config"]
    assert isinstance(config, dict)
    digest = inspected(storage, BASE)["Digest"]
    assert config["Labels"]["org.opencontainers.image.base.name"] == BASE
    assert config["Labels"]["org.opencontainers.image.base.digest"] == digest
    bill = storage.run("/usr/share/doc/homeport/sbom.cdx.json", image=IMAGE, entrypoint="cat")
    (base,) = json.loads(bill)["metadata"]["component"]["pedigree"]["ancestors"]
    assert (base["name"], base["version"]) == (BASE.partition(":")[0], digest)


def test_its_user_writes_nothing_and_its_bill_is_exact(storage: ImageStorage) -> None:
    said = storage.run("-c", CONTENTS.read_text(), image=IMAGE, entrypoint="python")
    found = json.loads(said)
    assert found["user"] == [65532, 65532]
    assert (found["writable"], found["wrote"]) == (["/tmp"], False)
    assert found["builders"] == []
    assert "homeport-server" in dict(found["distributions"])
    assert found["listed distributions"] == found["distributions"]
    assert "libc6" in dict(found["packages"])
    assert found["listed packages"] == found["packages"]


def test_everything_that_services_import_is_there_and_compiled(storage: ImageStorage) -> None:
    said = storage.run("-c", IMPORTS.read_text(), image=IMAGE, entrypoint="python")
    found = json.loads(said)
    assert found["failed"] == {}
    assert found["not compiled"] == []
    assert found["not as recorded"] == []
    assert found["imported"] > 400


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["serve", "--store=etcd://127.0.0.1:2379"], id="serve"),
        pytest.param(["agent", "--unit=eu", "--server=127.0.0.1:7700"], id="agent"),
    ],
)
def test_services_take_their_settings_in_it(storage: ImageStorage, words: list[str]) -> None:
    storage.run(*words, "--insecure", "--check-config", image=IMAGE)


def test_a_second_build_is_the_same_to_the_byte(storage: ImageStorage) -> None:
    """Layers and labels; what is committed meanwhile changes one of these. A kept image may be of
    another state of the files."""
    if os.environ.get("HOMEPORT_IMAGE_STORAGE"):
        pytest.skip("the first build may be of another day: HOMEPORT_IMAGE_STORAGE is set")
    again = f"{IMAGE}-again"
    build(storage.folder, again, HOMEPORT_BASE=BASE)
    first, second = inspected(storage, IMAGE), inspected(storage, again)
    for one in (first, second):
        assert isinstance(one["Labels"], dict)
        one["Labels"].pop("org.opencontainers.image.revision")
    kept = ("RootFS", "Created", "Labels", "Architecture", "Size")
    assert {key: second[key] for key in kept} == {key: first[key] for key in kept}
    assert first["Created"] == BUILT
