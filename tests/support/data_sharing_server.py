"""A real data-sharing server for end-to-end tests: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from homeport.api.datasharing.v1 import registry_pb2 as pb

START_WITHIN_S = 60.0


class SharingServer:
    """One `python -m data_sharing` on `folder`. A context manager; `kill` is SIGKILL."""

    def __init__(
        self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._ready_file = folder / "ready.json"
        self._ready_file.unlink(missing_ok=True)
        self._log = folder / "server.log"
        with self._log.open("a") as sink:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "data_sharing", f"--data-dir={folder / 'data'}",
                    "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
                    "--metrics-listen=127.0.0.1:0", f"--ready-file={self._ready_file}", *arguments,
                ],
                stdout=sink,
                stderr=sink,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip

    def __enter__(self) -> SharingServer:
        end = time.monotonic() + START_WITHIN_S
        while not self._ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start:\n{self.log()}")
            time.sleep(0.02)
        ready = json.loads(self._ready_file.read_text())
        self.address: str = ready["grpc"]
        self.http: str = ready["http"]
        self.metrics: str = ready["metrics"]
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()[-4000:]


def submission(
    manifest: str, artifact: bytes = b"", *, tenant: str = "", dry_run: bool = False
) -> Iterator[pb.SubmitApplicationRequest]:
    """The messages of a submission."""
    head = pb.SubmissionHead(tenant=tenant, manifest=manifest, dry_run=dry_run)
    yield pb.SubmitApplicationRequest(head=head)
    for start in range(0, len(artifact), 200_000):
        yield pb.SubmitApplicationRequest(artifact=artifact[start : start + 200_000])
