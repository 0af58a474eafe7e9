"""Objects of a release as an API server gives them: a server with TLS and tokens, the store and an
agent, all of them healthy. Tests spoil one thing and see what is said of it."""

from __future__ import annotations

import base64
import copy
from typing import Any

from control_plane.auth.tokens import digest_of
from tests.support.certificates import Authority

NAMESPACE = "homeport"
VERSION = "0.1.0"
TOKEN = "hp_agent-of-dublin"
MONITORING = "monitoring"

Objects = dict[str, list[dict[str, Any]]]


def encoded(**content: bytes | str) -> dict[str, str]:
    """The data of a Secret; `__` in a name is a dot."""
    return {
        name.replace("__", "."): base64.b64encode(
            one if isinstance(one, bytes) else one.encode()
        ).decode()
        for name, one in content.items()
    }


def tokens_toml(token: str = TOKEN, *, more: str = "", units: str = '["dublin"]') -> str:
    return (
        f'[[token]]\nname = "agent"\nsha256 = "{digest_of(token)}"\nroles = ["unit"]\n'
        f"units = {units}\n{more}"
    )


def labels(component: str, name: str = "homeport") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": "hp",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": VERSION,
    }


def healthy_release() -> Objects:
    """By kind; a copy of one's own."""
    authority = Authority.new()
    server_names = ["hp-provisioner", "hp-provisioner.homeport.svc"]
    certificate, key = authority.issue(names=server_names)
    etcd_certificate, etcd_key = authority.issue(names=["*.hp-etcd.homeport.svc"])
    objects: Objects = {
        "deployments": [
            _workload(
                "hp-provisioner",
                "provisioner",
                replicas=3,
                args=[
                    "serve", "--listen=0.0.0.0:7700", "--metrics-listen=0.0.0.0:7701",
                    "--store=etcds://hp-etcd-0.hp-etcd.homeport.svc:2379", "--tokens",
                    "/etc/homeport/tokens/tokens.toml",
                    "--tls-certificate=/etc/homeport/tls/tls.crt",
                    "--tls-key=/etc/homeport/tls/tls.key", "--store-ca=/etc/homeport/store/ca.crt",
                    "--store-user=homeport", "--store-password-file=/etc/homeport/store/password",
                ],
                secrets={"tls": "hp-tls", "tokens": "hp-tokens", "store": "hp-store"},
                ports={"grpc": 7700, "metrics": 7701},
            ),
            _workload(
                "hp-unit-dublin",
                "agent",
                name="homeport-unit",
                replicas=1,
                args=[
                    "agent", "--unit=dublin", "--server=hp-provisioner.homeport.svc:7700",
                    "--ca=/etc/homeport/ca/ca.crt", "--token-file=/etc/homeport/token/token",
                ],
                secrets={"ca": "hp-ca", "token": "hp-agent-token"},
                ports={"clients": 7800},
            ),
        ],
        "statefulsets": [
            _workload(
                "hp-etcd",
                "etcd",
                replicas=3,
                args=["--cert-file=/etc/homeport/tls/tls.crt",
                      "--key-file=/etc/homeport/tls/tls.key"],
                secrets={"tls": "hp-etcd-tls"},
                ports={"client": 2379},
                image="etcd:3.6.16",
            )
        ],
        "secrets": [
            _data("hp-tls", encoded(tls__crt=certificate, tls__key=key)),
            _data("hp-etcd-tls", encoded(tls__crt=etcd_certificate, tls__key=etcd_key)),
            _data("hp-tokens", encoded(tokens__toml=tokens_toml())),
            _data("hp-store", encoded(ca__crt=authority.certificate, password="opensesame")),
            _data("hp-ca", encoded(ca__crt=authority.certificate)),
            _data("hp-agent-token", encoded(token=f"{TOKEN}\n")),
        ],
        "configmaps": [],
        "services": [
            _service("hp-provisioner", "provisioner", {"grpc": 7700, "metrics": 7701}),
            _service("hp-etcd", "etcd", {"client": 2379}),
        ],
        "networkpolicies": [
            {
                "metadata": {"name": "hp-provisioner", "labels": labels("provisioner")},
                "spec": {
                    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "provisioner"}},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [
                        {"ports": [{"port": "grpc"}]},
                        {
                            "from": [{"namespaceSelector": {"matchLabels": {"name": MONITORING}}}],
                            "ports": [{"port": "metrics"}],
                        },
                    ],
                    "egress": [
                        {"ports": [{"port": 53, "protocol": "UDP"}]},
                        {"ports": [{"port": 2300, "endPort": 2400}]},
                    ],
                },
            }
        ],
        "servicemonitors": [
            {
                "metadata": {"name": "hp", "labels": labels("provisioner")},
                "spec": {
                    "selector": {"matchLabels": {"app.kubernetes.io/component": "provisioner"}},
                    "endpoints": [{"port": "metrics"}],
                },
            }
        ],
        "poddisruptionbudgets": [
            {
                "metadata": {"name": "hp-provisioner", "labels": labels("provisioner")},
                "spec": {
                    "maxUnavailable": 1,
                    "selector": {"matchLabels": {"app.kubernetes.io/component": "provisioner"}},
                },
                "status": {
                    "disruptionsAllowed": 1, "expectedPods": 3, "currentHealthy": 3,
                    "desiredHealthy": 2,
                    "conditions": [{"type": "DisruptionAllowed", "status": "True",
                                    "reason": "SufficientPods"}],
                },
            }
        ],
        "horizontalpodautoscalers": [
            {
                "metadata": {"name": "hp-provisioner", "labels": labels("provisioner")},
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "hp-provisioner"},
                    "maxReplicas": 5,
                    "metrics": [
                        {
                            "type": "Resource",
                            "resource": {"name": "cpu", "target": {"type": "Utilization"}},
                        }
                    ],
                },
                "status": {
                    "conditions": [
                        {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"},
                        {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"},
                        {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithin"},
                    ]
                },
            }
        ],
        "persistentvolumeclaims": [
            {
                "metadata": {"name": "data-hp-etcd-0"},
                "spec": {"storageClassName": "fast"},
                "status": {"phase": "Bound"},
            }
        ],
        "namespaces": [
            {"metadata": {"name": MONITORING, "labels": {"name": MONITORING}}},
            {"metadata": {"name": NAMESPACE, "labels": {}}},
        ],
        "pods": [],
        "events": [],
        "replicasets": [],
        "jobs": [],
        "daemonsets": [],
        "certificates": [],
    }  # fmt: skip
    for kind in ("deployments", "statefulsets"):
        objects["pods"] += [_pod(one) for one in objects[kind]]
    etcd_pod = next(one for one in objects["pods"] if one["metadata"]["name"] == "hp-etcd-0")
    etcd_pod["spec"]["volumes"].append(
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-hp-etcd-0"}}
    )
    return copy.deepcopy(objects)  # no part of one object is part of another


