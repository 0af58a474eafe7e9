"""Manifests: what is wrong with one is told together, each with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.registry.manifest_reader import FORM, read_manifest
from data_sharing.runtimes.port import ArtifactKind
from tests.support.submissions import coffee, text, traffic

ROOT = Path(__file__).parents[3]


def faults(manifest) -> set[str]:
    given_text = manifest if isinstance(manifest, str) else text(manifest)
    found, told = read_manifest(given_text, tenant="city")
    assert (found is None) == bool(told)
    assert all(one.message for one in told)
    return {one.path for one in told}


def test_the_published_schema_is_the_one_that_is_used():
    published = (ROOT / "docs" / "reference" / "manifest.schema.json").read_text()
    assert json.loads(published) == FORM.document


@pytest.mark.parametrize("place", ["docs/reference/manifest.md"])
def test_the_manifest_in_the_reference_is_sound(place):
    block = (ROOT / place).read_text().split("```yaml\n")[1].split("```")[0]
    assert read_manifest(block, tenant="city")[1] == ()


def test_a_manifest_is_read_whole():
    found, told = read_manifest(
        (ROOT / "data-sharing/applications/coffee/manifest.yaml").read_text(), tenant="city"
    )
    assert told == ()
    assert found is not None
    assert found.tenant == "city"
    assert found.runtime is not None
    assert (found.runtime.kind, found.runtime.limits.cpu_s) == (ArtifactKind.WASI_COMMAND, 0.5)
    assert found.consumed("city.traffic.speed").fields == ("/speed_kmh",)
    assert found.action("brew").sample == {"cups": 2}


SAMPLE = {"data": {"road": "A1", "speed_kmh": 1}}


@pytest.mark.parametrize(
    ("manifest", "paths"),
    [
        pytest.param(traffic(tenant="bank"), {"/tenant"}, id="another-tenant"),
        pytest.param(traffic(version="1.0"), {"/version"}, id="a-version-of-two-numbers"),
        pytest.param(traffic(version=1.0), {"/version"}, id="a-version-that-is-a-number"),
        pytest.param(traffic(application="A b"), {"/application"}, id="a-name-that-is-none"),
        pytest.param(traffic(extra=1), {""}, id="an-unknown-key"),
        pytest.param(
            traffic(feed_schema={"type": "object", "minProperties": "x"}),
            {"/produces/0/schema/minProperties"}, id="a-schema-that-is-none",
        ),
        pytest.param(
            traffic(feed_schema={"type": "object", "$ref": "http://x/y"}),
            {"/produces/0/schema/$ref"}, id="a-schema-that-would-be-fetched",
        ),
        pytest.param(
            traffic(feed_schema={"type": "array"}), {"/produces/0/schema/type"},
            id="data-that-is-no-object",
        ),
        pytest.param(
            traffic(feed_samples=[SAMPLE, {"data": {"road": "A1", "speed_kmh": -1}}]),
            {"/produces/0/samples/1/data/speed_kmh"}, id="a-sample-that-breaks-the-schema",
        ),
        pytest.param(
            traffic(feed_key="/data/lane"), {"/produces/0/samples/0"}, id="a-sample-without-key"
        ),
        pytest.param(
            traffic(feed_key="/subject"), {"/produces/0/samples/0"}, id="a-sample-without-subject"
        ),
        pytest.param(traffic(feed_key="/elsewhere"), {"/produces/0/key"}, id="a-key-nowhere"),
        pytest.param(traffic(feed_samples=[]), {"/produces/0/samples"}, id="no-samples"),
        pytest.param(
            traffic(feed_shared_with="somebody"), {"/produces/0/shared_with"},
            id="shared-with-a-word",
        ),
        pytest.param(
            traffic(produces=[*traffic()["produces"]] * 2), {"/produces/1/type"}, id="a-feed-twice"
        ),
        pytest.param(
            traffic(consumes=[{"feed": "x", "purpose": "p"}] * 2), {"/consumes/1/feed"},
            id="a-wish-twice",
        ),
        pytest.param(
            traffic(consumes=[{"feed": "x"}]), {"/consumes/0"}, id="a-wish-without-purpose"
        ),
        pytest.param(
            coffee(action_sample={"cups": 0}), {"/actions/0/sample/cups"},
            id="an-input-that-does-not-conform",
        ),
        pytest.param(
            coffee(action_output={"type": 5}), {"/actions/0/output/type"},
            id="an-output-schema-that-is-none",
        ),
        pytest.param({k: v for k, v in coffee().items() if k != "runtime"}, {"/runtime"},
                     id="actions-without-a-runtime"),
        pytest.param(traffic(runtime={"kind": "component"}), {"/actions"},
                     id="a-runtime-without-actions"),
        pytest.param(coffee(runtime={"kind": "jar"}), {"/runtime/kind"}, id="another-runtime"),
        pytest.param(
            coffee(runtime={"kind": "component", "limits": {"cpu_s": 0}}),
            {"/runtime/limits/cpu_s"}, id="no-time-at-all",
        ),
        pytest.param(
            coffee(version="x", actions=[], consumes=5), {"/version", "/consumes"},
            id="several-at-once",
        ),
        pytest.param(
            traffic(
                tenant="bank", feed_key="/x", feed_schema={"type": "object", "required": 5}
            ),
            {"/tenant", "/produces/0/key", "/produces/0/schema/required"},
            id="several-that-only-a-second-look-finds",
        ),
        pytest.param("[1, 2]", {""}, id="a-list"),
        pytest.param("", {""}, id="nothing"),
        pytest.param("a: [", {""}, id="no-yaml"),
        pytest.param("a: &x 1\nb: *x", {""}, id="an-alias"),
        pytest.param("a: 1\na: 2", {""}, id="a-key-twice"),
        pytest.param("<<: {a: 1}", {""}, id="a-merge-key"),
        pytest.param("1: 2", {""}, id="a-key-that-is-no-text"),
        pytest.param("a: .nan", {""}, id="not-a-number"),
        pytest.param("a: !!set {b}", {""}, id="a-set"),
        pytest.param("a: !!binary aGk=", {""}, id="bytes"),
        pytest.param("a: !!python/object:os.system {}", {""}, id="an-object"),
        pytest.param('a: "\\ud800"', {""}, id="half-a-character"),
        pytest.param("[" * 5000, {""}, id="nested-beyond-reason"),
        pytest.param("a: " + "x" * 300_000, {""}, id="too-large"),
        pytest.param("a: 2024-02-31", {""}, id="a-date-that-is-text-here"),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_place(manifest, paths):
    assert faults(manifest) == paths


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["application", "version", "produces", "type", "schema", "samples", "data",
                         "actions", "runtime", "kind", "x"]), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_anything_is_a_manifest_or_has_faults(document):
    found, told = read_manifest(json.dumps(document), tenant="city")
    assert (found is None) == bool(told)
