"""Which feeds a rule's compiler may look at: an operator's rule sees its tenant, an application's
rule what is shared with it."""

from __future__ import annotations

import pytest

from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Consumed, Manifest, Produced

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def version(name: str, tenant: str, produces=(), consumes=()) -> Version:
    manifest = Manifest(
        tenant=tenant,
        application=name,
        version="1.0.0",
        produces=tuple(
            Produced(type=type_, schema=SCHEMA, key="/subject", samples=(), shared_with=with_)
            for type_, with_ in produces
        ),
        consumes=tuple(Consumed(feed=feed, purpose="p") for feed in consumes),
    )
    return Version(
        manifest=manifest, text="", artifact_sha256="", artifact_size=0, submitted_ms=0,
        current=True,
    )  # fmt: skip


CATALOGUE = Catalogue(
    [
        version("sensor", "city", produces=[("open", ("reader",)), ("closed", ())]),
        version("reader", "city", consumes=["open", "closed"]),
        version("vault", "bank", produces=[("secret", ("reader",))]),
    ]
)


@pytest.mark.parametrize(
    ("application", "feed", "readable"),
    [
        pytest.param(None, "open", True, id="an-operator-reads-all-of-the-tenant"),
        pytest.param(None, "closed", True, id="shared-or-not"),
        pytest.param(None, "secret", False, id="but-nothing-of-another-tenant"),
        pytest.param(None, OUTCOME_FEED, True, id="and-outcomes"),
        pytest.param("reader", "open", True, id="an-application-what-is-shared-with-it"),
        pytest.param("reader", "closed", False, id="and-nothing-else"),
        pytest.param("reader", OUTCOME_FEED, False, id="no-outcomes"),
        pytest.param("stranger", "open", False, id="an-application-nobody-knows-nothing"),
        pytest.param("sensor", "closed", True, id="a-producer-its-own"),
    ],
)
def test_what_a_rule_may_read(application, feed, readable) -> None:
    found = ReadableFeeds(CATALOGUE, "city", application).get(feed)
    assert (found is not None) == readable
