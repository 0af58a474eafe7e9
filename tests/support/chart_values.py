"""Values with which the charts are tried: each feature on and off, by what it is about."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.helm_rendering import HELM

STORE: dict[str, Any] = {"endpoints": ["etcd-0.etcd:2379", "etcd-1.etcd:2379"]}
BASE: dict[str, Any] = {
    "store": STORE, "tls": {"issuer": {"name": "ca"}}, "tokens": {"secret": "tokens"},
}  # fmt: skip
MADE: dict[str, Any] = {"tls": {"source": "generate"}, "tokens": {"secret": "tokens"}}
MESH: dict[str, Any] = {"store": STORE, "tls": {"source": "none"}, "insecure": True}
# Settings that name files of the operator's.
FILES: dict[str, Any] = {
    "extraVolumes": [{"name": "more", "secret": {"secretName": "jwks"}}],
    "extraVolumeMounts": [
        {"name": "more", "mountPath": "/etc/homeport/more", "readOnly": True},
    ],
}  # fmt: skip
SHARING = BASE | {"sharing": {"enabled": True}}
HOMEPORT: dict[str, dict[str, Any]] = {
    "the-least": BASE,
    "given-certificates": BASE | {"tls": {"source": "secret", "secrets": {"provisioner": "tls"}}},
    "made-certificates": SHARING | {"tls": {"source": "generate", "hosts": ["p.example.net"]}},
    "no-tls-behind-a-mesh": SHARING | {"tls": {"source": "none"}, "insecure": True},
    "callers-show-certificates": BASE | {
        "tls": {"issuer": {"name": "ca", "kind": "ClusterIssuer"}, "clientCa": {"secret": "ca"}},
        "tokens": {},
        "provisioner": {"settings": {
            "certificate_trust_domain": "example.net", "certificate_operators": ["ann=admin"],
        }},
    },
    "operators-by-openid": BASE | {"tokens": {}, "provisioner": {"settings": {
        "oidc_issuer": "https://id.example.net", "oidc_audience": "homeport",
        "oidc_roles": ["sre=operator"],
    }}},
    "a-store-with-everything": BASE | {"store": STORE | {
        "user": "homeport", "password": {"secret": "password"},
        "tls": {"caSecret": "ca", "certificateSecret": "tls"},
        "assignmentStores": {"east": ["east:2379"], "west": ["west:2379", "west2:2379"]},
    }},
    "a-store-of-its-own": MADE | {"etcd": {"enabled": True}},
    "a-store-of-its-own-by-cert-manager": MADE | {
        "tls": {"issuer": {"name": "ca"}}, "keys": {"wrappingSecret": "wrapping"},
        "etcd": {
            "enabled": True, "password": {"secret": "password"}, "quotaBytes": 4 << 30,
            "compaction": "30m", "extraArgs": ["--log-level=warn"], "podAnnotations": {"a": "b"},
            "extraEnv": [{"name": "GOMEMLIMIT", "value": "6GiB"}], "priorityClassName": "high",
            "clients": [{"podSelector": {"matchLabels": {"app": "backup"}}}],
            "volume": {"size": "50Gi", "storageClassName": "fast"},
            "disruptionBudget": {"enabled": False}, "initialClusterState": "existing",
        },
        "monitoring": {"serviceMonitor": True},
        "networkPolicy": {"egress": {"enabled": True}},
    },
    "a-store-of-its-own-with-a-given-certificate": MADE | {
        "tls": {"source": "none"}, "insecure": True,
        "etcd": {"enabled": True, "tls": {"source": "secret", "secret": "tls"},
                 "image": {"digest": "sha256:" + "0" * 64}},
    },
    "calls-out-are-limited": SHARING | {
        "store": STORE | {"assignmentStores": {"east": ["east:2390"]}},
        "platform": {"enabled": True, "settings": {"applications": "alarm"}},
        "networkPolicy": {"egress": {
            "enabled": True,
            "all": [{"ports": [{"port": 4317}]}], "provisioner": [{"ports": [{"port": 443}]}],
            "sharing": [{"ports": [{"port": 8443}]}],
        }},
    },
    "a-store-in-the-clear": BASE | {"store": STORE | {"tls": {"enabled": False}}},
    "keys": SHARING | {"keys": {
        "wrappingSecret": "wrapping", "masterSecret": "master", "signingSecret": "signing",
        "pepperSecret": "peppers",
    }},
    "feeds-on-nats": SHARING | {
        "keys": {"signingSecret": "signing"},
        "sharing": {"enabled": True, "settings": {"feeds_partition": "west"}, "feeds": {
            "servers": ["tls://nats-0.nats:4222", "tls://nats-1.nats:4222"],
            "monitoring": ["http://nats-0.nats:8222"], "pods": 3,
            "credentialsSecret": "nats-user", "caSecret": "nats-ca",
        }},
        "networkPolicy": {"egress": {"enabled": True}},
    },
    "a-passphrase": SHARING | {"keys": {"passphraseSecret": "passphrase"}},
    "units-and-geo": BASE | {
        "units": {"caSecret": "ca", "certificateSecret": "tls"},
        "geo": {"volume": {"persistentVolumeClaim": {"claimName": "geo"}}},
    },
    "sharing-that-follows-quotas": BASE | {
        "store": STORE | {
            "user": "homeport", "password": {"secret": "password"},
            "tls": {"caSecret": "ca", "certificateSecret": "tls"},
        },
        "sharing": {"enabled": True, "tenantQuotas": True},
        "networkPolicy": {"egress": {"enabled": True}},
    },
    "sharing-that-follows-quotas-of-a-store-of-its-own": MADE | {
        "etcd": {"enabled": True}, "sharing": {"enabled": True, "tenantQuotas": True},
        "networkPolicy": {"egress": {"enabled": True}},
    },
    "sharing-and-a-platform": SHARING | {
        "sharing": {"enabled": True, "settings": {"retain_bytes": 4 << 30, "drain_s": 30}},
        "platform": {"enabled": True, "token": {"secret": "token"}, "certificateSecret": "tls",
                     "settings": {"applications": "alarm,coffee@1.2.0", "threads": 4}},
    },
    "a-platform-elsewhere": BASE | {"platform": {
        "enabled": True, "server": "sharing.example.net:7703", "caSecret": "ca",
        "settings": {"applications": "alarm"},
    }},
    "names-over-http": BASE | {"provisioner": {"pages": {
        "enabled": True, "hosts": {"talk.example": "talk"},
    }}, "networkPolicy": {"enabled": True}},
    "http-alone": BASE | {"provisioner": {"http": {"enabled": True}}},
    "http-behind-an-ingress": BASE | {"provisioner": {
        "http": {"enabled": True, "ingress": {
            "enabled": True, "hosts": ["p.example.net", "*.example.org"], "className": "nginx",
            "tlsSecret": "web", "annotations": {"a": "b"},
        }},
        "settings": {"http_allow_origins": ["https://app.example.net"],
                     "trusted_proxies": ["10.0.0.0/8"]},
    }},
    "http-behind-a-gateway": BASE | {"provisioner": {"http": {"enabled": True, "route": {
        "enabled": True, "gateways": [{"name": "web", "namespace": "gateways"}],
        "hosts": ["p.example.net"], "caConfigMap": "ca", "annotations": {"a": "b"},
    }}}},
    "http-in-a-mesh": MESH | {"provisioner": {"http": {
        "enabled": True, "ingress": {"enabled": True, "hosts": ["p.example.net"]},
        "route": {"enabled": True, "gateways": [{"name": "web"}]},
    }}},
    "a-console": SHARING | {
        "console": {"enabled": True, "token": {"secret": "token"}, "tenant": "shop",
                    "extraEnv": [{"name": "TZ", "value": "UTC"}], "podAnnotations": {"a": "b"}},
        "networkPolicy": {"egress": {"enabled": True, "console": [{"ports": [{"port": 443}]}]}},
    },
    "a-console-with-a-certificate": BASE | {"console": {
        "enabled": True, "certificateSecret": "tls", "caSecret": "ca",
    }},
    "a-console-in-a-mesh": MESH | {"console": {"enabled": True}},
    "files-of-settings": SHARING | {
        "tokens": {},
        "provisioner": FILES | {"settings": {
            "oidc_issuer": "https://id.example.net", "oidc_audience": "homeport",
            "oidc_roles": ["sre=operator"], "oidc_jwks": "/etc/homeport/more/jwks.json",
        }},
        "sharing": FILES | {"enabled": True, "settings": {
            "oidc_issuer": "https://id.example.net", "oidc_audience": "homeport",
            "oidc_roles": ["sre=operator"], "oidc_jwks": "/etc/homeport/more/jwks.json",
        }},
        "platform": FILES | {"enabled": True, "settings": {"applications": "alarm"}},
    },
    "everything-around": SHARING | {
        "monitoring": {"serviceMonitor": True, "rules": True, "dashboards": True,
                       "labels": {"release": "prometheus"}},
        "provisioner": {
            "autoscaling": {"enabled": True}, "priorityClassName": "high",
            "extraArgs": ["--log-level=debug"], "extraEnv": [{"name": "TZ", "value": "UTC"}],
            "podAnnotations": {"a": "b"}, "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}}, "service": {"type": "LoadBalancer"},
            "settings": {"move_rate_per_s": 300, "quotas": {"provisions": {"tenant": 5}}},
        },
        "networkPolicy": {"callers": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
        "commonLabels": {"team": "core"}, "image": {
            "repository": "registry.example.net/homeport", "digest": "sha256:" + "0" * 64,
            "pullSecrets": [{"name": "registry"}],
        },
        "test": {"tokenSecret": "token"},
    },
    "nothing-around": BASE | {
        "networkPolicy": {"enabled": False}, "serviceAccount": {"create": False, "name": "own"},
        "provisioner": {"disruptionBudget": {"enabled": False}, "snapshot": False},
    },
    **{f"example-{path.stem}": yaml.safe_load(path.read_text())
       for path in sorted((HELM / "homeport/examples").glob("*.yaml"))},
    **{f"transport-{name}": SHARING | {
        "provisioner": {"settings": {"transport": name}},
        "sharing": {"enabled": True, "settings": {"transport": name}},
    } for name in ("auto", "native", "grpcio")},
}  # fmt: skip
UNIT = {"unit": {"id": "eu"}, "server": {"endpoints": ["a:7700", "b:7700"]}}
UNITS: dict[str, dict[str, Any]] = {
    "the-least": UNIT | {"tls": {"secret": "tls"}},
    "in-the-clear": UNIT | {"insecure": True, "state": {"enabled": False}},
    "everything": {
        "unit": {"id": "eu", "tenants": "shop,games"},
        "server": {"endpoints": ["a:7700"], "caSecret": "ca", "certificateSecret": "tls",
                   "token": {"secret": "token"}},
        "tls": {"secret": "tls", "clientCaSecret": "ca"},
        "settings": {"ttl_s": 20, "accounts": True, "mail_domain": "talk.example",
                     "sip_trunks": "carrier=192.0.2.20:5060/GB"},
        "web": {"enabled": True}, "mail": {"enabled": True},
        "sip": {"enabled": True, "address": "192.0.2.10:5060"},
        "dataSharing": {"endpoints": ["s:7703"], "token": {"secret": "token"}},
        "networkPolicy": {"callers": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}, **FILES,
    },
    "calls-out-are-limited": UNIT | {
        "server": {"endpoints": ["a:7700", "b:7800", "[2001:db8::1]:7700"]}, "insecure": True,
        "networkPolicy": {"egress": {"enabled": True, "others": [{"ports": [{"port": 443}]}]}},
    },
    "browsers-behind-an-ingress": UNIT | {
        "insecure": True, "settings": {"accounts": True}, "web": {"enabled": True},
    },
    "no-policy": UNIT | {"insecure": True, "networkPolicy": {"enabled": False}},
    **{f"example-{path.stem}": yaml.safe_load(path.read_text())
       for path in sorted((HELM / "homeport-unit/examples").glob("*.yaml"))},
}  # fmt: skip
CASES = {
    "homeport": HOMEPORT,
    "homeport-unit": UNITS,
}
