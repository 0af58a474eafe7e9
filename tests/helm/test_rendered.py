"""Everything that the charts render: valid by Kubernetes' own schemas, restricted, and started by
the programs as they are, up to `--check-config`."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

import data_sharing.__main__ as sharing
import data_sharing.platforms.__main__ as platform
import deployment_units.agent.__main__ as agent
import provisioner.__main__ as provisioner
from console.cli.common_options import with_common_options
from console.cli.main import app
from provisioner.geo.database import bundled_path
from tests.support.certificates import Authority
from tests.support.chart_values import HOMEPORT, UNITS
from tests.support.helm_rendering import (
    KUBERNETES,
    Rendered,
    containers_of,
    laid_out,
    pods_of,
    render,
)

CASES = [
    *(("homeport", name) for name in HOMEPORT),
    *(("homeport-unit", name) for name in UNITS),
]
each = pytest.mark.parametrize(
    ("chart", "case"), CASES, ids=[f"{chart}-{case}" for chart, case in CASES]
)
# Kinds of operators that may be in a cluster; their schemas are not Kubernetes'.
FOREIGN = {
    "Certificate", "ServiceMonitor", "PrometheusRule", "HTTPRoute", "BackendTLSPolicy",
}  # fmt: skip
# What the examples call Secrets.
IN_EXAMPLES = {
    "etcd-ca": "ca", "homeport-tokens": "tokens", "platform-token": "token",
    "etcd-password": "password", "homeport-wrapping": "wrapping", "homeport-operator": "token",
    "servers-ca": "ca", "clients-ca": "ca", "eu-certificate": "tls", "eu-agent": "tls",
    "plant-7-certificate": "tls", "eu-token": "token", "plant-7-token": "token",
}  # fmt: skip
# Pods that are no servers of ours, and are tested by themselves.
OTHERS = {"test", "etcd", "etcd-password", "console"}
PROGRAMS: dict[tuple[str, ...], Callable[[], int]] = {
    ("serve",): provisioner.main,
    ("share",): sharing.main,
    ("agent",): agent.main,
    ("platforms", "run"): platform.main,
}


@cache
def rendered(chart: str) -> dict[str, Rendered]:
    """By case; both charts are rendered once."""
    cases = HOMEPORT if chart == "homeport" else UNITS
    return dict(zip(cases, render(chart, list(cases.values())), strict=True))


@pytest.fixture(scope="module")
def secrets() -> Mapping[str, Mapping[str, bytes]]:
    """What the values of all cases name, by name and key."""
    from control_plane.identity.keyring import KeyRing, encode_ring, new_epoch

    authority = Authority.new()
    certificate, private = authority.issue()
    tls = {"tls.crt": certificate, "tls.key": private, "ca.crt": authority.certificate}
    key = base64.b64encode(bytes(32))
    ring = KeyRing(epochs=(new_epoch(1, now=1.0, random=lambda count: bytes(count)),))
    made = ("trial-homeport-provisioner-tls", "trial-homeport-sharing-tls")
    named = {
        **dict.fromkeys(("tls", *made), tls),
        "trial-homeport-etcd-tls": tls,
        "trial-homeport-etcd-password": {"password": b"secret"},
        "ca": {"ca.crt": tls["ca.crt"]},
        "tokens": {"tokens.toml": b""},
        "token": {"token": b"secret"},
        "password": {"password": b"secret"},
        "passphrase": {"passphrase": b"correct horse battery"},
        "wrapping": {"wrapping.key": key},
        "master": {"ring.json": encode_ring(ring)},
        "peppers": {"peppers.json": b'{"peppers":[{"epoch":1,"secret":"%s"}]}' % key},
        "signing": {"signing.key": key},
        "geo": {"geo.mmdb": bundled_path().read_bytes()},
        "nats-user": {"user.creds": b"-----BEGIN NATS USER JWT-----"},
        "nats-ca": {"ca.crt": tls["ca.crt"]},
        "jwks": {"jwks.json": b'{"keys": []}'},
    }
    return {**named, **{one: named[name] for one, name in IN_EXAMPLES.items()}}


@each
def test_it_renders_and_helm_has_nothing_to_say(chart: str, case: str) -> None:
    found = rendered(chart)[case]
    assert (found.fault, list(found.lint)) == ("", [])


@each
def test_every_object_is_one_of_kubernetes(chart: str, case: str) -> None:
    for one in rendered(chart)[case].manifests():
        if one["kind"] not in FOREIGN:
            check_object(json.dumps(one))


@cache
def check_object(text: str) -> None:
    """Once for each: most objects are the same in most cases."""
    kubernetes_validate.validate(json.loads(text), KUBERNETES, strict=True)


def test_the_check_of_objects_sees_an_unknown_field() -> None:
    one = next(m for m in rendered("homeport")["the-least"].manifests() if m["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one | {"unknown": 1}, KUBERNETES, strict=True)


@each
def test_pods_are_restricted(chart: str, case: str) -> None:
    for _, pod in pods_of(rendered(chart)[case].manifests()):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
        for container in containers_of(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@each
def test_what_is_rendered_starts(chart: str, case: str, secrets, tmp_path, monkeypatch) -> None:
    manifests = rendered(chart)[case].manifests()
    seen = 0
    for component, pod in pods_of(manifests):
        if component in OTHERS:
            continue
        for container in pod["containers"]:
            root = tmp_path / container["name"]
            words = laid_out(pod, container, root, manifests, secrets)
            code, said = checked(words, monkeypatch)
            assert code == 0, said
            seen += 1
    assert seen >= 1


def checked(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of a `homeport …` command line with --check-config, and all that it says."""
    assert words[0] == "homeport"
    program = next(one for one in PROGRAMS if tuple(words[1 : 1 + len(one)]) == one)
    arguments = words[1 + len(program) :]
    monkeypatch.setattr(sys, "argv", ["homeport", *arguments, "--check-config", "-o", "json"])
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        return PROGRAMS[program](), out.getvalue()


