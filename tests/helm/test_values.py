"""What the charts' values may be: a schema that is theirs, and refusals that say what to do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.helm_rendering import HELM, render


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("helm_generate", HELM / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["helm_generate"] = module
    spec.loader.exec_module(module)
    return module


generate = _generator()
STORE = {"store": {"endpoints": ["etcd:2379"]}}
MADE: dict[str, Any] = {"tls": {"source": "generate"}, "etcd": {"enabled": True}}
BASE: dict[str, Any] = {**STORE, "tls": {"source": "generate"}, "tokens": {"secret": "t"}}


@pytest.mark.parametrize("path", list(generate.outputs()), ids=lambda path: Path(path).name)
def test_schemas_and_the_page_of_values_are_what_the_values_say(path: Path) -> None:
    assert path.read_text() == generate.outputs()[path], "run python helm/generate.py"


@pytest.mark.parametrize("service", list(generate.OURS))
def test_every_setting_can_be_said_by_values_or_has_a_reason(service: str) -> None:
    kind, ours = generate.OURS[service]
    assert set(ours) <= set(kind.model_fields), "reasons of settings that there are not"
    free = set(generate.settings_schema(service)["properties"])
    assert free | set(ours) == set(kind.model_fields)
    assert not free & set(ours)
    assert not free & set(kind.secrets), "a secret in a ConfigMap"
    values = {
        ".".join(value.path)
        for name in generate.CHARTS
        for value in generate.values_of((HELM / name / "values.yaml").read_text())
    }
    named = {why[1:-1] for why in ours.values() if why.startswith("`") and why.endswith("`")}
    assert {one for one in named if one not in values} == set()


REFUSED: list[Any] = [
    pytest.param({"tls": {"source": "generate"}}, "store.endpoints names etcd", id="no-store"),
    pytest.param(STORE, "tls.issuer.name", id="no-issuer"),
    pytest.param({**STORE, "tls": {"source": "secret"}}, "tls.secrets.provisioner", id="no-secret"),
    pytest.param({**BASE, "storre": {}}, "storre", id="an-unknown-value"),
    pytest.param({**BASE, "tls": {"source": "magic"}}, "source", id="an-unknown-source"),
    pytest.param(
        {**BASE, "provisioner": {"settings": {"listen": "0.0.0.0:1"}}}, "listen", id="the-charts"
    ),
    pytest.param(
        {**BASE, "provisioner": {"settings": {"move_rate_per_s": 0}}}, "move_rate_per_s",
        id="a-setting-out-of-range",
    ),
    pytest.param({**BASE, "provisioner": {"replicas": "3"}}, "replicas", id="a-text-for-a-number"),
    pytest.param(
        {**BASE, "store": {"endpoints": ["a:1"], "user": "root"}}, "store.password.secret",
        id="a-user-without-a-password",
    ),
    pytest.param({**BASE, "platform": {"enabled": True}}, "platform.server", id="no-sharing"),
    pytest.param(
        {**BASE, "sharing": {"enabled": True, "feeds": {"servers": ["nats://n:4222"]}}},
        "keys.signingSecret", id="feeds-on-nats-with-a-key-in-each-volume",
    ),
    pytest.param(
        {**BASE, "provisioner": {"settings": {"http_listen": "0.0.0.0:1"}}}, "http_listen",
        id="http-at-a-port-that-the-chart-does-not-know",
    ),
    *(
        pytest.param({**BASE, "provisioner": {"http": http}}, word, id=f"http-{name}")
        for name, http, word in (
            ("of-nobody-behind-an-ingress",
             {"ingress": {"enabled": True, "hosts": ["a"]}}, "provisioner.http.enabled"),
            ("of-nobody-behind-a-gateway",
             {"route": {"enabled": True, "gateways": [{"name": "g"}]}}, "provisioner.http.enabled"),
            ("behind-an-ingress-without-names",
             {"enabled": True, "ingress": {"enabled": True}}, "provisioner.http.ingress.hosts"),
            ("behind-no-gateway",
             {"enabled": True, "route": {"enabled": True}}, "provisioner.http.route.gateways"),
            ("behind-a-gateway-that-trusts-nobody",
             {"enabled": True, "route": {"enabled": True, "gateways": [{"name": "g"}]}},
             "provisioner.http.route.caConfigMap"),
        )
    ),
    pytest.param(
        {**BASE, "console": {"enabled": True}}, "console.token.secret", id="a-console-of-nobody"
    ),
    pytest.param(
        {**STORE, "tls": {"source": "none"}, "insecure": True,
         "console": {"enabled": True, "certificateSecret": "c"}},
        "console.certificateSecret needs TLS", id="a-console-with-a-certificate-in-the-clear",
    ),
    *(
        pytest.param({**BASE, "etcd": {"enabled": True}, "store": store}, f"leave out {name}",
                     id=f"a-store-of-its-own-and-{name}")
        for name, store in {
            "store.endpoints": STORE["store"], "store.user": {"user": "root"},
            "store.password.secret": {"password": {"secret": "p"}},
            "store.tls.caSecret": {"tls": {"caSecret": "c"}},
            "store.tls.certificateSecret": {"tls": {"certificateSecret": "c"}},
            "store.tls.enabled": {"tls": {"enabled": False}},
            "store.assignmentStores": {"assignmentStores": {"east": ["a:1"]}},
        }.items()
    ),
    pytest.param(
        {"tls": {"source": "none"}, "insecure": True, "etcd": {"enabled": True}},
        "etcd.tls.source", id="etcd-without-tls",
    ),
    pytest.param(
        {**MADE, "tls": {"source": "secret", "secrets": {"provisioner": "t"}}}, "etcd.tls.secret",
        id="etcd-without-its-secret",
    ),
    pytest.param(
        {**MADE, "etcd": {"enabled": True, "initialClusterState": "old"}}, "initialClusterState",
        id="an-unknown-state-of-a-cluster",
    ),
    pytest.param(
        {**BASE, "provisioner": {"autoscaling": {"enabled": True, "min": 9, "max": 3}}},
        "min is greater than max", id="fewer-at-most-than-at-least",
    ),
]  # fmt: skip


def test_values_that_cannot_work_are_refused_and_say_why() -> None:
    cases = [one.values for one in REFUSED]
    found = render("homeport", [values for values, _ in cases])
    assert [
        one.fault for one, (_, word) in zip(found, cases, strict=True) if word not in one.fault
    ] == []


def test_a_value_without_a_description_is_seen() -> None:
    with pytest.raises(ValueError, match="a has no description"):
        generate.values_of("a: 1\n")


def test_nothing_that_the_schemas_do_not_have_is_taken() -> None:
    def groups(schema: dict[str, Any]) -> list[dict[str, Any]]:
        inside = schema.get("properties", {}).values()
        return [schema, *(one for part in inside for one in groups(part))]

    for chart in generate.CHARTS:
        schema = json.loads((HELM / chart / "values.schema.json").read_text())
        for group in groups(schema):
            if "properties" in group:
                assert group["additionalProperties"] is False
            assert "description" in group or "properties" in group
