"""What a node can run: images by their repository, as programs of this machine.

No registry can be reached, so an image is what its name says: Homeport's is this checkout in its
virtual environment, at the versions it is told; etcd's is the etcd that was built. Any other
cannot be pulled, as with a name that is wrong.
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.support.go_programs import ETCD_3_6

PROJECT = Path(__file__).resolve().parents[3]
_SCRIPTS = sysconfig.get_path("scripts")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """entrypoint: what runs where a container gives no command. programs: by the name under which
    a container may call them."""

    entrypoint: tuple[str, ...]
    programs: dict[str, Path]


def find_image(name: str, tags: frozenset[str]) -> Image | None:
    """The image of a container; None: there is none of this name and tag. tags: of Homeport's,
    besides that of this checkout."""
    repository, _, tag = name.partition("@")[0].rpartition("/")[2].partition(":")
    if repository == "homeport" and tag in {version("homeport-server"), *tags}:
        return Image(entrypoint=("homeport",), programs={})
    if repository == "etcd":
        return Image(entrypoint=("etcd",), programs={"etcd": ETCD_3_6.path})
    return None


def image_arguments(image: Image) -> list[str]:
    """For bwrap: the files of the image, read-only."""
    words: list[str] = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    others = {Path(sys.prefix), Path(sys.base_prefix), PROJECT}
    for path in sorted(others):
        if not path.is_relative_to("/usr"):
            words += ["--ro-bind", str(path), str(path)]
    for name, path in image.programs.items():
        words += ["--ro-bind", str(path), f"/image/bin/{name}"]
    for path in map(Path, ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ssl",
                           "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")):  # fmt: skip
        words += ["--ro-bind-try", str(path), str(path)]
    return [*words, "--setenv", "PATH", f"{_SCRIPTS}:/image/bin:/usr/local/bin:/usr/bin:/bin"]


def command_of(image: Image, container: dict[str, object]) -> list[str]:
    """The container's command line; a program of the image counts by its name alone."""
    given, arguments = container.get("command"), container.get("args")
    words = [str(one) for one in given] if isinstance(given, list) else list(image.entrypoint)
    words += [str(one) for one in arguments] if isinstance(arguments, list) else []
    name = Path(words[0]).name
    if name in image.programs:
        words[0] = f"/image/bin/{name}"
    return words
