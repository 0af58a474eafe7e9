"""Calls to a unit: its Service leads to where the call server listens and keeps the address of the
trunk, and there is none unless asked for, nor without accounts, trunks and an address."""

from __future__ import annotations

import tomllib

import pytest

from tests.support.chart_values import UNITS
from tests.support.helm_rendering import pods_of, render


def test_its_service_leads_to_where_the_call_server_listens() -> None:
    found, least = render("homeport-unit", [UNITS["everything"], UNITS["the-least"]])
    manifests = found.manifests()
    calls = [one for one in manifests if one["kind"] == "Service"][3]
    (port,) = calls["spec"]["ports"]
    ((_, pod),) = pods_of(manifests)
    ports = {one["name"]: one["containerPort"] for one in pod["containers"][0]["ports"]}
    (kept,) = [one for one in manifests if one["kind"] == "ConfigMap"]
    settings = tomllib.loads(kept["data"]["homeport.toml"])
    assert settings["sip_listen"] == f"0.0.0.0:{ports[port['targetPort']]}"
    assert settings["sip_address"] == "192.0.2.10:5060"
    assert (port["port"], port["protocol"]) == (5060, "UDP")
    assert calls["spec"]["externalTrafficPolicy"] == "Local"
    (policy,) = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    (opened,) = [rule for rule in policy["spec"]["ingress"]
                 if rule["ports"] == [{"port": ports["sip"], "protocol": "UDP"}]]  # fmt: skip
    assert "from" not in opened
    assert "7714" not in "\n".join(least.texts.values())


@pytest.mark.parametrize(
    ("settings", "sip", "fault"),
    [
        pytest.param({}, {}, "accounts: true", id="without-accounts"),
        pytest.param({"accounts": True}, {}, "sip_trunks", id="without-trunks"),
        pytest.param({"accounts": True, "sip_trunks": "a=192.0.2.1"}, {}, "sip.address",
                     id="without-an-address"),
    ],
)  # fmt: skip
def test_it_needs_accounts_trunks_and_an_address(
    settings: dict[str, object], sip: dict[str, object], fault: str
) -> None:
    values = UNITS["the-least"] | {"sip": {"enabled": True, **sip}, "settings": settings}
    (found,) = render("homeport-unit", [values])
    assert fault in found.fault
