"""The image's bill of materials (CycloneDX 1.6, JSON): every Python distribution, as `cyclonedx-py`
finds them in the environment, every Debian package, and Python itself where it is no package.

Runs while the image is built, where cyclonedx-bom is installed, and prints it. What it prints
depends on what is installed alone: no time, no random number.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

LIMIT_S = 300
SPECIFICATION = "1.6"

Component = dict[str, Any]


def python_distributions(python: str) -> dict[str, Any]:
    """What `cyclonedx-py` says of an environment. Raises CalledProcessError."""
    done = subprocess.run(
        [
            sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
            f"--spec-version={SPECIFICATION}", "--output-format=JSON", python,
        ],
        check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def fields(paragraph: str) -> dict[str, str]:
    """The fields of a control paragraph that take one line."""
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))


def debian_packages(status: str, release: str) -> Iterator[Component]:
    """Of dpkg's status file, those that are installed; release: the text of os-release."""
    system = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', release, re.MULTILINE))
    distribution = system.get("ID", "debian")
    for paragraph in status.split("\n\n"):
        found = fields(paragraph)
        if found.get("Status") != "install ok installed":
            continue
        name, version = found["Package"], found["Version"]
        qualifiers = f"arch={found['Architecture']}"
        if "VERSION_ID" in system:
            qualifiers += f"&distro={distribution}-{system['VERSION_ID']}"
        purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version)}?{qualifiers}"
        yield {
            "bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl,
        }  # fmt: skip


def interpreter(packages: list[Component]) -> Iterator[Component]:
    """Python, unless it is one of the packages. It is that of this process: one base has one."""
    if not any(re.fullmatch(r"python3\.\d+-minimal", one["name"]) for one in packages):
        version = platform.python_version()
        purl = f"pkg:generic/python@{version}"
        yield {
            "bom-ref": purl, "type": "platform", "name": "python", "version": version, "purl": purl,
        }  # fmt: skip


def base_image(name: str, digest: str) -> Component:
    """The image that this one is derived from. name: as it was asked for, with tag or digest;
    digest: what that was, "" where nobody said."""
    repository, _, asked = name.partition("@")
    host, slash, last = repository.rpartition("/")
    title, _, tag = last.partition(":")
    found: Component = {"type": "container", "name": f"{host}{slash}{title}"}
    version = digest or asked
    if version:
        place = quote(f"{host}{slash}{title}", safe="/:")
        said = f"?repository_url={place}" + (f"&tag={quote(tag)}" if tag else "")
        found["version"] = version
        found["purl"] = f"pkg:oci/{quote(title.lower())}@{quote(version, safe='')}{said}"
    elif tag:
        found["version"] = tag
    return found


def bill_of_materials(
    found: dict[str, Any], packages: list[Component], base: Component
) -> dict[str, Any]:
    """One of the image: `found` is that of its environment."""
    components = [*found.get("components", []), *packages, *interpreter(packages)]
    versions = {one["name"]: one.get("version", "") for one in components}
    metadata = {
        **found.get("metadata", {}),
        "component": {
            "bom-ref": "image", "type": "container", "name": "homeport",
            "version": versions["homeport-server"], "pedigree": {"ancestors": [base]},
        },
    }  # fmt: skip
    # Properties of the environment name folders of the build.
    metadata.pop("properties", None)
    depends = [
        *found.get("dependencies", []),
        {"ref": "image", "dependsOn": sorted(one["bom-ref"] for one in components)},
    ]
    return {**found, "metadata": metadata, "components": components, "dependencies": depends}


def validate(text: str) -> None:
    """Raises ValueError where the text breaks CycloneDX's schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    said = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if said is not None:
        raise ValueError(f"the bill of materials is no CycloneDX {SPECIFICATION}: {said!r:.2000}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="of the environment")
    parser.add_argument("--packages", type=Path, required=True, help="dpkg's status file")
    parser.add_argument("--release", type=Path, required=True, help="os-release")
    parser.add_argument("--base", required=True, help="name of the base image")
    parser.add_argument("--base-digest", default="", help="its digest, sha256:…")
    asked = parser.parse_args()
    packages = sorted(
        debian_packages(asked.packages.read_text(), asked.release.read_text()),
        key=lambda one: str(one["bom-ref"]),
    )
    base = base_image(asked.base, asked.base_digest)
    found = bill_of_materials(python_distributions(asked.python), packages, base)
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
    validate(text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
