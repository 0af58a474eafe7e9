"""ReadableFeeds: the feeds that a rule may read, as its compiler asks for them."""

from __future__ import annotations

from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.access import may_read
from data_sharing.registry.catalogue import Catalogue
from data_sharing.registry.manifest import Produced
from data_sharing.rules.feed_schema import FeedSchema


class ReadableFeeds:
    """Those shared with an application; without one, all of the tenant and the outcomes of
    instructions."""

    def __init__(self, catalogue: Catalogue, tenant: str, application: str | None) -> None:
        self._catalogue = catalogue
        self._tenant = tenant
        self._application = application

    def get(self, feed: str, /) -> FeedSchema | None:
        """None: there is no such feed, or it is not shared."""
        if feed == OUTCOME_FEED and not self._application:
            return FeedSchema(feed, None)
        found = self.produced(feed)
        return None if found is None else FeedSchema(feed, found.schema)

    def produced(self, feed: str) -> Produced | None:
        """What its producer says of it; None as above."""
        found = self._catalogue.feed(self._tenant, feed)
        if found is None:
            return None
        if self._application:
            access = may_read(
                self._catalogue, tenant=self._tenant, application=self._application, feed=feed
            )
            if not access.allowed:
                return None
        return found
