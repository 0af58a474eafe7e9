"""`make image`: builds the image with buildah or podman, and lays its bill of materials beside it.

HOMEPORT_BASE names another base, HOMEPORT_IMAGE the image (localhost/homeport:<version>). The
digest of the base stands in both; where the base is a tag, it is told how to pin it.
`--local-base` makes the base with mmdebstrap from Debian's packages, where no registry of images
can be reached.
PIP_CERT and PIP_CONFIG_FILE count in the build as they do outside. Prints the image's size.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BILL = ROOT / "build/sbom.cdx.json"
LIMIT_S = 3_600
LOCAL_BASE = "localhost/homeport-base:trixie"
SUITE, MIRROR = "trixie", "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,ca-certificates,tzdata,libstdc++6"


def run(words: list[str], **more: str) -> str:
    """What a command prints; its errors are shown. Raises CalledProcessError, TimeoutExpired."""
    print(shlex.join(words), file=sys.stderr, flush=True)
    environment = {**os.environ, **more}
    done = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, env=environment
    )
    return done.stdout


def show(words: list[str]) -> None:
    """Runs a build, its steps on the screen. Raises CalledProcessError, TimeoutExpired."""
    print(shlex.join(words), file=sys.stderr, flush=True)
    subprocess.run(words, check=True, stdout=sys.stderr, timeout=LIMIT_S)


def storage() -> list[str]:
    """Options of buildah and podman: HOMEPORT_STORAGE is a folder for images of its own."""
    folder = os.environ.get("HOMEPORT_STORAGE")
    if folder is None:
        return []
    return [f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]


def tool() -> tuple[str, list[str]]:
    """(program, how it builds); ends where there is none. Raises SystemExit."""
    if shutil.which("buildah"):
        return "buildah", ["bud"]
    if shutil.which("podman"):
        return "podman", ["build"]
    raise SystemExit("there is neither buildah nor podman on the PATH (Debian: buildah)")


def made_base(program: str, how: list[str], timestamp: str) -> str:
    """A base of Debian's packages, under the name that it gives."""
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("there is no mmdebstrap on the PATH (Debian: mmdebstrap)")
    with tempfile.TemporaryDirectory() as folder:
        run(
            ["mmdebstrap", "--variant=essential", f"--include={PACKAGES}", SUITE,
             f"{folder}/root.tar", MIRROR],
            SOURCE_DATE_EPOCH=timestamp,
        )  # fmt: skip
        Path(folder, "Containerfile").write_text("FROM scratch\nADD root.tar /\n")
        show([program, *storage(), *how, f"--timestamp={timestamp}",
             "--isolation=chroot", "-t", LOCAL_BASE, folder])  # fmt: skip
    return LOCAL_BASE


def named_base(recipe: str) -> str:
    """The base that the Containerfile names. Raises ValueError where it names none."""
    found = re.search(r"^ARG HOMEPORT_BASE=(\S+)$", recipe, re.MULTILINE)
    if found is None:
        raise ValueError("the Containerfile has no line ARG HOMEPORT_BASE=…")
    return found[1]


def pulled(program: str, base: str) -> str:
    """Has the base here, and gives its digest: that in its name, or what its tag is today. Images
    named localhost/… are asked of nobody. Raises SystemExit where it cannot be had."""
    if not base.startswith("localhost/"):
        try:
            run([program, *storage(), "pull", "--quiet", base])
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"the base {base} cannot be pulled: HOMEPORT_BASE names another one, and where no"
                " registry can be reached `python packaging/image/build.py --local-base` makes one"
            ) from error
    if program == "podman":
        document = json.loads(run(["podman", *storage(), "image", "inspect", base]))[0]
    else:
        document = json.loads(run(["buildah", *storage(), "inspect", "--type=image", base]))
    return digest_of(base, document)


def digest_of(base: str, document: dict[str, Any]) -> str:
    """Of what `podman image inspect` or `buildah inspect` says of a base. Raises KeyError where
    that is no digest."""
    asked = base.partition("@")[2]
    return asked or str(document["Digest" if "Digest" in document else "FromImageDigest"])


def advice(base: str, digest: str) -> str:
    """What there is to say of a base that is no digest; empty: nothing."""
    if "@" in base or base.startswith("localhost/"):
        return ""
    repository, colon, tag = base.rpartition(":")
    name = repository if colon and "/" not in tag else base
    return (
        f"the base {base} is a tag, which moves; today it is {digest}. To build on the same one:\n"
        f"    HOMEPORT_BASE={name}@{digest} make image"
    )


def commit() -> tuple[str, str]:
    """(revision, its time as Unix seconds); without git none, and 0."""
    try:
        found = run(["git", "-C", str(ROOT), "show", "--no-patch", "--format=%H %ct", "HEAD"])
    except (OSError, subprocess.CalledProcessError):
        return "", "0"
    revision, seconds = found.split()
    return revision, seconds


def secrets() -> list[str]:
    """What the build may read and keeps nothing of."""
    found = []
    for name, variable in (("authorities", "PIP_CERT"), ("pip", "PIP_CONFIG_FILE")):
        path = os.environ.get(variable, "")
        if path and Path(path).is_file():
            found.append(f"--secret=id={name},src={path}")
    return found


def bill_of(program: str, image: str) -> str:
    """The bill of materials in an image."""
    path = "/usr/share/doc/homeport/sbom.cdx.json"
    make = ["create"] if program == "podman" else ["from", "--pull-never"]
    container = run([program, *storage(), *make, image]).strip()
    try:
        if program == "podman":
            with tempfile.TemporaryDirectory() as folder:
                run(["podman", *storage(), "cp", f"{container}:{path}", folder])
                return Path(folder, Path(path).name).read_text()
        mounted = run(["buildah", *storage(), "mount", container]).strip()
        return Path(f"{mounted}{path}").read_text()
    finally:
        run([program, *storage(), "rm", container])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--local-base", action="store_true", help="make the base with mmdebstrap")
    local = parser.parse_args().local_base
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"]
    image = os.environ.get("HOMEPORT_IMAGE", f"localhost/homeport:{version}")
    program, how = tool()
    revision, committed = commit()
    timestamp = os.environ.get("SOURCE_DATE_EPOCH", committed)
    if local:
        base = made_base(program, how, timestamp)
    else:
        asked = named_base((ROOT / "Containerfile").read_text())
        base = os.environ.get("HOMEPORT_BASE") or asked
    digest = pulled(program, base)
    arguments = {"HOMEPORT_VERSION": version, "HOMEPORT_REVISION": revision}
    arguments |= {"HOMEPORT_BASE": base, "HOMEPORT_BASE_DIGEST": digest}
    arguments |= {"SOURCE_DATE_EPOCH": timestamp}
    show([
        program, *storage(), *how, "--isolation=chroot", f"--timestamp={timestamp}",
        "--pull=never", "--no-cache",  # the base that was just looked at; no layer of before
        *secrets(), *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        "--tag", image, str(ROOT),
    ])  # fmt: skip
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(bill_of(program, image))
    listed = json.loads(run([program, *storage(), "images", "--json", image]))
    print(f"{image}: {listed[0]['size']}; bill of materials: {BILL.relative_to(ROOT)}")
    if said := advice(base, digest):
        print(said, file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
