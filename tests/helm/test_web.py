"""The web client of a unit: its Service leads to where the agent listens, and there is none unless
asked for, nor without accounts."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.support.chart_values import UNITS
from tests.support.helm_rendering import Rendered, pods_of, render

NAMES = ("the-least", "everything", "browsers-behind-an-ingress")


@pytest.fixture(scope="module")
def rendered() -> dict[str, Rendered]:
    found = render("homeport-unit", [UNITS[name] for name in NAMES])
    return dict(zip(NAMES, found, strict=True))


def services(found: Rendered) -> list[dict[str, Any]]:
    return [one for one in found.manifests() if one["kind"] == "Service"]


@pytest.mark.parametrize(("case", "protocol"), [(NAMES[1], "https"), (NAMES[2], "http")])
def test_its_service_leads_to_where_the_agent_listens(rendered, case: str, protocol: str) -> None:
    found = rendered[case]
    web = services(found)[1]
    (port,) = web["spec"]["ports"]
    ((_, pod),) = pods_of(found.manifests())
    ports = {one["name"]: one["containerPort"] for one in pod["containers"][0]["ports"]}
    (settings,) = [one for one in found.manifests() if one["kind"] == "ConfigMap"]
    listens = tomllib.loads(settings["data"]["homeport.toml"])["http_listen"]
    assert listens == f"0.0.0.0:{ports[port['targetPort']]}"
    assert (web["spec"]["type"], port["appProtocol"]) == ("ClusterIP", protocol)
    (policy,) = [one for one in found.manifests() if one["kind"] == "NetworkPolicy"]
    opened = [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]]
    assert ports["web"] in opened


def test_without_it_nothing_listens_and_nothing_is_open(rendered) -> None:
    assert "7712" not in "\n".join(rendered["the-least"].texts.values())
    assert len(services(rendered["the-least"])) == 1


def test_it_is_for_accounts() -> None:
    (found,) = render("homeport-unit", [UNITS["the-least"] | {"web": {"enabled": True}}])
    assert "accounts: true" in found.fault
