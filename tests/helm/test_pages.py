"""Names over HTTP: the Service leads to where the servers listen, for the hosts that are given; and
there is nothing unless asked for."""

from __future__ import annotations

import tomllib

import pytest

from tests.support.chart_values import BASE, HOMEPORT
from tests.support.helm_rendering import Rendered, pods_of, render

CASE = "names-over-http"


@pytest.fixture(scope="module")
def rendered() -> dict[str, Rendered]:
    hostless = BASE | {"provisioner": {"pages": {"enabled": True}}}
    found = render("homeport", [HOMEPORT[CASE], HOMEPORT["the-least"], hostless])
    return dict(zip((CASE, "the-least", "hostless"), found, strict=True))


def test_its_service_leads_to_where_the_servers_listen(rendered) -> None:
    manifests = rendered[CASE].manifests()
    (settings,) = [
        tomllib.loads(one["data"]["homeport.toml"])
        for one in manifests
        if one["kind"] == "ConfigMap" and "directory_hosts" in one["data"].get("homeport.toml", "")
    ]
    assert settings["directory_hosts"] == {"talk.example": "talk"}
    ports = [
        port
        for one in manifests
        if one["kind"] == "Service"
        for port in one["spec"]["ports"]
        if port["name"] == "pages"
    ]
    assert ports[0]["port"] == 7706
    ((_, pod),) = [
        (name, pod)
        for name, pod in pods_of(manifests)
        if any(
            port["name"] == "pages" for one in pod["containers"] for port in one.get("ports", ())
        )
    ]
    listens = {one["name"]: one["containerPort"] for one in pod["containers"][0]["ports"]}
    assert settings["directory_http_listen"] == f"0.0.0.0:{listens[ports[0]['targetPort']]}"
    opened = {
        port["port"]
        for one in manifests
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"].get("ingress", ())
        for port in rule.get("ports", ())
    }
    assert 7706 in opened


def test_without_it_nothing_listens(rendered) -> None:
    text = "\n".join(rendered["the-least"].texts.values())
    assert "7706" not in text
    assert "directory_http_listen" not in text


def test_it_needs_hosts(rendered) -> None:
    assert "provisioner.pages.hosts" in rendered["hostless"].fault
