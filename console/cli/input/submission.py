"""What `homeport apps submit` sends: a manifest and the artifact it names.

The manifest goes as it is, so that faults can name places in it; whatever is wrong with it is
the service's to say. Here it is read only to find the artifact.
"""

from __future__ import annotations

from pathlib import Path

from console.cli.failure import CommandFailed, ExitCode
from control_plane.printable import why_unreadable


def read_submission(manifest: Path, artifact: Path | None) -> tuple[str, bytes]:
    """(manifest, artifact; empty where it names none). Raises CommandFailed."""
    try:
        text = manifest.read_bytes().decode()
    except OSError as error:
        raise CommandFailed(
            f"{manifest} cannot be read: {error.strerror}", ExitCode.USAGE
        ) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(
            f"{manifest} cannot be read: {why_unreadable(error)}", ExitCode.USAGE
        ) from error
    path = artifact or _named(manifest, text)
    if path is None:
        return text, b""
    try:
        return text, path.read_bytes()
    except OSError as error:
        raise CommandFailed(
            f"the artifact {path} cannot be read: {error.strerror}; build it first "
            "(homeport apps build), or name it with --artifact",
            ExitCode.USAGE,
        ) from error


def _named(manifest: Path, text: str) -> Path | None:
    """The file that runtime.artifact names, if it does."""
    from control_plane.errors import InvalidInput
    from data_sharing.registry.manifest_reader import manifest_value

    try:
        document = manifest_value(text)
    except InvalidInput:
        return None
    runtime = document.get("runtime") if isinstance(document, dict) else None
    name = runtime.get("artifact") if isinstance(runtime, dict) else None
    return manifest.parent / name if isinstance(name, str) and name else None
