"""The feeds of the catalogue, ready to be published to."""

from __future__ import annotations

from dataclasses import replace

from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.registry.catalogue import Catalogue
from tests.support.decisions_harness import CATALOGUE, LAMP, TENANT


def with_schema(schema: dict[str, object]) -> Catalogue:
    produced = replace(LAMP.manifest.produces[0], schema=schema)
    manifest = replace(LAMP.manifest, produces=(produced,))
    return Catalogue([replace(LAMP, manifest=manifest)])


def test_a_feed_is_found_by_tenant_and_type() -> None:
    feeds = OpenFeeds(CATALOGUE)
    found = feeds.find(TENANT, "switched")
    assert found is not None
    assert (found.tenant, found.type, found.application) == (TENANT, "switched", "lamp")
    assert feeds.find("other", "switched") is None
    assert feeds.find(TENANT, "traffic") is None
    assert len(feeds) == 1


def test_a_schema_that_did_not_change_is_not_compiled_again() -> None:
    feeds = OpenFeeds(CATALOGUE)
    before = feeds.find(TENANT, "switched")
    feeds.follow(with_schema(dict(LAMP.manifest.produces[0].schema)))
    same = feeds.find(TENANT, "switched")
    assert before is not None
    assert same is not None
    assert same.schema is before.schema
    feeds.follow(with_schema({"type": "object", "required": ["on"]}))
    changed = feeds.find(TENANT, "switched")
    assert changed is not None
    assert changed.schema is not before.schema


def test_a_feed_that_is_gone_is_not_found() -> None:
    feeds = OpenFeeds(CATALOGUE)
    feeds.follow(Catalogue())
    assert feeds.find(TENANT, "switched") is None
    assert len(feeds) == 0


def test_a_feed_whose_schema_is_no_longer_taken_is_closed_and_the_others_are_not() -> None:
    doubling = {"allOf": [{"$ref": "#/$defs/a"}] * 2, "$defs": {"a": {"$ref": "#"}}}
    feeds = OpenFeeds(with_schema(doubling))
    assert feeds.find(TENANT, "switched") is None
    feeds.follow(CATALOGUE)
    assert feeds.find(TENANT, "switched") is not None
