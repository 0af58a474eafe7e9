"""What `homeport apps submit` sends: a manifest and the artifact it names.

The manifest goes as it is, so that faults can name places in it; whatever is wrong with it is
the service's to say. Here it is read only to find the artifact.
"""

from __future__ import annotations

from pathlib import Path

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import STDIN, read_content, read_text

MOST_ARTIFACT_BYTES = 256 << 20  # what platforms take; a service takes less


def read_submission(manifest: Path, artifact: Path | None) -> tuple[str, bytes]:
    """(manifest, artifact; empty where it names none). Raises CommandFailed."""
    text = read_text(manifest)
    path = artifact or _named(manifest, text)
    if path is None:
        return text, b""
    try:
        return text, read_content(path, most_bytes=MOST_ARTIFACT_BYTES)
    except CommandFailed as failure:
        raise CommandFailed(
            f"the artifact {failure.message}; build it first (homeport apps build), or name it "
            "with --artifact",
            ExitCode.USAGE,
        ) from failure


def _named(manifest: Path, text: str) -> Path | None:
    """The file that runtime.artifact names, if it does: beside the manifest, in this folder where
    that is stdin."""
    from control_plane.errors import InvalidInput
    from data_sharing.registry.manifest_reader import manifest_value

    try:
        document = manifest_value(text)
    except InvalidInput:
        return None
    runtime = document.get("runtime") if isinstance(document, dict) else None
    name = runtime.get("artifact") if isinstance(runtime, dict) else None
    folder = Path() if manifest == STDIN else manifest.parent
    return folder / name if isinstance(name, str) and name else None