@pytest.mark.parametrize("case", ["the-least", "no-tls-behind-a-mesh", "everything-around"])
def test_the_pod_of_helm_test_calls_commands_that_there_are(case: str) -> None:
    manifests = rendered("homeport")[case].manifests()
    pod = dict(pods_of(manifests))["test"]
    commands: Any = with_common_options(app)
    called = []
    for container in containers_of(pod):
        assert container["command"] == ["homeport"]
        name, *arguments = container["args"]
        commands.get_command(None, name).make_context(name, arguments)  # raises for what is wrong
        called.append(name)
    assert called == ["provision", "explain", "release"]


def test_a_setting_that_a_program_does_not_take_is_seen(secrets, tmp_path, monkeypatch) -> None:
    manifests = rendered("homeport")["the-least"].manifests()
    pod = dict(pods_of(manifests))["provisioner"]
    words = laid_out(pod, pod["containers"][0], tmp_path, manifests, secrets)
    file = Path(words[-1].partition("=")[2])
    file.chmod(0o600)
    file.write_text(file.read_text().replace("metrics_listen", "metrics_port"))
    code, said = checked(words, monkeypatch)
    assert code == 2
    assert "metrics_port" in said


def test_a_missing_secret_is_seen(secrets, tmp_path) -> None:
    manifests = rendered("homeport")["the-least"].manifests()
    pod = dict(pods_of(manifests))["provisioner"]
    without = {name: one for name, one in secrets.items() if name != "tokens"}
    with pytest.raises(KeyError, match="tokens"):
        laid_out(pod, pod["containers"][0], tmp_path, manifests, without)


def test_no_secret_is_an_argument_or_a_variable() -> None:
    for chart in ("homeport", "homeport-unit"):
        for found in rendered(chart).values():
            for _, pod in pods_of(found.manifests()):
                for container in containers_of(pod):
                    text = json.dumps([container.get("env"), container["args"]])
                    assert "secretKeyRef" not in text
                    assert "password" not in text


def test_settings_roll_the_pods_and_the_pods_end_after_the_programs() -> None:
    def provisioner_of(case: str) -> dict[str, Any]:
        found = rendered("homeport")[case].manifests()
        return next(one["spec"]["template"] for one in found if one["kind"] == "Deployment")

    first, second = provisioner_of("transport-native"), provisioner_of("transport-grpcio")
    key = "checksum/settings"
    assert first["metadata"]["annotations"][key] != second["metadata"]["annotations"][key]
    found = rendered("homeport")["sharing-and-a-platform"].manifests()
    sharing_pod = dict(pods_of(found))["sharing"]
    # drain_s is 30, preStop 5
    assert sharing_pod["terminationGracePeriodSeconds"] > 30 + 5
