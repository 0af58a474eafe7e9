"""Pods of the charts as podman takes them: what must change does, and nothing else."""

from __future__ import annotations

import stat
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart_values import CASES, HOMEPORT, UNITS
from tests.support.helm_rendering import Manifest, containers_of, pods_of, render
from tests.support.podman_pods import PlayedPod, PlayedPods, played_pods

FOLDER = Path("/nowhere")
# Each component once with little and once with much.
PLAYED = {
    "homeport": ["a-store-of-its-own-by-cert-manager", "sharing-and-a-platform", "keys",
                 "everything-around", "nothing-around", "http-alone", "a-console"],
    "homeport-unit": list(UNITS),
}  # fmt: skip
# What podman does by itself, and what only a cluster reads.
KEPT = ("securityContext", "resources", "image", "imagePullPolicy", "volumeMounts", "name")


def secrets_named(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    """A text for each key that a pod mounts, of Secrets that an operator makes."""
    found: dict[str, dict[str, str]] = {}
    for _, pod in pods_of(manifests):
        for volume in pod.get("volumes", ()):
            if "secret" in volume:
                secret = volume["secret"]
                keys = [one["key"] for one in secret.get("items", [{"key": "key"}])]
                found.setdefault(secret["secretName"], {}).update(dict.fromkeys(keys, "text"))
    made = {one["metadata"]["name"] for one in manifests if one["kind"] == "Secret"}
    return {name: keys for name, keys in found.items() if name not in made}


def played(chart: str, values: dict[str, Any]) -> tuple[list[Manifest], PlayedPods]:
    (one,) = render(chart, [values])
    assert one.fault == ""
    manifests = one.manifests()
    return manifests, played_pods(manifests, "homeport", secrets_named(manifests), FOLDER)


def plain(spec: Manifest) -> Manifest:
    """A pod's spec without what podman is told otherwise."""
    changed = {"volumes", "containers", "initContainers", "hostNetwork", "hostname", "subdomain"}
    return {key: value for key, value in spec.items() if key not in changed}


@pytest.mark.parametrize("chart", PLAYED)
def test_every_kind_of_pod_can_be_played(chart: str) -> None:
    """With all its containers, mounts and limits, and every volume that it mounts."""
    cases = [CASES[chart][name] for name in PLAYED[chart]]
    for values, one in zip(PLAYED[chart], render(chart, cases), strict=True):
        manifests = one.manifests()
        templates = list(pods_of(manifests))
        maps = {"instruction-keys": {"keys.json": "{}"}}
        found = played_pods(manifests, "homeport", secrets_named(manifests) | maps, FOLDER)
        assert {pod.component for pod in found.pods} == {name for name, _ in templates}, values
        for pod in found.pods:
            assert yaml.safe_load_all(yaml.safe_dump_all(pod.documents))
            (before,) = [spec for name, spec in templates if name == pod.component]
            after = pod.documents[-1]["spec"]
            assert plain(after) == plain(before)
            mounted = {volume["name"] for volume in after["volumes"]}
            for old, new in zip(containers_of(before), containers_of(after), strict=True):
                assert {key: new.get(key) for key in KEPT} == {key: old.get(key) for key in KEPT}
                assert {mount["name"] for mount in new["volumeMounts"]} <= mounted
                assert len(new.get("args", ())) == len(old.get("args", ()))


@cache
def store() -> PlayedPods:
    return played("homeport", HOMEPORT["a-store-of-its-own"])[1]


def arguments(pod: PlayedPod) -> list[str]:
    found: list[str] = pod.documents[-1]["spec"]["containers"][0]["args"]
    return found


def test_members_of_a_set_have_names_addresses_and_volumes_of_their_own() -> None:
    members = store().of("etcd")
    assert [one.name for one in members] == [f"trial-homeport-etcd-{n}" for n in range(3)]
    assert len({one.address for one in members}) == 3
    for one in members:
        assert f"--name={one.name}" in arguments(one)
        assert f"--listen-client-urls=https://{one.address}:2379" in arguments(one)
        claim = one.documents[0]
        assert (claim["kind"], claim["metadata"]["name"]) == (
            "PersistentVolumeClaim", f"data-{one.name}"
        )  # fmt: skip
        assert claim["metadata"]["annotations"]["volume.podman.io/uid"] == "65532"
        data = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{one.name}"}}
        assert data in one.documents[-1]["spec"]["volumes"]
        assert one.readiness["httpGet"]["port"] == 2381


def test_one_that_is_alone_listens_on_all_addresses() -> None:
    (agent,) = played("homeport-unit", UNITS["everything"])[1].of("agent")
    (settings,) = [one for one in agent.documents if one["kind"] == "ConfigMap"]
    assert 'listen = "0.0.0.0:7710"' in settings["data"]["homeport.toml"]
    assert 'metrics_listen = "0.0.0.0:7711"' in settings["data"]["homeport.toml"]
    assert agent.readiness["httpGet"]["path"] == "/readyz"


def test_services_and_members_are_found_by_the_names_that_a_cluster_gives_them() -> None:
    found = store()
    names = {
        name: line.split()[0] for line in reversed(found.hosts.splitlines())
        for name in line.split()[1:]
    }  # fmt: skip
    for one in found.of("etcd"):
        assert names[f"{one.name}.trial-homeport-etcd.homeport.svc"] == one.address
    assert names["trial-homeport-provisioner.homeport.svc"] == found.of("provisioner")[0].address
    assert names["trial-homeport-etcd.homeport.svc"] == found.of("etcd")[0].address
    assert names["localhost"] == "127.0.0.1"


def pod_of(**more: Any) -> Manifest:
    container = {"name": "one", "image": "one", "command": ["one"], "volumeMounts": []}
    return {
        "kind": "Pod", "metadata": {"name": "one", "labels": {}},
        "spec": {"containers": [container | more], "securityContext": {"fsGroup": 7}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        pytest.param("--name=$(POD_NAME).x", "--name=one.x", id="a field"),
        pytest.param("$(A)$(A)", "bb", id="a value, twice"),
        pytest.param("$(NOBODY)", "$(NOBODY)", id="no variable"),
        pytest.param("$$(A)", "$(A)", id="with two dollars it is meant as it stands"),
        pytest.param("$A ${A} $(date", "$A ${A} $(date", id="a shell's"),
        pytest.param("0.0.0.0:1", "0.0.0.0:1", id="an address, of one that is alone"),
    ],
)
def test_variables_are_filled_in_as_kubernetes_does_it(word: str, filled: str) -> None:
    env = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "A", "value": "b"},
    ]
    (found,) = played_pods([pod_of(args=[word], env=env)], "n", {}, FOLDER).pods
    assert arguments(found) == [filled]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        pytest.param("0.0.0.0:7700", "127.1.0.2:7700", id="all addresses"),
        pytest.param("https://0.0.0.0:1,https://0.0.0.0:2", "https://127.1.0.2:1,https://127.1.0.2:2",
                     id="two of them"),
        pytest.param("10.0.0.0.0", "10.0.0.0.0", id="none"),
        pytest.param("127.0.0.1:1", "127.0.0.1:1", id="another one"),
    ],
)  # fmt: skip
def test_of_replicas_each_listens_on_its_own_address(text: str, own: str) -> None:
    spec = pod_of(args=[text])["spec"]
    workload = {
        "kind": "Deployment", "metadata": {"name": "w"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {}}, "spec": spec}},
    }  # fmt: skip
    assert arguments(played_pods([workload], "n", {}, FOLDER).pods[1]) == [own]


