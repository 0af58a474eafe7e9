"""`homeport doctor --cluster`: what it asks of kubectl, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cli.failure import CommandFailed
from console.cli.kubernetes.kubectl import Access
from tests.support.command_line import CommandLine
from tests.support.fakes.kubectl import FakeKubectl
from tests.support.kube.release_objects import VERSION, healthy_release
from tests.support.kube.spoiled_release import containers

FORBIDDEN = 'Error from server (Forbidden): secrets is forbidden: User "dev" cannot list resource'
METRICS = f"""# TYPE homeport_build_info gauge
homeport_build_info{{{{version="{VERSION}"}}}} 1.0
# TYPE homeport_store_connected gauge
homeport_store_connected {{connected}}
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    """A healthy release, on the PATH."""
    fake = FakeKubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.program.parent}:/usr/bin:/bin")
    fake.hold(healthy_release())
    say(fake, "hp-provisioner-0", connected=1, ready="ready")
    return fake


def say(fake: FakeKubectl, pod: str, *, connected: int, ready: str) -> None:
    path = f"/api/v1/namespaces/homeport/pods/{pod}:7701/proxy"
    fake.answer(f"{path}/metrics", METRICS.format(connected=connected))
    fake.answer(f"{path}/readyz", ready)


def test_a_release_that_is_well(cli: CommandLine, cluster: FakeKubectl) -> None:
    ran = cli("doctor", "--cluster", "-o", "json")
    document = ran.document
    assert (ran.code, document["healthy"]) == (0, True)
    checks = {one["check"] for one in document["checks"]}
    assert {"secrets", "certificates", "tokens", "pods", "servers", "policies"} <= checks


def test_it_reads_and_nothing_else(cli: CommandLine, cluster: FakeKubectl, tmp_path: Path) -> None:
    own = tmp_path / "k"
    own.write_text("{kind: Config}")
    cli("doctor", "--cluster", "--context", "c", "--kubeconfig", str(own), "-n", "homeport")
    assert cluster.calls
    assert {call.split()[0] for call in cluster.calls} == {"get"}
    assert all("--context=c" in call and f"--kubeconfig={own}" in call for call in cluster.calls)


def test_a_server_without_its_store_fails(cli: CommandLine, cluster: FakeKubectl) -> None:
    say(cluster, "hp-provisioner-0", connected=0, ready="not ready")
    ran = cli("doctor", "--cluster")
    assert ran.code == 1
    assert "lost its store" in " ".join(ran.out.split())


@pytest.mark.parametrize("port", [2381, "metrics"])
def test_members_of_the_store_are_asked_over_https(
    cli: CommandLine, cluster: FakeKubectl, port: int | str
) -> None:
    objects = healthy_release()
    (container,) = containers(objects, "statefulsets", "hp-etcd")
    container["ports"].append({"name": "metrics", "containerPort": 2381})
    container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": port, "scheme": "HTTPS"}}
    cluster.hold(objects)
    target = "/api/v1/namespaces/homeport/pods/https:hp-etcd-0:2381/proxy"
    cluster.answer(f"{target}/metrics", "# TYPE etcd_server_has_leader gauge\n")
    ran = cli("doctor", "--cluster", "-o", "json")
    assert [one for one in ran.document["checks"] if one["check"] == "metrics"] == []


def test_who_may_not_read_secrets_is_told_so(cli: CommandLine, cluster: FakeKubectl) -> None:
    cluster.refuse("secrets", FORBIDDEN)
    ran = cli("doctor", "--cluster", "-o", "json")
    found = [one for one in ran.document["checks"] if one["outcome"] != "ok"]
    assert [one["check"] for one in found] == ["secrets"]
    assert "cannot list resource" in found[0]["seen"]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            "The connection to the server 127.0.0.1:1 was refused", "refused", id="nobody there"
        ),
        pytest.param("error: You must be logged in to the server", "logged in", id="no login"),
    ],
)
def test_a_cluster_that_cannot_be_reached(
    cli: CommandLine, cluster: FakeKubectl, words: str, said: str
) -> None:
    cluster.refuse("pods", words)
    ran = cli("doctor", "--cluster")
    assert ran.code == 5
    assert said in ran.err


def test_without_kubectl_it_says_where_to_get_it(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = cli("doctor", "--cluster")
    assert ran.code == 2
    assert "no kubectl on the PATH" in ran.err


@pytest.mark.parametrize("text", ["", "nothing", "[]", '{"items": 1'])
def test_what_is_no_list_is_refused(cli: CommandLine, cluster: FakeKubectl, text: str) -> None:
    cluster.say("pods", text)
    ran = cli("doctor", "--cluster")
    assert ran.code == 1
    assert "something else than a list" in ran.err


def test_an_answer_without_end_is_cut_off(cluster: FakeKubectl) -> None:
    cluster.program.write_text("#!/bin/sh\nyes\n")
    access = Access(program=cluster.program, most_bytes=1 << 20)
    with pytest.raises(CommandFailed, match="more than 1 MiB") as failed:
        access.call("get", "pods")
    assert failed.value.code == 1


def test_a_kubectl_that_hangs_is_ended(cluster: FakeKubectl) -> None:
    cluster.program.write_text("#!/bin/sh\nexec sleep 600\n")
    access = Access(program=cluster.program, timeout_s=0.2)
    with pytest.raises(CommandFailed, match=r"no answer within 0\.2 s") as failed:
        access.call("get", "pods")
    assert failed.value.code == 5


def test_options_of_a_cluster_want_a_cluster(cli: CommandLine) -> None:
    ran = cli("doctor", "--release", "hp")
    assert ran.code == 2
    assert "--cluster" in ran.err
