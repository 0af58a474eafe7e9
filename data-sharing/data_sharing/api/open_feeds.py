"""OpenFeeds: the feeds of the catalogue, made ready to be published to."""

from __future__ import annotations

import logging

from data_sharing.feed_key import KeyPath
from data_sharing.feeds.feed import Feed
from data_sharing.registry.catalogue import Catalogue
from data_sharing.schemas import BadSchema, DataSchema

log = logging.getLogger(__name__)


class OpenFeeds:
    """Follows the catalogue; schemas that did not change are not compiled again."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._feeds: dict[tuple[str, str], Feed] = {}
        self.follow(catalogue)

    def follow(self, catalogue: Catalogue) -> None:
        """From now on the feeds are those of this catalogue."""
        feeds: dict[tuple[str, str], Feed] = {}
        for version, produced in catalogue.feeds():
            name = version.manifest.tenant, produced.type
            before = self._feeds.get(name)
            if before is not None and before.schema.document == produced.schema:
                schema = before.schema
            else:
                try:
                    schema = DataSchema(produced.schema)
                except BadSchema as error:  # of a version that was accepted when more was taken
                    log.error("feed %s of tenant %s is closed: its schema %s", name[1], name[0],
                              error.message)  # fmt: skip
                    continue
            feeds[name] = Feed(
                tenant=version.manifest.tenant,
                type=produced.type,
                application=version.manifest.application,
                schema=schema,
                key=KeyPath.parse(produced.key),
            )
        self._feeds = feeds

    def find(self, tenant: str, type_: str) -> Feed | None:
        """See FindFeed."""
        return self._feeds.get((tenant, type_))

    def __len__(self) -> int:
        return len(self._feeds)
