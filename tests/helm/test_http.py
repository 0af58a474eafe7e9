"""HTTP and JSON of the provisioning servers: from an Ingress or a Gateway through the Service to
where they listen, for every path that they serve; and nothing of it unless asked for."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from provisioner.api.http_routes import OPENAPI, ROUTES
from tests.support.chart_values import HOMEPORT
from tests.support.helm_rendering import Manifest, Rendered, pods_of, render

NAMES = (
    "the-least", "http-alone", "http-behind-an-ingress", "http-behind-a-gateway", "http-in-a-mesh",
    "example-web-and-devices",
)  # fmt: skip
SERVED = NAMES[1:]
SERVICE = "trial-homeport-provisioner"


@pytest.fixture(scope="module")
def rendered() -> dict[str, Rendered]:
    found = render("homeport", [HOMEPORT[name] for name in NAMES])
    return dict(zip(NAMES, found, strict=True))


def of_kind(found: Rendered, kind: str) -> list[Manifest]:
    return [
        one
        for one in found.manifests()
        if one["kind"] == kind and one["metadata"]["name"].endswith("provisioner")
    ]


def port_of_service(found: Rendered) -> dict[str, Any]:
    (service,) = of_kind(found, "Service")
    (port,) = [one for one in service["spec"]["ports"] if one["name"] == "http"]
    return port


@pytest.mark.parametrize("case", SERVED)
def test_the_service_leads_to_where_the_servers_listen(rendered, case: str) -> None:
    found = rendered[case]
    port = port_of_service(found)
    container = dict(pods_of(found.manifests()))["provisioner"]["containers"][0]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    (settings,) = of_kind(found, "ConfigMap")
    listens = tomllib.loads(settings["data"]["homeport.toml"])["http_listen"]
    assert listens == f"0.0.0.0:{ports[port['targetPort']]}"
    assert port["appProtocol"] == ("http" if case == "http-in-a-mesh" else "https")
    (policy,) = of_kind(found, "NetworkPolicy")
    opened = [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]]
    assert ports["http"] in opened


def test_without_it_nothing_listens_and_nothing_is_open(rendered) -> None:
    text = "\n".join(rendered["the-least"].texts.values())
    assert "7702" not in text
    assert "http_listen" not in text
    assert not of_kind(rendered["the-least"], "Ingress")


PATHS = [
    OPENAPI.replace("{tenant}", "t").replace("{client_id}", "c"),
    *(route.path.replace("{tenant}", "t").replace("{client_id}", "c") for route in ROUTES),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_passed_on(rendered, path: str) -> None:
    (ingress,) = of_kind(rendered["http-behind-an-ingress"], "Ingress")
    for rule in ingress["spec"]["rules"]:
        takers = [
            one["backend"]["service"]
            for one in rule["http"]["paths"]
            if passes(path, one["path"], exact=one["pathType"] == "Exact")
        ]
        assert takers == [{"name": SERVICE, "port": {"name": "http"}}]
    (route,) = of_kind(rendered["http-behind-a-gateway"], "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    matches = [one["path"] for one in rule["matches"]]
    assert any(passes(path, one["value"], exact=one["type"] == "Exact") for one in matches)
    port = port_of_service(rendered["http-behind-a-gateway"])["port"]
    assert rule["backendRefs"] == [{"name": SERVICE, "port": port}]


def passes(path: str, rule: str, *, exact: bool) -> bool:
    """As both kinds have it: a prefix is of whole segments."""
    return path == rule or (not exact and path.startswith(f"{rule.rstrip('/')}/"))


def test_other_paths_are_not(rendered) -> None:
    (ingress,) = of_kind(rendered["http-behind-an-ingress"], "Ingress")
    rules = ingress["spec"]["rules"][0]["http"]["paths"]
    for path in ("/", "/v10/x", "/metrics", "/openapi.json/x"):
        assert not [
            one for one in rules if passes(path, one["path"], exact=one["pathType"] == "Exact")
        ]


def test_an_ingress_has_the_names_and_the_certificate(rendered) -> None:
    (ingress,) = of_kind(rendered["http-behind-an-ingress"], "Ingress")
    names = ["p.example.net", "*.example.org"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": names, "secretName": "web"}]
    assert [one["host"] for one in ingress["spec"]["rules"]] == names
    assert ingress["metadata"]["annotations"] == {"a": "b"}
    (plain,) = of_kind(rendered["http-in-a-mesh"], "Ingress")
    assert plain["spec"]["tls"] == [{"hosts": ["p.example.net"]}]


def test_a_gateway_calls_over_tls_and_knows_whom(rendered) -> None:
    (route,) = of_kind(rendered["http-behind-a-gateway"], "HTTPRoute")
    assert route["spec"]["parentRefs"] == [{"name": "web", "namespace": "gateways"}]
    assert route["spec"]["hostnames"] == ["p.example.net"]
    (policy,) = of_kind(rendered["http-behind-a-gateway"], "BackendTLSPolicy")
    (whom,) = policy["spec"]["targetRefs"]
    assert (whom["name"], whom["sectionName"]) == (SERVICE, "http")
    (certificate,) = of_kind(rendered["http-behind-a-gateway"], "Certificate")
    assert policy["spec"]["validation"]["hostname"] in certificate["spec"]["dnsNames"]
    assert of_kind(rendered["http-in-a-mesh"], "BackendTLSPolicy") == []


@pytest.mark.parametrize(
    ("case", "where"),
    [
        ("http-alone", f"https://{SERVICE}.homeport.svc:7702"),
        ("http-behind-an-ingress", "https://p.example.net"),
        ("http-behind-a-gateway", "https://p.example.net"),
        ("http-in-a-mesh", "https://p.example.net"),
        ("example-web-and-devices", "https://provision.example.net"),
    ],
)
def test_the_notes_say_how_to_call_it(rendered, case: str, where: str) -> None:
    notes = next(text for name, text in rendered[case].texts.items() if name.endswith("NOTES.txt"))
    (line,) = [one for one in notes.splitlines() if "curl" in one]
    assert line.split()[-1] == f"{where}/v1/tenants/default/clients/alice:provision"
    assert ("--cacert" in line) == (case == "http-alone")
    warns = case in ("http-behind-a-gateway", "http-in-a-mesh")
    assert ("trusted_proxies" in notes) == warns
