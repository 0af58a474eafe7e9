"""The image, built once for all tests of this folder, or the reason why not.

HOMEPORT_IMAGE_STORAGE names a folder in which it stays for the next time: whoever works on these
tests does not wait for it again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image_storage import BUILD_S, IMAGE, ImageStorage, build

TOOLS = ("buildah", "podman", "runc", "mmdebstrap", "unshare", "nsenter", "setpriv", "ip")


def obstacle() -> str:
    """Why it cannot be built and run here; empty: nothing is in the way."""
    if os.environ.get("HOMEPORT_IMAGE_TEST") != "1":
        return "takes minutes; `make image-test` runs it"
    if missing := [one for one in TOOLS if shutil.which(one) is None]:
        return f"not on the PATH: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "only as root"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test here needs it, and may have to wait for it."""
    reason = obstacle()
    for one in items:
        if one.path.parent == Path(__file__).parent:
            one.add_marker(pytest.mark.timeout(BUILD_S + 600))
            if reason:
                one.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageStorage]:
    """Where images and containers of these tests are, the image among them."""
    kept = os.environ.get("HOMEPORT_IMAGE_STORAGE")
    held = ImageStorage(folder=Path(kept) if kept else tmp_path_factory.mktemp("storage"))
    held.folder.mkdir(exist_ok=True)
    try:
        if held.attempt("image", "exists", IMAGE).returncode != 0:
            build(held.folder, IMAGE, "--local-base")
        yield held
    finally:
        if kept:
            held.stop_all()
        else:
            held.clear()
