"""The store of the release: three members of etcd, made, kept over upgrades, away and
back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kube.chart_versions import CHART
from tests.support.kube.helm import Helm
from tests.support.kube.operator import RELEASE, SHARING, Operator
from tests.support.kube.requirements import needs_cluster
from tests.support.kube.tools import ToolFailed

pytestmark = [needs_cluster(), pytest.mark.timeout(900)]
ETCD = f"{RELEASE}-homeport-etcd"
SERVERS = f"{RELEASE}-homeport-provisioner"
MADE = (f"{ETCD}-password", f"{ETCD}-tls", f"{RELEASE}-homeport-ca")
SHARED = {"enabled": True, "volume": {"size": "1Gi"}}
WITHIN_S = 120.0


@pytest.fixture
def operator(helm: Helm, tmp_path: Path) -> Operator:
    made = Operator(helm=helm, folder=tmp_path)
    made.prepare()
    made.secret("wrapping", {"wrapping.key": f"{'A' * 43}="})
    return made


def until(what: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    end = time.monotonic() + WITHIN_S
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(1)
    return found


def values(operator: Operator, **more: Any) -> dict[str, Any]:
    store = {"enabled": True, "volume": {"size": "1Gi"}, "quotaBytes": 1 << 30}
    made = operator.values(etcd=store, keys={"wrappingSecret": "wrapping"}, **more)
    del made["store"]
    return made


def pods(helm: Helm, of: str) -> dict[str, str]:
    """By name, the uid of each that is not about to end."""
    found = json.loads(helm.kubectl("get", "pods", "-o", "json"))["items"]
    return {
        one["metadata"]["name"]: one["metadata"]["uid"]
        for one in found
        if one["metadata"]["name"].startswith(of) and "deletionTimestamp" not in one["metadata"]
    }


def secrets(helm: Helm, *names: str) -> dict[str, Any]:
    return {
        name: json.loads(helm.kubectl("get", "secret", name, "-o", "json"))["data"]
        for name in names
    }


def serves(operator: Operator) -> bool:
    return not [one for one in operator.doctor()["checks"] if one["outcome"] == "fail"]


def test_from_install_over_upgrades_to_what_is_kept(operator: Operator) -> None:
    helm = operator.helm
    helm.install(RELEASE, CHART, values=values(operator, sharing=SHARED))
    operator.declare("dublin")
    home = operator.homeport("provision", "phone", "--ip", "81.2.69.142")
    assert asks_for_a_password(operator)

    # Nothing has changed: what was made stays, and no pod goes.
    made, members, servers = secrets(helm, *MADE), pods(helm, ETCD), pods(helm, SERVERS)
    shared = pods(helm, SHARING)
    helm.upgrade(RELEASE, CHART, values=values(operator, sharing=SHARED))
    assert secrets(helm, *MADE) == made
    assert pods(helm, ETCD) == members
    assert pods(helm, SERVERS) == servers
    assert pods(helm, SHARING) == shared

    # A Secret that is read at the start has: servers go, one after the other, and members stay.
    operator.secret("wrapping", {"wrapping.key": f"{'A' * 43}=", "other": "1"})
    helm.upgrade(RELEASE, CHART, values=values(operator, sharing=SHARED))
    assert pods(helm, SERVERS).keys().isdisjoint(servers)
    assert pods(helm, SHARING) != shared
    assert pods(helm, ETCD) == members

    # Another name for the servers: a new certificate, of the CA that callers have.
    shown = (f"{SERVERS}-tls", f"{SHARING}-tls")
    before = secrets(helm, *shown)
    named = values(
        operator,
        tls={"source": "generate", "hosts": ["provision.example.net"]},
        sharing=SHARED,
    )
    helm.upgrade(RELEASE, CHART, values=named)
    after = secrets(helm, *shown)
    for name in shown:
        assert after[name]["tls.crt"] != before[name]["tls.crt"]
        assert after[name]["ca.crt"] == before[name]["ca.crt"]
    assert secrets(helm, *MADE) == made

    # What is kept is found again by the next release of this name.
    helm("uninstall", RELEASE, "--wait")
    until(lambda: not any(one.startswith("pod/") for one in helm.left_over()))
    volumes = {f"persistentvolumeclaim/data-{ETCD}-{number}" for number in range(3)}
    volumes.add(f"persistentvolumeclaim/data-{SHARING}-0")
    left_over = {one for one in helm.left_over() if f"{RELEASE}-homeport" in one}
    assert left_over == {f"secret/{ETCD}-password", *volumes}
    helm.install(RELEASE, CHART, values=values(operator, sharing=SHARED))
    assert operator.homeport("get", "phone")["unit"] == home["unit"]


def test_members_that_are_away(operator: Operator) -> None:
    helm = operator.helm
    helm.install(RELEASE, CHART, values=values(operator))
    operator.declare("dublin")
    until(lambda: serves(operator))

    helm.kubectl("delete", "pod", f"{ETCD}-0", "--wait=false")
    for number in range(20):
        operator.homeport("provision", f"client-{number}", "--ip", "81.2.69.142")
    helm.kubectl("rollout", "status", f"statefulset/{ETCD}", "--timeout=120s")

    helm.kubectl("scale", f"statefulset/{ETCD}", "--replicas=0")
    found = until(lambda: [one for one in operator.doctor()["checks"] if _is_of_store(one)])
    assert all(one["next_step"] for one in found)
    helm.kubectl("scale", f"statefulset/{ETCD}", "--replicas=3")
    until(lambda: serves(operator))
    assert operator.homeport("get", "client-0")["unit"] == "dublin"


def _is_of_store(check: dict[str, Any]) -> bool:
    return check["check"] == "store" and check["outcome"] == "fail"


def asks_for_a_password(operator: Operator) -> bool:
    """Whether etcd refuses another password and takes the one that was made."""
    document = operator.helm.kubectl("get", "configmap", f"{ETCD}-password", "-o", "yaml")
    text = yaml.safe_load(document)["data"]["homeport.toml"]
    folder = operator.folder / "store"
    folder.mkdir(mode=0o700)
    operator.content(f"{ETCD}-tls", "ca.crt", folder / "ca.crt")
    operator.content(f"{ETCD}-password", "password", folder / "password")
    (folder / "homeport.toml").write_text(
        text.replace("/etc/homeport/store-ca", str(folder)).replace(
            "/etc/homeport/store-password", str(folder)
        )
    )
    words = ["store", "require-password", f"--config={folder / 'homeport.toml'}", "-o", "json"]
    (done,) = json.loads(operator.command(*words))["stores"]
    assert done["changed"] is False
    (folder / "password").write_text("guessed")
    with pytest.raises(ToolFailed):
        operator.command(*words)
    return True
