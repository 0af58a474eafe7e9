"""Secrets, certificates, tokens and volumes at which one thing is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.kube.release_objects import Objects, labels, tokens_toml
from tests.support.kube.spoiled_release import (
    Spoil,
    containers,
    fault,
    named,
    secret,
    tells,
    update,
    without,
    without_key,
)


def _certificate(**issue: Any) -> Spoil:
    """The servers' certificate, of another kind; the CA that callers trust is its own."""

    def spoil(objects: Objects) -> None:
        authority = Authority.new()
        certificate, key = authority.issue(**issue)
        secret("hp-tls", tls__crt=certificate, tls__key=key)(objects)
        secret("hp-ca", ca__crt=authority.certificate)(objects)

    return spoil


def _a_foreign_ca(objects: Objects) -> None:
    secret("hp-ca", ca__crt=Authority.new("somebody else").certificate)(objects)


def _a_foreign_key(objects: Objects) -> None:
    secret("hp-tls", tls__key=Authority.new().issue(names=["x"])[1])(objects)


def _pull_secret(objects: Objects) -> None:
    template = named(objects, "deployments", "hp-provisioner")["spec"]["template"]["spec"]
    template["imagePullSecrets"] = [{"name": "registry"}]


def _from_environment(objects: Objects) -> None:
    containers(objects, "deployments", "hp-provisioner")[0]["env"] = [
        {
            "name": "HOMEPORT_STORE_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "hp-store", "key": "pass"}},
        }
    ]


def _configuration_by_map(objects: Objects) -> None:
    container = containers(objects, "deployments", "hp-provisioner")[0]
    container["envFrom"] = [{"configMapRef": {"name": "hp-settings"}}]


def _cert_manager(objects: Objects) -> None:
    objects["certificates"].append(
        {
            "metadata": {"name": "hp-tls", "labels": labels("provisioner")},
            "status": {
                "conditions": [
                    {"type": "Ready", "status": "False", "message": "issuer hp-ca does not exist"}
                ]
            },
        }
    )


def _agent_pod(objects: Objects) -> dict[str, Any]:
    template: dict[str, Any] = named(objects, "deployments", "hp-unit-dublin")["spec"]["template"]
    return template["spec"]


def _open_to_all(objects: Objects) -> None:
    """As Kubernetes mounts Secrets where nothing is said."""
    for volume in _agent_pod(objects)["volumes"]:
        del volume["secret"]["defaultMode"]


def _of_root(objects: Objects) -> None:
    del _agent_pod(objects)["securityContext"]["fsGroup"]


@pytest.mark.parametrize(
    ("spoil", "check", "words", "outcome"),
    [
        fault(
            "a secret that is not there",
            without("secrets", "hp-tokens"),
            "secrets",
            "no Secret hp-tokens",
            "hp-provisioner",
        ),
        fault(
            "a key that is not there",
            without_key("hp-store", "password"),
            "secrets",
            "has no key password",
            "ca.crt",
            "--store-password-file",
        ),
        fault(
            "a token that everybody may read",
            _open_to_all,
            "secrets",
            "--token-file of Deployment hp-unit-dublin",
            "mode 644",
        ),
        fault("a token of root", _of_root, "secrets", "mode 440 for root", "runs as 65532"),
        fault(
            "a key without content", secret("hp-store", password=""), "secrets", "password", "empty"
        ),
        fault("a key that a variable names", _from_environment, "secrets", "has no key pass,"),
        fault(
            "a map that is not there", _configuration_by_map, "secrets", "no ConfigMap hp-settings"
        ),
        fault("a pull secret that is not there", _pull_secret, "secrets", "Secret registry"),
        fault(
            "a certificate that has expired",
            _certificate(names=["hp-provisioner.homeport.svc"], expired=True),
            "certificates",
            "expired on",
        ),
        fault(
            "a certificate of another name",
            _certificate(names=["hp.example.com"]),
            "certificates",
            "not for hp-provisioner.homeport.svc",
            "hp.example.com",
        ),
        fault("a certificate without names", _certificate(), "certificates", "only for no name"),
        fault(
            "a star that reaches not so far",
            _certificate(names=["*.svc"]),
            "certificates",
            "not for hp-provisioner.homeport.svc",
        ),
        fault(
            "a CA that did not sign it",
            _a_foreign_ca,
            "certificates",
            "Deployment hp-unit-dublin trusts ca.crt of Secret hp-ca",
            "has not signed",
        ),
        fault(
            "a key of another certificate",
            _a_foreign_key,
            "certificates",
            "the key is not that of the certificate",
        ),
        fault(
            "a certificate that is none",
            secret("hp-tls", tls__crt="nothing"),
            "certificates",
            "no certificate in PEM",
        ),
        fault(
            "cert-manager does not issue",
            _cert_manager,
            "certificates",
            "issuer hp-ca does not exist",
        ),
        fault(
            "a token that the server has not",
            secret("hp-agent-token", token="hp_another"),
            "tokens",
            "none of those in tokens.toml of Secret hp-tokens",
        ),
        fault(
            "a token of another unit",
            secret("hp-tokens", tokens__toml=tokens_toml(units='["cork"]')),
            "tokens",
            "units cork, and not for dublin",
        ),
        fault(
            "a token that has expired",
            secret(
                "hp-tokens", tokens__toml=tokens_toml(more="expire_time = 2020-01-01T00:00:00Z\n")
            ),
            "tokens",
            "has expired",
        ),
        fault(
            "a tokens file at fault",
            secret("hp-tokens", tokens__toml="[[token"),
            "tokens",
            "tokens.toml of Secret hp-tokens",
        ),
        fault(
            "a claim without a volume",
            update("persistentvolumeclaims", "data-hp-etcd-0", "status", phase="Pending"),
            "volumes",
            "class fast",
        ),
        fault(
            "a claim that is not there",
            without("persistentvolumeclaims", "data-hp-etcd-0"),
            "volumes",
            "no claim data-hp-etcd-0",
        ),
    ],
)
def test_a_fault_is_named_with_what_to_do(
    spoil: Spoil, check: str, words: tuple[str, ...], outcome: str
) -> None:
    tells(spoil, check, words, outcome)
