"""Trial run of a submission: every action once, in the sandbox, on its sample input.

What it prints must conform to what its manifest says, within the limits it asked for. Nothing
of it reaches anybody: the folders it asked for are empty, its own, and deleted afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from control_plane.errors import InvalidInput, Refused
from control_plane.private_files import private_folder
from data_sharing.registry.manifest import Action, Manifest, ManifestFault, RuntimeNeeds
from data_sharing.runtimes.port import (
    Artifact,
    Capabilities,
    FileGrant,
    Installed,
    Invocation,
    InvocationStatus,
    Limits,
)
from data_sharing.runtimes.runtime_host import RuntimeHost
from data_sharing.schemas import DataSchema

# What a trial grants at most, whatever the manifest asks for: strangers submit, too.
MOST = Limits(cpu_s=10.0, wall_s=20.0, memory_bytes=1 << 30, output_bytes=1 << 20)


class Trial:
    """Tries submissions with the runtimes of this machine."""

    def __init__(self, hosting: RuntimeHost, scratch: Path) -> None:
        self._hosting = hosting
        self._scratch = scratch

    async def faults(self, manifest: Manifest, content: bytes) -> list[ManifestFault]:
        """What went wrong, of all actions. Raises Refused where this machine cannot isolate
        such an artifact, which is not the developer's fault."""
        needs = manifest.runtime
        if needs is None:
            return []
        try:
            artifact = Artifact.of(needs.kind, content, needs.sha256 or None)
        except InvalidInput as error:
            return [ManifestFault(path="/runtime/sha256", message=error.message)]
        private_folder(self._scratch)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            try:
                installed = await self._hosting.install_soon(
                    artifact, _bounded(needs.limits), _granted(needs, Path(folder))
                )
            except InvalidInput as error:
                return [ManifestFault(path="/runtime", message=error.message)]
            found: list[ManifestFault] = []
            for place, action in enumerate(manifest.actions):
                fault = await self._try(installed, f"/actions/{place}", action)
                if fault is not None:
                    found.append(fault)
        return found

    async def _try(self, installed: Installed, path: str, action: Action) -> ManifestFault | None:
        asked = Invocation(
            action=action.name, input=msgspec.json.encode(action.sample).decode(), key="trial"
        )
        outcome = await self._hosting.invoke(installed, asked)
        if outcome.status is InvocationStatus.REFUSED:
            raise Refused(f"the action {action.name} cannot be tried here: {outcome.message}")
        if outcome.status is not InvocationStatus.DONE:
            said = f"; on stderr: {outcome.stderr_tail[-300:]}" if outcome.stderr_tail else ""
            return ManifestFault(
                path=f"{path}/sample",
                message=f"{action.name} did not do it: {outcome.status}, {outcome.message}{said}",
            )
        promised = action.output if isinstance(action.output, dict) else {"allOf": [action.output]}
        breach = DataSchema(promised).breach_within_bounds(outcome.value)
        if breach is None:
            return None
        where = f" at {breach.pointer}" if breach.pointer else ""
        return ManifestFault(
            path=f"{path}/output",
            message=f"{action.name} gave {_shown(outcome.output)}, which is not what its manifest "
            f"says{where}: {breach.message}",
        )


def _bounded(asked: Limits) -> Limits:
    return Limits(
        cpu_s=min(asked.cpu_s, MOST.cpu_s),
        wall_s=min(asked.wall_s, MOST.wall_s),
        memory_bytes=min(asked.memory_bytes, MOST.memory_bytes),
        output_bytes=min(asked.output_bytes, MOST.output_bytes),
        input_bytes=asked.input_bytes,
        fuel=asked.fuel,
    )


def _granted(needs: RuntimeNeeds, folder: Path) -> Capabilities:
    grants = []
    for place, request in enumerate(needs.requested.files):
        host = folder / str(place)
        host.mkdir()
        grants.append(
            FileGrant(host_path=str(host), guest_path=request.path, writable=request.writable)
        )
    return Capabilities(
        clock=needs.requested.clock,
        random=needs.requested.random,
        environment=needs.requested.environment,
        files=tuple(grants),
    )


def _shown(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
