"""The embedded adapter of the store port: SQLite, for one machine."""

from control_plane.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
