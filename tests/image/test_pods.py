"""The pods that the charts render, from the image, under `podman play kube`: a store of three
members with TLS and a password, a provisioning server, an agent of a unit, and clients.

No registry is asked for etcd's image: it is the etcd that Go built, on the base of this one."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from control_plane.auth.credentials import new_token
from control_plane.auth.tokens import digest_of
from tests.support.certificates import Authority
from tests.support.go_programs import ETCD_3_6, needs
from tests.support.helm_rendering import Manifest, render
from tests.support.image_storage import BASE, IMAGE, ROOT, ImageStorage, own_network
from tests.support.podman_pods import PlayedPod, PlayedPods, played_pods

NAMESPACE = "homeport"
READY_S, POLL_S = 240.0, 1.0
OPERATOR, AGENT = new_token(b"o" * 32), new_token(b"a" * 32)
UNIT = "trial-homeport-unit"
SERVER = "trial-homeport-provisioner.homeport.svc:7700"
SERVER_TLS = "trial-homeport-provisioner-tls"
ETCD = f"localhost/etcd:{ETCD_3_6.version}"
FLEET = {"units": [{
    "id": "eu", "endpoint": f"{UNIT}.{NAMESPACE}.svc:7710", "country": "DE", "capacity": 1000,
    "position": {"latitude": 50.1, "longitude": 8.7},
}]}  # fmt: skip
IMAGE_VALUES = {"repository": IMAGE.partition(":")[0], "tag": IMAGE.partition(":")[2]}
SERVERS = {
    "image": IMAGE_VALUES, "tls": {"source": "generate"}, "tokens": {"secret": "tokens"},
    "etcd": {
        "enabled": True, "image": {"repository": "localhost/etcd", "tag": ETCD_3_6.version},
    },
    "keys": {"wrappingSecret": "wrapping"}, "provisioner": {"replicas": 1},
    "test": {"tokenSecret": "operator"},
}  # fmt: skip
AGENT_VALUES = {
    "image": IMAGE_VALUES, "unit": {"id": "eu"}, "tls": {"secret": "unit-tls"},
    "server": {
        "endpoints": [SERVER], "caSecret": SERVER_TLS, "token": {"secret": "agent-token"},
    },
}  # fmt: skip
CLIENT = ROOT / "tests/support/image_client.py"
# What a kubelet does for a probe over HTTPS: whoever answers is believed.
GET = """
import ssl, sys, urllib.request
anyone = ssl._create_unverified_context()
urllib.request.urlopen(sys.argv[1], timeout=10, context=anyone)
"""

pytestmark = needs(ETCD_3_6, target="image-test")


def tokens_toml() -> str:
    """Of an operator, and of the agent."""
    entries = {OPERATOR: 'roles = ["admin"]', AGENT: 'roles = ["unit"]\nunits = ["eu"]'}
    return "".join(
        f'[[token]]\nname = "caller-{number}"\nsha256 = "{digest_of(token)}"\n{rest}\n'
        for number, (token, rest) in enumerate(entries.items())
    )


@pytest.fixture(scope="module")
def unit_authority() -> Authority:
    return Authority.new()


@pytest.fixture(scope="module")
def pods(unit_authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> PlayedPods:
    """As the charts render them, with what an operator puts into Secrets."""
    (servers,) = render("homeport", [SERVERS])
    (agent,) = render("homeport-unit", [AGENT_VALUES])
    assert (servers.fault, agent.fault) == ("", "")
    certificate, key = unit_authority.issue(names=[f"{UNIT}.{NAMESPACE}.svc"])
    secrets = {
        "tokens": {"tokens.toml": tokens_toml()},
        "operator": {"token": OPERATOR},
        "agent-token": {"token": AGENT},
        "wrapping": {"wrapping.key": "d3JhcHBpbmcta2V5LW9mLXRoaXJ0eS10d28tYnl0ZXM="},
        "unit-tls": {"tls.crt": certificate.decode(), "tls.key": key.decode()},
    }
    folder = tmp_path_factory.mktemp("secrets")
    return played_pods([*servers.manifests(), *agent.manifests()], NAMESPACE, secrets, folder)


@pytest.fixture(scope="module")
def machine(
    storage: ImageStorage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageStorage]:
    """The storage with an image of etcd, and a network of its own for what runs."""
    folder = tmp_path_factory.mktemp("etcd")
    shutil.copy(ETCD_3_6.path, folder / "etcd")
    (folder / "Containerfile").write_text(f"FROM {BASE}\nCOPY etcd /usr/bin/etcd\n")
    storage.podman("build", "--isolation=chroot", "--pull=never", "--tag", ETCD, str(folder))
    with own_network() as words:
        try:
            yield replace(storage, network=words)
        finally:
            storage.stop_all()


@pytest.fixture(scope="module")
def running(
    machine: ImageStorage, pods: PlayedPods, tmp_path_factory: pytest.TempPathFactory
) -> ImageStorage:
    """All that a release runs is started, as an operator would have it: the servers, the hook that
    gives etcd its password, the fleet, the agent; each is ready before the next one."""
    folder = tmp_path_factory.mktemp("manifests")
    machine.write_hosts(pods.hosts)
    for component in ("etcd", "provisioner"):
        for one in pods.of(component):
            play(machine, one, folder)
        for one in pods.of(component):
            wait_ready(machine, one)
    (hook,) = pods.of("etcd-password")
    play(machine, hook, folder)
    assert ended_well(machine, hook)
    (folder / "fleet.yaml").write_text(yaml.safe_dump(FLEET))
    (folder / "ca.crt").write_text(authority_of(pods))
    (folder / "token").write_text(OPERATOR)
    os.chown(folder / "token", 65532, 65532)  # it is read where it is closed to others
    (folder / "token").chmod(0o400)
    folder.chmod(0o755)
    machine.podman(
        "run", "--rm", "--network=host", f"--volume={folder}:/fleet:ro", IMAGE, "units", "apply",
        f"--server={SERVER}", "--ca=/fleet/ca.crt", "--token-file=/fleet/token",
        "--file=/fleet/fleet.yaml",
    )  # fmt: skip
    (agent,) = pods.of("agent")
    play(machine, agent, folder)
    wait_ready(machine, agent)
    return machine


def play(machine: ImageStorage, pod: PlayedPod, folder: Path) -> None:
    for one in pod.files:
        one.write()
    file = folder / f"{pod.name}.yaml"
    file.write_text(yaml.safe_dump_all(pod.documents))
    machine.podman("play", "kube", "--network=host", str(file))


def wait_ready(machine: ImageStorage, pod: PlayedPod) -> None:
    """Until its readiness probe succeeds. Fails with what its container says."""
    end = time.monotonic() + READY_S
    while not is_ready(machine, pod):
        state = container_of(machine, pod)["State"]
        if not state["Running"] or time.monotonic() > end:
            pytest.fail(f"{pod.name} is not ready: {state}\n{log_of(machine, pod)}")
        time.sleep(POLL_S)


def is_ready(machine: ImageStorage, pod: PlayedPod) -> bool:
    if "exec" in pod.readiness:
        done = machine.attempt("exec", pod.container, *pod.readiness["exec"]["command"])
        return done.returncode == 0
    get = pod.readiness["httpGet"]
    scheme = get.get("scheme", "HTTP").lower()
    url = f"{scheme}://{pod.address}:{get['port']}{get['path']}"
    return machine.inside(sys.executable, "-c", GET, url).returncode == 0


def ended_well(machine: ImageStorage, pod: PlayedPod) -> bool:
    """Waits for the end of its last container. Fails with what each of them says."""
    code = machine.podman("wait", pod.container).strip()
    if code != "0":
        pytest.fail(f"{pod.name} ended with {code}:\n{log_of(machine, pod)}")
    return True


def container_of(machine: ImageStorage, pod: PlayedPod) -> Manifest:
    found: Manifest = json.loads(machine.podman("container", "inspect", pod.container))[0]
    return found


def log_of(machine: ImageStorage, pod: PlayedPod) -> str:
    done = machine.attempt("pod", "logs", pod.name)
    return f"{done.stdout[-4000:]}{done.stderr[-4000:]}"


def authority_of(pods: PlayedPods) -> str:
    """The CA of the servers, as the pod of `helm test` is given it."""
    (test,) = pods.of("test")
    (found,) = [one.text for one in test.files if one.path.name == "ca.crt"]
    return found


def test_the_pod_of_helm_test_provisions_a_client(
    running: ImageStorage, pods: PlayedPods, tmp_path: Path
) -> None:
    """`helm test`: a client is provisioned, explained and released, one container after another."""
    (pod,) = pods.of("test")
    play(running, pod, tmp_path)
    assert ended_well(running, pod)


def test_a_client_gets_a_ticket_that_its_unit_admits(
    running: ImageStorage, pods: PlayedPods, unit_authority: Authority
) -> None:
    said = running.podman(
        "run", "--rm", "--network=host", "--read-only", "--entrypoint=python", IMAGE,
        "-c", CLIENT.read_text(), SERVER, authority_of(pods), OPERATOR, "phone", "81.2.69.142",
        unit_authority.certificate.decode(),
    )  # fmt: skip
    assert json.loads(said) == {
        "unit": "eu", "endpoint": FLEET["units"][0]["endpoint"], "epoch": 1,
        "admitted": True, "client": "phone", "forged admitted": False,
    }  # fmt: skip


def test_without_a_token_nobody_hears_of_the_fleet(
    running: ImageStorage, pods: PlayedPods, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_text(authority_of(pods))
    tmp_path.chmod(0o755)
    words = [
        "run", "--rm", "--network=host", f"--volume={tmp_path}:/ca:ro",
        f"--env=HOMEPORT_SERVER={SERVER}", "--env=HOMEPORT_CA=/ca/ca.crt",
    ]  # fmt: skip
    listed = running.podman(*words, f"--env=HOMEPORT_TOKEN={OPERATOR}", IMAGE, "units", "list")
    assert "eu" in listed.split()
    done = running.attempt(*words, IMAGE, "units", "list")
    assert done.returncode != 0
    assert "eu" not in done.stdout.split()
    assert "token" in done.stderr


def test_each_pod_runs_as_the_chart_says(running: ImageStorage, pods: PlayedPods) -> None:
    for component in ("etcd", "provisioner", "agent"):
        for one in pods.of(component):
            found = container_of(running, one)
            assert found["Config"]["User"] == "65532:65532", one.name
            assert found["HostConfig"]["ReadonlyRootfs"], one.name
            assert not found["EffectiveCaps"], one.name
            assert "no-new-privileges" in found["HostConfig"]["SecurityOpt"], one.name
            assert found["HostConfig"]["Memory"] > 0, one.name
            assert found["State"]["Running"], one.name
