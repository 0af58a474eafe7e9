"""WrappingSettings: the key that keys at rest are encrypted with, the same for every service that
keeps some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from control_plane.identity.key_wrapping import Wrapping, read_wrapping
from control_plane.settings import ServiceSettings


class WrappingSettings(ServiceSettings):
    """What docs/reference/secrets.md says of ticket keys and the signing key."""

    secrets: ClassVar[tuple[str, ...]] = ("key_wrapping_passphrase",)

    key_wrapping_file: Annotated[
        Path | None,
        Field(
            description="32 bytes in base64, closed to others: keys that are kept are encrypted "
            "with it, in the store and in files; older ones may follow after commas"
        ),
    ] = None
    key_wrapping_passphrase: Annotated[
        str,
        Field(
            description="the same by a passphrase; better given by the environment or "
            "key_wrapping_passphrase_file"
        ),
    ] = ""
    key_wrapping_passphrase_file: Annotated[
        Path | None, Field(description="file with the passphrase, closed to others")
    ] = None

    def wrapping(self, random: Callable[[int], bytes]) -> Wrapping:
        """How keys are kept. random(n): n bytes from a cryptographic source. Raises InvalidInput
        for a faulty file, and where both are given."""
        return read_wrapping(self.key_wrapping_file, self.key_wrapping_passphrase, random=random)
