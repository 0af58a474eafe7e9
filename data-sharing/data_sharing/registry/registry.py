"""Registry: accepts or refuses submitted applications and keeps every version of each.

A submission is read, tried in the sandbox and held against the others; only where nothing at
all speaks against it does it become the current version, in one transaction. Changes are made
one after another, each judged by the state it changes. What its author decides the cost of is done
in processes of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from sqlite3 import Connection

from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.offloading.port import Offload
from data_sharing.database import Database
from data_sharing.registry import submission_tasks, tables
from data_sharing.registry.artifacts import Artifacts
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.catalogue_part import decoded, encoded, of_manifest, part_of
from data_sharing.registry.manifest import Manifest, ManifestFault
from data_sharing.registry.submission_tasks import faults_of
from data_sharing.registry.trial import Trial

MOST_SAID = 5  # faults of a version that cannot be current again
MAX_REASON = 500
ActionUse = Callable[[str, str, Collection[str]], Awaitable[tuple[str, ...]]]
"""(tenant, application, actions) to a sentence for each action that is used, and by whom."""


async def nobody(tenant: str, application: str, actions: Collection[str]) -> tuple[str, ...]:
    """Where nothing uses actions."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionVerdict:
    """What became of a submission: accepted where there is no fault."""

    version: Version | None = None
    faults: tuple[ManifestFault, ...] = ()
    existing: bool = False  # it had been accepted before, with the same content
    warnings: tuple[str, ...] = ()  # who uses what is not there any more


