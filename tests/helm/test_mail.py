"""Mail to a unit: its Service leads to where the agent listens for it and keeps the address of the
other side, and there is none unless asked for, nor without accounts and a domain."""

from __future__ import annotations

import tomllib

import pytest

from tests.support.chart_values import UNITS
from tests.support.helm_rendering import pods_of, render


def test_its_service_leads_to_where_the_agent_listens() -> None:
    found, least = render("homeport-unit", [UNITS["everything"], UNITS["the-least"]])
    manifests = found.manifests()
    mail = [one for one in manifests if one["kind"] == "Service"][2]
    (port,) = mail["spec"]["ports"]
    ((_, pod),) = pods_of(manifests)
    ports = {one["name"]: one["containerPort"] for one in pod["containers"][0]["ports"]}
    (settings,) = [one for one in manifests if one["kind"] == "ConfigMap"]
    listens = tomllib.loads(settings["data"]["homeport.toml"])["smtp_listen"]
    assert listens == f"0.0.0.0:{ports[port['targetPort']]}"
    assert (mail["spec"]["type"], port["port"]) == ("LoadBalancer", 25)
    assert mail["spec"]["externalTrafficPolicy"] == "Local"
    (policy,) = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    (opened,) = [
        rule for rule in policy["spec"]["ingress"]
        if [one["port"] for one in rule["ports"]] == [ports["smtp"]]
    ]  # fmt: skip
    assert "from" not in opened, "callers of the agent are not those who bring mail"
    assert "7713" not in "\n".join(least.texts.values())


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        pytest.param({}, "accounts: true", id="without-accounts"),
        pytest.param({"accounts": True}, "mail_domain", id="without-a-domain"),
    ],
)
def test_it_needs_accounts_and_a_domain(settings: dict[str, object], fault: str) -> None:
    values = UNITS["the-least"] | {"mail": {"enabled": True}, "settings": settings}
    (found,) = render("homeport-unit", [values])
    assert fault in found.fault
