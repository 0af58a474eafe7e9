"""The stacks that `homeport up` runs on this machine, and how they are reached: over TLS, with a CA
and a token of their own, and a certificate where they ask for one.

Each stack of this user writes a record while it runs; a client that is told nothing of TLS and
token takes them from the record that names its servers. Nobody else's record is believed.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.channels import Tls

MOST_RECORDS = 100
MOST_BYTES = 4 << 20  # of one: an address for each unit of a large fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """One that runs. addresses: host:port of its servers and units; ca: PEM file; certificate,
    certificate_key: PEM files of its operator, empty where it asks nobody for a certificate.
    is_starting: it does not serve yet."""

    addresses: frozenset[str]
    ca: str
    token: str
    certificate: str = ""
    certificate_key: str = ""
    is_starting: bool = False


def records_folder() -> Path:
    """Where this user's stacks write their records."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"homeport-{user}"


def local_stack(servers: Iterable[str], folder: Path | None = None) -> LocalStack | None:
    """The running stack that all these are addresses of; None: there is none."""
    wanted = set(servers)
    folder = folder or records_folder()
    try:
        if not _is_ours(folder, stat.S_ISDIR):
            return None
        paths = sorted(folder.glob("*.json"))[:MOST_RECORDS]
    except OSError:
        return None
    for path in paths:
        found = _read(path)
        if found is not None and wanted and wanted <= found.addresses:
            return found
    return None


def access_of(
    servers: str | Sequence[str], tls: bool | Tls | None, token: str | None
) -> tuple[Tls | None, str | None]:
    """What a client speaks TLS with, None: not at all; and the token it shows. tls None, as where
    it is left out: as the stack of `homeport up` with these servers has it, if there is one."""
    if tls is not None:
        return (Tls() if tls is True else tls or None), token
    found = local_stack([servers] if isinstance(servers, str) else servers)
    if found is None:
        return None, token
    try:
        tls = Tls.from_files(
            found.ca, certificate=found.certificate or None, key=found.certificate_key or None
        )
        return tls, token if token is not None else found.token or None
    except (OSError, ValueError):
        return None, token


def _read(path: Path) -> LocalStack | None:
    """None: it is no record, or the stack does not run any more."""
    try:
        if not _is_ours(path, stat.S_ISREG) or path.stat().st_size > MOST_BYTES:
            return None
        content: Any = json.loads(path.read_bytes())
        texts = {name: content[name] for name in ("ca", "token")}
        texts |= {name: content.get(name, "") for name in ("certificate", "certificate_key")}
        if not all(isinstance(text, str) for text in texts.values()):
            return None
        record = LocalStack(
            addresses=frozenset(content["addresses"]),
            is_starting=content.get("starting") is True,
            **texts,
        )
        return record if _runs(content["pid"], content.get("started")) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_ours(path: Path, kind: Any) -> bool:
    """Whether it is what it should be, this user's, and closed to others."""
    found = path.lstat()
    ours = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return kind(found.st_mode) and ours and not found.st_mode & 0o022


def _runs(pid: int, started: int | None) -> bool:
    """Whether this process is still there, and no other that has its number now (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return started is None or int(text.rpartition(")")[2].split()[19]) == started
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()  # a system without it: believed
    except (OSError, ValueError, IndexError):
        return False
