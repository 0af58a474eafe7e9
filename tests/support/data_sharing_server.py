"""A real data-sharing server for end-to-end tests: a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from homeport.api.datasharing.v1 import registry_pb2 as pb
from tests.support.server_process import ServerProcess


class SharingServer(ServerProcess):
    """One `python -m data_sharing` on `folder`, where it begins anew with what is there."""

    def __init__(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        command = (
            "-m", "data_sharing", f"--data-dir={folder / 'data'}", "--listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", *arguments,
        )  # fmt: skip
        super().__init__(folder, "server", command, environment=environment)

    @property
    def http(self) -> str:
        """host:port of its HTTP."""
        return str(self.told["http"])


def submission(
    manifest: str, artifact: bytes = b"", *, tenant: str = "", dry_run: bool = False
) -> Iterator[pb.SubmitApplicationRequest]:
    """The messages of a submission."""
    head = pb.SubmissionHead(tenant=tenant, manifest=manifest, dry_run=dry_run)
    yield pb.SubmitApplicationRequest(head=head)
    for start in range(0, len(artifact), 200_000):
        yield pb.SubmitApplicationRequest(artifact=artifact[start : start + 200_000])