class Registry:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        artifacts: Artifacts,
        trial: Trial,
        offload: Offload,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._offload = offload
        self._artifacts = artifacts
        self._trial = trial
        self._wall_ms = wall_ms
        self._changing = asyncio.Lock()
        self.keep_artifact: Callable[[str, bytes], Awaitable[None]] = _kept_by_the_folder
        """Awaited with each artifact's SHA-256 and content before its version is accepted."""
        self.on_change: list[Callable[[Catalogue], None]] = []
        """Called with the new catalogue after every change."""
        self.users: ActionUse = nobody
        """Asked who uses actions that a version takes away."""
        self.catalogue = Catalogue()
        self._revision = 0
        self._load()

    async def submit(
        self,
        text: str,
        content: bytes,
        *,
        tenant: str,
        application: str = "",
        dry_run: bool = False,
    ) -> SubmissionVerdict:
        """Judges a manifest and its artifact (empty: there is none, or it is here already).
        `application`: the only one that the caller may submit; empty: any.

        Raises Refused where this machine cannot try such an artifact; Conflict, StoreUnavailable.
        """
        plain, content_of_manifest, document = await self._offload.offload(
            submission_tasks.READ, [text, tenant], tenant=tenant, subject="manifest"
        )
        faults = faults_of(plain)
        if faults:
            return SubmissionVerdict(faults=faults)
        manifest = decoded(content_of_manifest)
        if application and manifest.application != application:
            return SubmissionVerdict(
                faults=(
                    ManifestFault(
                        path="/application", message=f"only {application} may be submitted here"
                    ),
                )
            )
        content, faults = await self._artifact(manifest, content)
        known = self._known(manifest, document, content)
        if known is not None:
            return known
        if not faults:
            faults = tuple(await self._trial.faults(manifest, content))
        concerned = of_manifest(self.catalogue, manifest)
        faults += await self._conflicts(manifest, concerned)
        if faults:
            return SubmissionVerdict(faults=faults)
        sha256 = ""
        if content and not dry_run:
            sha256 = await asyncio.to_thread(self._artifacts.put, content)
            await self.keep_artifact(sha256, content)
        version = Version(
            manifest=manifest,
            text=document,
            artifact_sha256=sha256,
            artifact_size=len(content),
            submitted_ms=self._wall_ms(),
            current=True,
        )
        warnings = await self._used(manifest)
        if dry_run:
            return SubmissionVerdict(version=version, warnings=warnings)
        accepted = await self._accept(version, content, concerned)
        return replace(accepted, warnings=warnings)

    async def rollback(
        self, tenant: str, application: str, version: str = ""
    ) -> tuple[Version, tuple[str, ...]]:
        """Makes an earlier version current; empty: the one that was so before. With it, who uses
        actions that it takes away. Raises NotFound, Refused."""
        while True:
            found = self._to_go_back_to(tenant, application, version)
            if found.current:
                return found, ()
            concerned = of_manifest(self.catalogue, found.manifest)
            faults = await self._conflicts(found.manifest, concerned)
            async with self._changing:
                # Others may have changed something while it was compared.
                if self._to_go_back_to(tenant, application, version) != found or not _same(
                    of_manifest(self.catalogue, found.manifest), concerned
                ):
                    continue
                number = found.manifest.version
                if faults:
                    said = "; ".join(fault.message for fault in faults[:MOST_SAID])
                    if len(faults) > MOST_SAID:
                        said += (
                            f"; and {len(faults) - MOST_SAID:,} more: `homeport apps submit "
                            "--dry-run` of its content under a new version tells all"
                        )
                    raise Refused(f"{application} {number} cannot be current again: {said}")
                warnings = await self._used(found.manifest)
                await self._change(
                    tenant,
                    application,
                    partial(
                        tables.make_current, tenant=tenant, application=application, version=number
                    ),
                )
                return replace(found, current=True), warnings

    def _to_go_back_to(self, tenant: str, application: str, version: str) -> Version:
        """Raises NotFound; Refused where it is deprecated."""
        self._must_have(tenant, application)
        if not version:
            version = self._database.read(
                lambda db: tables.previous_version(db, tenant, application)
            )
            if not version:
                raise NotFound(f"{application} has no earlier version to go back to")
        found = self.version(tenant, application, version)
        if found.deprecation and not found.current:
            raise Refused(f"{application} {version} is deprecated: {found.deprecation}")
        return found

    async def deprecate(self, tenant: str, application: str, version: str, why: str) -> Version:
        """`why` empty: it may be used again. Raises NotFound, InvalidInput."""
        if len(why) > MAX_REASON:
            raise InvalidInput("reason", f"reason is longer than {MAX_REASON} characters")
        async with self._changing:
            found = self.version(tenant, application, version)
            await self._change(
                tenant,
                application,
                lambda db: tables.deprecate(db, tenant, application, version, why),
            )
            return replace(found, deprecation=why)

    def version(self, tenant: str, application: str, version: str = "") -> Version:
        """One version; empty: the current one. Raises NotFound."""
        if not version:
            return self._must_have(tenant, application)
        self._must_have(tenant, application)
        found = self._database.read(lambda db: tables.version_of(db, tenant, application, version))
        if found is None:
            raise NotFound(f"{application} has no version {version}")
        return found

    def versions(self, tenant: str, application: str) -> list[Version]:
        """All of them, newest submission first. Raises NotFound."""
        self._must_have(tenant, application)
        return self._database.read(lambda db: tables.versions_of(db, tenant, application))

    async def artifact(self, version: Version) -> bytes:
        """Raises NotFound where it has none; DataLoss."""
        if not version.artifact_sha256:
            manifest = version.manifest
            raise NotFound(f"{manifest.application} {manifest.version} has no artifact")
        return await asyncio.to_thread(self._artifacts.get, version.artifact_sha256)

    # -- inside ------------------------------------------------------------------------

    def _must_have(self, tenant: str, application: str) -> Version:
        found = self.catalogue.application(tenant, application)
        if found is None:
            raise NotFound(f"tenant {tenant} has no application {application}")
        return found

    async def _used(self, manifest: Manifest) -> tuple[str, ...]:
        before = self.catalogue.application(manifest.tenant, manifest.application)
        gone = {one.name for one in before.manifest.actions} if before else set()
        gone -= {one.name for one in manifest.actions}
        return await self.users(manifest.tenant, manifest.application, gone) if gone else ()

    async def _artifact(
        self, manifest: Manifest, content: bytes
    ) -> tuple[bytes, tuple[ManifestFault, ...]]:
        """The artifact that belongs to a manifest."""
        needs = manifest.runtime
        if needs is None:
            if content:
                fault = ManifestFault(
                    path="/runtime", message="is missing; what is the artifact for?"
                )
                return b"", (fault,)
            return b"", ()
        if content:
            return content, ()
        if not needs.sha256:
            said = "no artifact was sent, and none is named by /runtime/sha256"
            return b"", (ManifestFault(path="/runtime", message=said),)
        # Only what this tenant has submitted itself counts as being here: that somebody else
        # has the same artifact is nobody's business.
        if not self._database.read(
            lambda db: tables.has_artifact(db, manifest.tenant, needs.sha256)
        ):
            said = f"no artifact was sent, and {needs.sha256} is not here"
            return b"", (ManifestFault(path="/runtime/sha256", message=said),)
        return await asyncio.to_thread(self._artifacts.get, needs.sha256), ()

    def _known(self, manifest: Manifest, document: str, content: bytes) -> SubmissionVerdict | None:
        """The verdict on a version that was accepted before; None: it was not."""
        try:
            found = self.version(manifest.tenant, manifest.application, manifest.version)
        except NotFound:
            return None
        same = found.text == document or json.loads(found.text) == json.loads(document)
        if same and found.artifact_sha256 == (
            hashlib.sha256(content).hexdigest() if content else ""
        ):
            return SubmissionVerdict(version=found, existing=True)
        return SubmissionVerdict(
            faults=(
                ManifestFault(
                    path="/version",
                    message=f"{manifest.application} {manifest.version} was submitted with other "
                    "content, and versions never change; raise the version",
                ),
            )
        )

    async def _conflicts(
        self, manifest: Manifest, concerned: Sequence[Version]
    ) -> tuple[ManifestFault, ...]:
        """What speaks against making it the current one."""
        plain = await self._offload.offload(
            submission_tasks.COMPARE,
            [encoded(manifest), part_of(concerned)],
            tenant=manifest.tenant,
            subject="manifest",
        )
        return faults_of(plain)

    async def _accept(
        self, version: Version, content: bytes, concerned: Sequence[Version]
    ) -> SubmissionVerdict:
        """concerned: those that it was held against."""
        manifest = version.manifest
        while True:
            async with self._changing:
                # Others may have been accepted while this one was tried.
                known = self._known(manifest, version.text, content)
                if known is not None:
                    return known
                now = of_manifest(self.catalogue, manifest)
                if _same(now, concerned):
                    await self._change(
                        manifest.tenant, manifest.application, lambda db: _write(db, version)
                    )
                    return SubmissionVerdict(version=version)
            concerned = now
            faults = await self._conflicts(manifest, concerned)
            if faults:
                return SubmissionVerdict(faults=faults)

    async def _change(
        self, tenant: str, application: str, write: Callable[[Connection], None]
    ) -> None:
        decided_at = self._revision

        def work(db: Connection) -> None:
            tables.advance(db, decided_at)
            write(db)

        def changed(done: asyncio.Future[None]) -> None:
            """Also where the outcome is not known: what is on disk is true."""
            self._reload(tenant, application)

        done = self._database.submit(work)
        # A callback, because whoever asked may leave before it is on disk.
        done.add_done_callback(changed)
        await asyncio.shield(done)

    def _reload(self, tenant: str, application: str) -> None:
        """One application anew; the others are as they were."""

        def read(db: Connection) -> tuple[int, Version | None]:
            return tables.revision(db), tables.current_version(db, tenant, application)

        self._revision, version = self._database.read(read)
        if version is not None:
            self.catalogue = self.catalogue.replacing(version)
        for listener in self.on_change:
            listener(self.catalogue)

    def _load(self) -> None:
        def read(db: Connection) -> tuple[int, list[Version]]:
            return tables.revision(db), tables.current_versions(db)

        self._revision, versions = self._database.read(read)
        self.catalogue = Catalogue(versions)


def _same(some: Sequence[Version], others: Sequence[Version]) -> bool:
    """Whether they are the very same values of the catalogue."""
    return [id(one) for one in some] == [id(one) for one in others]


def _write(db: Connection, version: Version) -> None:
    manifest = version.manifest
    tables.insert(db, version)
    tables.make_current(db, manifest.tenant, manifest.application, manifest.version)


async def _kept_by_the_folder(sha256: str, content: bytes) -> None:
    """It needs no more."""
