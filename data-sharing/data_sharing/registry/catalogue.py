"""Catalogue: all applications as they are now, an immutable value that decisions look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.manifest import Manifest, Produced


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of one application, as it was accepted."""

    manifest: Manifest
    text: str  # the manifest as JSON
    artifact_sha256: str  # empty: it has none
    artifact_size: int  # bytes
    submitted_ms: int  # Unix ms
    deprecation: str = ""  # why it is not to be used any more; empty: it may be
    current: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """(tenant, application)."""
        return self.manifest.tenant, self.manifest.application


class Catalogue:
    """The current version of every application, and who produces which feed."""

    def __init__(self, versions: Iterable[Version] = ()) -> None:
        """`versions`: the current ones, at most one of an application."""
        self._current: Mapping[tuple[str, str], Version] = {one.name: one for one in versions}
        self._producers = {
            (one.manifest.tenant, produced.type): one
            for one in self._current.values()
            for produced in _own(one.manifest)
        }

    def application(self, tenant: str, name: str) -> Version | None:
        """Its current version."""
        return self._current.get((tenant, name))

    def applications(self, tenant: str) -> list[Version]:
        """The current versions of a tenant, by name."""
        return [self._current[name] for name in sorted(self._current) if name[0] == tenant]

    def producer(self, tenant: str, type_: str) -> Version | None:
        """Whose feed a type is."""
        return self._producers.get((tenant, type_))

    def feeds(self) -> Iterator[tuple[Version, Produced]]:
        """Every feed of every tenant, with its producer."""
        for version in self._current.values():
            for produced in _own(version.manifest):
                yield version, produced

    def feed(self, tenant: str, type_: str) -> Produced | None:
        """What its producer says of a feed."""
        version = self.producer(tenant, type_)
        return version.manifest.produced(type_) if version else None

    def tenants_changed(self, before: Catalogue) -> set[str]:
        """Those of which an application is another version than it was."""
        names = self._current.keys() | before._current.keys()
        return {
            name[0] for name in names if self._current.get(name) is not before._current.get(name)
        }

    def replacing(self, version: Version) -> Catalogue:
        """The catalogue once this version is the current one of its application."""
        return Catalogue({**self._current, version.name: version}.values())


def _own(manifest: Manifest) -> list[Produced]:
    """The feeds that it produces. Outcomes are nobody's, also where a manifest that was accepted
    before that was refused says otherwise."""
    return [one for one in manifest.produces if one.type != OUTCOME_FEED]