def test_a_variable_from_elsewhere_is_refused() -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]
    with pytest.raises(ValueError, match="A comes from"):
        played_pods([pod_of(env=env)], "n", {}, FOLDER)


def test_a_secret_is_mounted_by_key_and_mode_and_group(tmp_path: Path) -> None:
    pod = pod_of()
    item = {"key": "ca.crt", "path": "authority.pem"}
    pod["spec"]["volumes"] = [
        {"name": "ca", "secret": {"secretName": "s", "defaultMode": 0o440, "items": [item]}},
        {"name": "all", "secret": {"secretName": "s", "defaultMode": 0o400}},
    ]
    secrets = {"s": {"ca.crt": "ca", "tls.key": "key"}}
    (found,) = played_pods([pod], "n", secrets, tmp_path).pods
    assert list(tmp_path.iterdir()) == []
    assert {(str(one.path.relative_to(tmp_path)), one.text, one.mode, one.group)
            for one in found.files} == {
        ("one/ca/authority.pem", "ca", 0o440, 7),
        ("one/all/ca.crt", "ca", 0o400, 7), ("one/all/tls.key", "key", 0o400, 7),
    }  # fmt: skip
    volumes = found.documents[-1]["spec"]["volumes"]
    assert volumes[0]["hostPath"] == {"path": f"{tmp_path}/one/ca", "type": "Directory"}


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o444])
def test_a_file_of_a_secret_has_its_mode(tmp_path: Path, mode: int) -> None:
    pod = pod_of()
    pod["spec"]["securityContext"] = {}
    pod["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s", "defaultMode": mode}}]
    (found,) = played_pods([pod], "n", {"s": {"key": "text"}}, tmp_path).pods
    (file,) = found.files
    file.write()
    assert file.path.read_text() == "text"
    assert stat.S_IMODE(file.path.stat().st_mode) == mode


def test_what_is_nowhere_is_named() -> None:
    pod = pod_of()
    pod["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "gone"}}]
    with pytest.raises(KeyError, match="gone"):
        played_pods([pod], "n", {}, FOLDER)
    with pytest.raises(KeyError, match="no pod of agent"):
        store().of("agent")
