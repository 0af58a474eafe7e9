"""Feed: what the publishing side knows of one feed, made ready to check its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from data_sharing.feed_key import KeyPath
from data_sharing.schemas import DataSchema


class Feed(NamedTuple):
    """One feed that can be published to."""

    tenant: str
    type: str
    application: str  # its producer
    schema: DataSchema
    key: KeyPath


FindFeed: TypeAlias = Callable[[str, str], Feed | None]
"""(tenant, type) to the feed, as it is now; None: nobody produces it."""
