"""Installer: brings the applications that a platform is to host onto it.

An artifact that is not here is fetched from the registry, and kept under its SHA-256 only when
its content has it; what is kept is checked again before it is installed. A failed install is
tried again with the next connection, and is nobody else's problem.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from grpc import aio

from control_plane.errors import DataLoss, ServiceError
from control_plane.files import replace_file
from control_plane.private_files import FILE_MODE, private_folder
from data_sharing.platforms.host import HostedApplication, PlatformHost
from data_sharing.runtimes.port import Artifact, Capabilities, Limits
from data_sharing.runtimes.runtime_host import RuntimeHost
from homeport.api.datasharing.v1 import platform_pb2 as pb
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import registry_pb2_grpc as registry_grpc

log = logging.getLogger(__name__)

FETCH_S = 60.0
MAX_ARTIFACT_BYTES = 256 << 20
_read_limits = msgspec.json.Decoder(Limits).decode
_read_requested = msgspec.json.Decoder(Capabilities).decode
GRANTABLE = ("clock", "random", "environment")


class Installer:
    """Of one platform. `on_ready` is called when an application became ready. grants: which of
    GRANTABLE an application gets that asks for it."""

    def __init__(
        self,
        tenant: str,
        folder: Path,
        host: PlatformHost,
        runtimes: RuntimeHost,
        *,
        on_ready: Callable[[], None],
        grants: Sequence[str] = (),
    ) -> None:
        self._grants = frozenset(grants)
        self._tenant = tenant
        self._folder = folder
        self._host = host
        self._runtimes = runtimes
        self._wanted: set[tuple[str, str]] = set()
        self._busy: set[tuple[str, str]] = set()
        self._on_ready = on_ready

    @property
    def complete(self) -> bool:
        """Whether something was offered, and all of it is ready."""
        ready = {(one.application, one.version) for one in self._host.hosted}
        return bool(self._wanted) and self._wanted <= ready

    def longest_s(self) -> float:
        """The most wall time that any action here may take."""
        return max((one.installed.limits.wall_s for one in self._host.hosted), default=0.0)

    def install(
        self,
        offer: pb.Offer,
        channel: aio.Channel,
        metadata: Sequence[tuple[str, str]],
        group: asyncio.TaskGroup,
    ) -> None:
        """Installs what is offered, in a task of the group."""
        name = (offer.application, offer.version)
        if offer.missing:
            log.warning("%s is not there to be hosted: %s", offer.application, offer.missing)
            return
        self._wanted.add(name)
        ready = {(one.application, one.version): one.sha256 for one in self._host.hosted}
        if name in self._busy or ready.get(name) == offer.sha256:
            return
        self._busy.add(name)
        group.create_task(self._install(offer, channel, metadata), name=f"install {name[0]}")

    async def _install(
        self, offer: pb.Offer, channel: aio.Channel, metadata: Sequence[tuple[str, str]]
    ) -> None:
        try:
            content = await asyncio.to_thread(self._stored, offer.sha256)
            if content is None:
                content = await self._fetch(offer, channel, metadata)
                await asyncio.to_thread(self._store, offer.sha256, content)
            installed = await self._runtimes.install_soon(
                Artifact.of(offer.kind, content, offer.sha256),
                _read_limits(offer.limits_json or "{}"),
                self._granted(_read_requested(offer.requested_json or "{}")),
            )
        except (
            ServiceError,
            aio.AioRpcError,
            OSError,
            TimeoutError,
            msgspec.MsgspecError,
        ) as error:
            said = error.details() if isinstance(error, aio.AioRpcError) else error
            log.error("%s %s cannot be hosted: %s", offer.application, offer.version, said)
            return
        except Exception:  # a defect: the platform goes on with its other applications
            log.exception("%s %s cannot be hosted", offer.application, offer.version)
            return
        finally:
            self._busy.discard((offer.application, offer.version))
        self._host.add(
            HostedApplication(
                application=offer.application, version=offer.version, installed=installed
            )
        )
        log.info("%s %s is ready", offer.application, offer.version)
        self._on_ready()

    async def _fetch(
        self, offer: pb.Offer, channel: aio.Channel, metadata: Sequence[tuple[str, str]]
    ) -> bytes:
        """Raises DataLoss where what came is not what was offered."""
        stub: Any = registry_grpc.ApplicationRegistryStub(channel)
        request = registry.FetchArtifactRequest(
            tenant=self._tenant, application=offer.application, version=offer.version
        )
        content = bytearray()
        async for part in stub.FetchArtifact(request, timeout=FETCH_S, metadata=metadata):
            content += part.content
            if len(content) > MAX_ARTIFACT_BYTES:
                raise DataLoss(f"an artifact of more than {MAX_ARTIFACT_BYTES} bytes is none")
        if hashlib.sha256(content).hexdigest() != offer.sha256:
            raise DataLoss("the artifact that came has not the SHA-256 that was offered")
        return bytes(content)

    def _granted(self, requested: Capabilities) -> Capabilities:
        """To ask is not to be granted."""
        return Capabilities(
            clock=requested.clock and "clock" in self._grants,
            random=requested.random and "random" in self._grants,
            environment=requested.environment if "environment" in self._grants else (),
        )

    def _stored(self, sha256: str) -> bytes | None:
        """What is here under that name, when it is that; damaged files go."""
        path = self._path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
        log.warning("%s is damaged and is fetched again", path)
        path.unlink(missing_ok=True)
        return None

    def _store(self, sha256: str, content: bytes) -> None:
        """Whole or not at all."""
        path = self._path(sha256)
        private_folder(path.parent)
        replace_file(path, content, mode=FILE_MODE)

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256):
            raise DataLoss("an offer names its artifact by a SHA-256 in hex")
        return self._folder / sha256
