"""The chart's console: the command that a pod has calls this release, as the operator it is for,
with nothing but its environment and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.cli.profile import Flags, Target, choose_target
from control_plane.auth.credentials import TOKEN_BYTES, new_token
from tests.support.certificates import Authority
from tests.support.chart_values import HOMEPORT
from tests.support.helm_rendering import Manifest, laid_out, pods_of, render, rewritten

CASES = {
    name: HOMEPORT[name]
    for name in ("a-console", "a-console-with-a-certificate", "a-console-in-a-mesh")
} | {
    "elsewhere": {
        "store": {"endpoints": ["etcd:2379"]}, "tls": {"source": "secret", "secrets": {
            "provisioner": "tls",
        }},
        "console": {"enabled": True, "token": {"secret": "token", "key": "ann.token"}},
        "nameOverride": "hp",
    },
}  # fmt: skip
TOKEN = new_token(bytes(TOKEN_BYTES))


@pytest.fixture(scope="module")
def manifests() -> dict[str, list[Manifest]]:
    found = render("homeport", list(CASES.values()))
    assert [one.fault for one in found] == [""] * len(CASES)
    return {name: one.manifests() for name, one in zip(CASES, found, strict=True)}


@pytest.fixture(scope="module")
def secrets() -> dict[str, dict[str, bytes]]:
    authority = Authority.new()
    certificate, key = authority.issue()
    tls = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.certificate}
    return {
        "tls": tls, "trial-homeport-provisioner-tls": tls,
        "ca": {"ca.crt": authority.certificate},
        "token": {"token": TOKEN.encode(), "ann.token": TOKEN.encode()},
    }  # fmt: skip


def pod_of(manifests: list[Manifest]) -> dict[str, Any]:
    return dict(pods_of(manifests))["console"]


def target(
    manifests: list[Manifest], secrets: Any, root: Path, *, data_sharing: bool = False
) -> Target:
    """Whom a command in the container calls, and as whom."""
    pod = pod_of(manifests)
    (container,) = pod["containers"]
    laid_out(pod, container, root, manifests, secrets)
    environ = {one["name"]: rewritten(one["value"], root) for one in container["env"]}
    nothing = root / "no-config.toml"
    return choose_target(Flags(), environ, nothing, data_sharing=data_sharing)


def test_with_a_token_it_calls_both_servers(manifests, secrets, tmp_path) -> None:
    for data_sharing, server in (
        (False, "trial-homeport-provisioner.homeport.svc:7700"),
        (True, "trial-homeport-sharing.homeport.svc:7703"),
    ):
        folder = tmp_path / str(data_sharing)
        found = target(manifests["a-console"], secrets, folder, data_sharing=data_sharing)
        assert (found.servers, found.tenant, found.token) == ((server,), "shop", TOKEN)
        tls = found.tls()
        assert tls is not None
        assert tls.root_certificates == secrets["tls"]["ca.crt"]


def test_with_a_certificate_it_shows_that(manifests, secrets, tmp_path) -> None:
    found = target(manifests["a-console-with-a-certificate"], secrets, tmp_path)
    tls = found.tls()
    assert tls is not None
    assert tls.certificate_chain == secrets["tls"]["tls.crt"]
    assert (found.token, found.tenant) == ("", "default")


def test_in_a_mesh_it_speaks_in_the_clear(manifests, secrets, tmp_path) -> None:
    found = target(manifests["a-console-in-a-mesh"], secrets, tmp_path)
    assert (found.tls(), found.token) == (None, "")


def test_names_and_keys_of_the_values_are_followed(manifests, secrets, tmp_path) -> None:
    found = target(manifests["elsewhere"], secrets, tmp_path)
    assert found.servers == ("trial-hp-provisioner.homeport.svc:7700",)
    assert found.token == TOKEN


@pytest.mark.parametrize("case", CASES)
def test_it_waits_and_sees_no_private_key_of_the_servers(manifests, case: str) -> None:
    pod = pod_of(manifests[case])
    (container,) = pod["containers"]
    assert [*container["command"], *container["args"]] == ["sleep", "infinity"]
    mounted = {
        item["key"]
        for volume in pod["volumes"]
        if volume["name"] != "certificate"
        for item in volume.get("secret", {}).get("items", [])
    }
    assert mounted <= {"ca.crt", "token", "ann.token"}
    assert all("items" in one["secret"] for one in pod["volumes"] if one["name"] in ("ca", "token"))


def test_it_is_there_where_it_is_asked_for_alone() -> None:
    (found,) = render("homeport", [HOMEPORT["the-least"]])
    assert "console" not in dict(pods_of(found.manifests()))
