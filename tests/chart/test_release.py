"""The charts, from an empty namespace to an empty one: the programs run, are rolled and end."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart_values import CASES
from tests.support.kube.chart_versions import CHART, UNIT_CHART, first_version
from tests.support.kube.cluster import is_true
from tests.support.kube.dry_run import DryRun
from tests.support.kube.helm import Helm
from tests.support.kube.operator import PLATFORM, RELEASE, SERVER, SHARING, Operator
from tests.support.kube.requirements import needs_cluster
from tests.support.kube.tools import ToolFailed

pytestmark = [
    needs_cluster(),
    pytest.mark.timeout(1_200),
]
STORE = Path(__file__).with_name("etcd.yaml")
MADE = (f"{RELEASE}-homeport-ca", f"{SERVER}-tls", f"{SHARING}-tls")
COFFEE_WASM = CHART.parents[1] / "data-sharing/applications/coffee/coffee.wasm"
RULES = """
rules:
  - rule: brew-when-slow
    watch: {traffic: {feed: city.traffic.speed}}
    when: traffic.data.speed_kmh < 30.0
    do:
      - invoke: {application: coffee, action: brew, config: {cups: 2}}
"""
OF_OURS = {"secret/agent-token", "secret/etcd-tls", "secret/hp-tokens", "secret/operator-token",
           "secret/platform-token", "secret/unit-tls", "statefulset/etcd", "pod/etcd-0",
           "service/etcd", "persistentvolumeclaim/data-etcd-0"}  # fmt: skip
WITHIN_S = 120.0


@pytest.fixture
def operator(helm: Helm, tmp_path: Path) -> Operator:
    made = Operator(helm=helm, folder=tmp_path)
    made.prepare(STORE)
    return made


def until(what: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    end = time.monotonic() + WITHIN_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end
        time.sleep(0.5)


def serving(operator: Operator) -> set[str]:
    units = operator.homeport("units", "list")["units"]
    return {one["id"] for one in units if one["status"] == "serving"}


def pods(helm: Helm, of: str = SERVER) -> set[str]:
    """The uids of those whose names begin like that."""
    found = json.loads(helm.kubectl("get", "pods", "-o", "json"))["items"]
    return {one["metadata"]["uid"] for one in found if one["metadata"]["name"].startswith(of)}


def made(helm: Helm) -> dict[str, Any]:
    """What the chart made at the first install."""
    return {
        name: json.loads(helm.kubectl("get", "secret", name, "-o", "json"))["data"] for name in MADE
    }


def brewed(operator: Operator, route: str, speed_kmh: float) -> list[dict[str, Any]]:
    """Publishes an event from the console, and gives the instructions that came to their end, once
    there are more of them."""

    def done() -> list[dict[str, Any]]:
        said = json.loads(operator.console("decisions", "instructions", "-o", "json"))
        return [one for one in said["instructions"] if one["state"] == "done"]

    before = len(done())
    data = json.dumps({"route": route, "speed_kmh": speed_kmh, "minutes": 71})
    operator.console(
        "events", "publish", "--type=city.traffic.speed", f"--id={route}", "--source=/traffic",
        f"--data={data}",
    )  # fmt: skip
    return until(lambda: found if len(found := done()) > before else None)


def is_over_quota(operator: Operator, number: Iterator[int]) -> bool:
    """Whether an event is refused that no rule is about."""
    data = json.dumps({"route": "empty", "speed_kmh": 90, "minutes": 1})
    try:
        operator.console(
            "events", "publish", "--type=city.traffic.speed", f"--id=empty-{next(number)}",
            "--source=/traffic", f"--data={data}",
        )  # fmt: skip
    except ToolFailed as failed:
        if "too many events for one tenant" not in str(failed):
            raise
        return True
    return False


def test_from_install_to_uninstall(operator: Operator, tmp_path: Path) -> None:
    helm = operator.helm
    before = first_version(CHART, tmp_path) or CHART
    sharing = {"enabled": True, "volume": {"size": "1Gi"}}
    helm.install(RELEASE, before, values=operator.values(sharing=sharing))
    operator.submit("traffic")
    operator.submit("coffee", f"--artifact={COFFEE_WASM}")
    for unit in ("dublin", "milan"):
        operator.declare(unit)
        helm.install(f"unit-{unit}", UNIT_CHART, values=operator.unit_values(unit))
    until(lambda: serving(operator) == {"dublin", "milan"})
    helm.test(RELEASE)

    home = operator.homeport("provision", "phone", "--ip", "81.2.69.142")
    assert home["unit"] in ("dublin", "milan")
    assert operator.homeport("explain", "phone", "--ip", "81.2.69.142")

    first, kept = pods(helm), made(helm)
    more = operator.values(
        provisioner={
            "replicas": 2, "settings": {"log_level": "debug"}, "http": {"enabled": True},
        },
        sharing={**sharing, "tenantQuotas": True},
        platform={
            "enabled": True, "name": PLATFORM, "token": {"secret": "platform-token"},
            "volume": {"size": "1Gi"}, "settings": {"applications": "coffee"},
        },
        console={"enabled": True, "token": {"secret": "operator-token"}},
    )  # fmt: skip
    helm.upgrade(RELEASE, CHART, values=more)
    second = until(lambda: pods(helm) if len(pods(helm)) == 2 else None)
    assert second.isdisjoint(first)
    assert made(helm) == kept
    assert operator.homeport("get", "phone")["unit"] == home["unit"]
    helm.test(RELEASE)
    over_http = operator.provision_over_http("phone", "81.2.69.142")
    assert over_http["assignment"]["unitId"] == home["unit"]
    units = json.loads(operator.console("units", "list", "-o", "json"))["units"]
    assert {one["id"] for one in units} == {"dublin", "milan"}

    operator.console("rules", "apply", "-", stdin=RULES)
    (instruction,) = brewed(operator, "route-7", 15)
    outcome = instruction["outcome"]
    assert (outcome["platform"], outcome["status"]) == (PLATFORM, "done")
    assert outcome["output"]["performed"] == "brew"

    # The sharing server follows the quotas in tenants' records.
    numbers = itertools.count()
    assert not is_over_quota(operator, numbers)
    operator.homeport("tenants", "apply", "default", "--quota=events=0.01:1")
    until(lambda: is_over_quota(operator, numbers))
    operator.homeport("tenants", "apply", "default", "--quota=none")
    until(lambda: not is_over_quota(operator, numbers))

    # Nothing has changed: nothing is made anew, and no pod goes.
    everyone = pods(helm, RELEASE)
    helm.upgrade(RELEASE, CHART, values=more)
    assert made(helm) == kept
    assert pods(helm, RELEASE) == everyone
    # What was decided is in the volume, and what was done in the platform's.
    helm.kubectl("delete", "pod", f"{SHARING}-0", f"{RELEASE}-homeport-platform-0")
    until(lambda: ready(helm, f"{RELEASE}-homeport-platform-0"))
    assert len(brewed(operator, "route-8", 12)) == 2
    faults = [one for one in operator.doctor()["checks"] if one["outcome"] == "fail"]
    assert faults == []

    operator.homeport("units", "drain", home["unit"], "--wait")
    assert operator.homeport("get", "phone")["unit"] != home["unit"]

    helm("rollback", RELEASE, "1", "--wait", "--timeout=240s")
    helm.test(RELEASE)
    for release in ("unit-dublin", "unit-milan", RELEASE):
        helm("uninstall", release, "--wait")
    until(lambda: {one for one in helm.left_over() - OF_OURS if one.startswith("pod/")} == set())
    left = helm.left_over() - OF_OURS
    assert {one.partition("/")[0] for one in left} <= {"persistentvolumeclaim"}, left


def ready(helm: Helm, name: str) -> bool:
    try:
        pod = json.loads(helm.kubectl("get", "pod", name, "-o", "json"))
    except ToolFailed:
        return False
    return is_true(pod, "Ready")


def test_a_wrong_value_says_so_before_anything_is_made(helm: Helm) -> None:
    with pytest.raises(Exception, match="provisoner"):
        helm.template("hp", CHART, values={"provisoner": {"replicas": 2}})


@pytest.mark.parametrize(
    ("chart", "case"),
    [pytest.param(chart, case, id=f"{chart}-{case}") for chart in CASES for case in CASES[chart]],
)
def test_the_cluster_takes_every_object_as_it_is(helm: Helm, chart: str, case: str) -> None:
    """Server-side: unknown fields and values that contradict each other are refused."""
    rendered = helm.template("hp", CHART.parent / chart, values=CASES[chart][case])
    api = helm.cluster.api()
    # A pod is refused where its account is not there, and a dry run makes none.
    for name in accounts(rendered):
        api.create_if_absent(
            "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}}
        )
    assert DryRun(api).refusals(rendered, "default") == []


def accounts(rendered: str) -> set[str]:
    """The service accounts of pods that are objects of their own."""
    return {
        one["spec"]["serviceAccountName"]
        for one in yaml.safe_load_all(rendered)
        if one is not None and one["kind"] == "Pod" and "serviceAccountName" in one["spec"]
    }
