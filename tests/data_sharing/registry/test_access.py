"""Who may read what: a table, and the promise that nothing crosses tenants as a property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.api.reading import Tail, visible
from data_sharing.registry.access import may_read, readable, readers
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.conflicts import conflicts
from data_sharing.registry.manifest import Consumed, Manifest, Produced

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
APPLICATIONS = ("one", "two", "three")
FEEDS = ("x", "y", "z")
TENANTS = ("city", "bank")


def produced(type_: str, *shared_with: str, everyone: bool = False) -> Produced:
    return Produced(
        type=type_, schema=SCHEMA, key="/subject", samples=(), shared_with=shared_with,
        shared_with_everyone=everyone,
    )  # fmt: skip


def version(
    name: str, *, tenant: str = "city", produces=(), consumes=(), deprecation: str = ""
) -> Version:
    manifest = Manifest(
        tenant=tenant, application=name, version="1.0.0", produces=tuple(produces),
        consumes=tuple(Consumed(feed=one, purpose="p") for one in consumes),
    )  # fmt: skip
    return Version(
        manifest=manifest, text="", artifact_sha256="", artifact_size=0, submitted_ms=0,
        deprecation=deprecation, current=True,
    )  # fmt: skip


PRODUCER = version("one", produces=[produced("x", "two"), produced("y", everyone=True)])


@pytest.mark.parametrize(
    ("others", "application", "feed", "reason"),
    [
        pytest.param([version("two", consumes=["x"])], "two", "x", "", id="shared-by-name"),
        pytest.param([version("three", consumes=["y"])], "three", "y", "", id="with-everyone"),
        pytest.param([], "one", "x", "", id="its-own"),
        pytest.param([version("two")], "two", "x", "does not say it consumes", id="undeclared"),
        pytest.param([version("three", consumes=["x"])], "three", "x", "does not share",
                     id="not-shared"),
        pytest.param([version("two", consumes=["z"])], "two", "z", "nobody produces", id="nobodys"),
        pytest.param([], "two", "x", "no application", id="an-application-that-is-not-there"),
        pytest.param([version("two", tenant="bank", consumes=["x", "y"])], "two", "y",
                     "no application", id="another-tenants"),
    ],
)  # fmt: skip
def test_who_may_read(others, application, feed, reason):
    catalogue = Catalogue([PRODUCER, *others])
    access = may_read(catalogue, tenant="city", application=application, feed=feed)
    assert access.allowed == (not reason)
    assert reason in access.reason


def test_another_tenants_application_reads_nothing_of_ours():
    catalogue = Catalogue([PRODUCER, version("two", tenant="bank", consumes=["x", "y"])])
    assert readable(catalogue, tenant="bank", application="two") == {}
    assert readers(catalogue, tenant="city", feed="y") == []
    assert catalogue.producer("bank", "x") is None


names = st.sampled_from(APPLICATIONS)
feeds = st.sets(st.sampled_from(FEEDS), max_size=3)


@st.composite
def catalogues(draw) -> Catalogue:
    """Any applications of two tenants, where each feed has one producer in a tenant."""
    found = []
    for tenant in TENANTS:
        owners = {feed: draw(names) for feed in draw(feeds)}
        for name in draw(st.sets(names)):
            mine = [
                produced(feed, *draw(st.sets(names)), everyone=draw(st.booleans()))
                for feed, owner in owners.items()
                if owner == name
            ]
            found.append(version(name, tenant=tenant, produces=mine, consumes=draw(feeds)))
    return Catalogue(found)


@given(catalogues(), st.data())
def test_no_way_leads_to_another_tenants_feeds(catalogue, data):
    """Every answer about a tenant is the same whatever the other tenant holds."""
    tenant, other = data.draw(st.permutations(TENANTS))
    alone = Catalogue(catalogue.applications(tenant))
    for application in APPLICATIONS:
        assert readable(catalogue, tenant=tenant, application=application) == readable(
            alone, tenant=tenant, application=application
        )
        for feed in FEEDS:
            access = may_read(catalogue, tenant=tenant, application=application, feed=feed)
            assert access == may_read(alone, tenant=tenant, application=application, feed=feed)
            if access.allowed:
                assert catalogue.feed(tenant, feed) is not None
    for feed in FEEDS:
        assert readers(catalogue, tenant=tenant, feed=feed) == readers(
            alone, tenant=tenant, feed=feed
        )
        here = OpenFeeds(catalogue).find(tenant, feed)
        assert (here is None) == (OpenFeeds(alone).find(tenant, feed) is None)
        assert here is None or here.tenant == tenant
    for one in catalogue.applications(other):
        # What the other tenant submits is judged without a look at ours.
        assert conflicts(catalogue, one.manifest) == conflicts(
            Catalogue(catalogue.applications(other)), one.manifest
        )


@given(catalogues(), names, st.sampled_from(TENANTS))
def test_a_reader_without_a_filter_gets_what_it_may_read_and_an_operator_all(
    catalogue, application, tenant
):
    if catalogue.application(tenant, application) is not None:
        seen = visible(catalogue, Tail(tenant=tenant, application=application))
        assert seen == set(readable(catalogue, tenant=tenant, application=application))
    assert visible(catalogue, Tail(tenant=tenant, application="")) is None


# -- what a change would do to others ----------------------------------------------------


def submitted(name: str, **fields) -> Manifest:
    return version(name, **fields).manifest


READER = version("two", consumes=["x"])


@pytest.mark.parametrize(
    ("manifest", "path", "consumer"),
    [
        pytest.param(submitted("three", produces=[produced("x")]), "/produces/0/type", "",
                     id="a-feed-that-is-anothers"),
        pytest.param(submitted("one"), "/produces", "two", id="a-feed-taken-away"),
        pytest.param(submitted("one", produces=[produced("x", "three")]),
                     "/produces/0/shared_with", "two", id="a-reader-shut-out"),
        pytest.param(
            submitted("one", produces=[Produced(type="x", schema=SCHEMA, key="/source", samples=(),
                                                shared_with=("two",))]),
            "/produces/0/key", "two", id="another-key",
        ),
        pytest.param(
            submitted("one", produces=[Produced(type="x", schema={"type": "object"},
                                                key="/subject", samples=(),
                                                shared_with=("two",))]),
            "/produces/0/schema", "two", id="a-field-taken-away",
        ),
    ],
)  # fmt: skip
def test_what_would_break_others_names_them(manifest, path, consumer):
    (fault,) = conflicts(Catalogue([PRODUCER, READER]), manifest)
    assert (fault.path, fault.consumer) == (path, consumer)


def test_who_is_not_shared_with_is_not_broken():
    catalogue = Catalogue([PRODUCER, version("three", consumes=["x"])])
    assert conflicts(catalogue, submitted("one")) == []


def test_a_field_that_is_not_there_cannot_be_wished_for():
    manifest = Manifest(
        tenant="city", application="two", version="1.0.0",
        consumes=(Consumed(feed="x", purpose="p", fields=("/a", "/b")),
                  Consumed(feed="later", purpose="p", fields=("/b",))),
    )  # fmt: skip
    closed = Produced(
        type="x", schema={**SCHEMA, "additionalProperties": False}, key="/subject", samples=(),
        shared_with=("two",),
    )  # fmt: skip
    (fault,) = conflicts(Catalogue([version("one", produces=[closed])]), manifest)
    assert fault.path == "/consumes/0/fields/1"
    # An open schema allows it, so that an event may have it.
    assert conflicts(Catalogue([PRODUCER]), manifest) == []


def test_feeds_of_a_deprecated_version_take_nobody_new():
    old = version("one", produces=[produced("x", everyone=True)], deprecation="use y")
    (fault,) = conflicts(Catalogue([old]), READER.manifest)
    assert "use y" in fault.message
    assert conflicts(Catalogue([old, READER]), READER.manifest) == []