def _workload(
    title: str,
    component: str,
    *,
    replicas: int,
    args: list[str],
    secrets: dict[str, str],
    ports: dict[str, int],
    name: str = "homeport",
    image: str = f"registry.example.com/homeport:{VERSION}",
) -> dict[str, Any]:
    return {
        "metadata": {"name": title, "labels": labels(component, name)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/component": component}},
            "template": {
                "metadata": {"labels": labels(component, name)},
                "spec": {
                    "securityContext": {"runAsUser": 65532, "fsGroup": 65532},
                    "containers": [
                        {
                            "name": component,
                            "image": image,
                            "args": args,
                            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                            "ports": [
                                {"name": one, "containerPort": number}
                                for one, number in ports.items()
                            ],
                            "volumeMounts": [
                                {"name": volume, "mountPath": f"/etc/homeport/{volume}"}
                                for volume in secrets
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
                        for volume, secret in secrets.items()
                    ],
                },
            },
        },
        "status": {"replicas": replicas, "readyReplicas": replicas, "conditions": []},
    }


def _pod(workload: dict[str, Any]) -> dict[str, Any]:
    template = copy.deepcopy(workload["spec"]["template"])
    container = template["spec"]["containers"][0]
    name = workload["metadata"]["name"]
    return {
        "metadata": {
            "name": f"{name}-0",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{"kind": "ReplicaSet", "name": name}],
        },
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            "containerStatuses": [
                {
                    "name": container["name"], "image": container["image"], "ready": True,
                    "restartCount": 0, "state": {"running": {}},
                }
            ],
        },
    }  # fmt: skip


def _data(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def _service(name: str, component: str, ports: dict[str, int]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels(component)},
        "spec": {
            "selector": {"app.kubernetes.io/component": component},
            "ports": [
                {"name": one, "port": number, "targetPort": one} for one, number in ports.items()
            ],
        },
    }
