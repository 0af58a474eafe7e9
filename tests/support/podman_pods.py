"""What a chart renders, as `podman play kube` takes it: pods, and what they mount.

It changes what podman (4.3) cannot do, and leaves the rest to it: security contexts, read-only
roots, mounts, commands, limits of memory.

- A Deployment, StatefulSet or Job is its pods, one for each replica; claims are podman's volumes,
  owned as `fsGroup` says, which podman does not read.
- There is no DNS, and podman writes no `hostAliases` where pods have the machine's network: the
  names of Services and pods are a hosts file, each pod with a loopback address of its own.
- Of replicas, who listens on all addresses listens on its own: they share one network.
- `$(NAME)` of a command line is not filled in by podman, so it is here.
- A volume of a Secret is a folder of this machine: podman 4.3 would mount each of its keys, as
  base64 and open to everybody, where a node has `items`, `defaultMode` and `fsGroup` count.
- Ports are left out, for podman refuses them in the machine's network; probes and hooks too, for it
  would call curl in the container. `readiness` is the probe that counts.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.helm_rendering import Manifest, containers_of

_KINDS = ("Pod", "Deployment", "StatefulSet", "Job")
_LEFT_OUT = ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports")
_ANY = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d.])")
_VARIABLE = re.compile(r"\$(\$)?\((\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """One key of a Secret, where a pod mounts it from. group: that owns it; None: the machine's."""

    path: Path
    text: str
    mode: int
    group: int | None

    def write(self) -> None:
        """Root alone can. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text)
        if self.group is not None:
            os.chown(self.path, 0, self.group)
        self.path.chmod(self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedPod:
    """One pod. documents: for podman, it and what it mounts; files: to be written first. address:
    where it can be reached. readiness: the probe of its container, with its ports as numbers; {}:
    it has none."""

    name: str
    component: str
    address: str
    documents: Sequence[Manifest]
    files: Sequence[SecretFile]
    readiness: Manifest

    @property
    def container(self) -> str:
        """Podman's name of its (last) container."""
        return f"{self.name}-{self.documents[-1]['spec']['containers'][-1]['name']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedPods:
    """All of them, in the order of the manifests; hosts: the hosts file that they share."""

    pods: Sequence[PlayedPod]
    hosts: str

    def of(self, component: str) -> list[PlayedPod]:
        """Raises KeyError where there is none."""
        found = [one for one in self.pods if one.component == component]
        if not found:
            raise KeyError(f"no pod of {component}")
        return found


def played_pods(
    manifests: Sequence[Manifest],
    namespace: str,
    secrets: Mapping[str, Mapping[str, str]],
    folder: Path,
) -> PlayedPods:
    """Of what charts rendered for a namespace. secrets: text by name and key, of those that are not
    among the manifests; folder: for files of Secrets, of which it writes none. Raises KeyError for
    a Secret or ConfigMap that is nowhere, ValueError for a Secret that is no text and for a
    variable that is none of the kinds that charts use."""
    texts = {**_secrets_of(manifests), **secrets}
    maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    made: list[tuple[Manifest, list[Manifest], bool]] = [
        (pod, claims, alone)
        for one in manifests
        if one["kind"] in _KINDS
        for pod, claims, alone in _pods_of(one)
    ]
    pods = [
        _played(pod, claims, f"127.1.0.{number}", texts, maps, alone, folder)
        for number, (pod, claims, alone) in enumerate(made, start=1)
    ]
    labelled = [
        (one, pod["metadata"].get("labels", {}), pod["spec"].get("subdomain", ""))
        for one, (pod, _, _) in zip(pods, made, strict=True)
    ]
    lines = ["127.0.0.1 localhost", *_names(manifests, namespace, labelled)]
    return PlayedPods(pods=pods, hosts="".join(f"{line}\n" for line in lines))


def _secrets_of(manifests: Sequence[Manifest]) -> dict[str, dict[str, str]]:
    return {
        one["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in one["data"].items()
        }
        for one in manifests
        if one["kind"] == "Secret"
    }


def _pods_of(workload: Manifest) -> Iterator[tuple[Manifest, list[Manifest], bool]]:
    """(pod, its claims, whether it is the only one) of each replica."""
    if workload["kind"] == "Pod":
        yield workload, [], True
        return
    name, spec = workload["metadata"]["name"], workload["spec"]
    replicas = spec.get("replicas", 1)
    for number in range(replicas):
        title = f"{name}-{number}"
        pod = {
            "metadata": {**spec["template"]["metadata"], "name": title},
            "spec": dict(spec["template"]["spec"]),
        }
        claims = []
        if workload["kind"] == "StatefulSet":
            pod["spec"] |= {"hostname": title, "subdomain": spec["serviceName"]}
        for claim in spec.get("volumeClaimTemplates", ()):
            volume = f"{claim['metadata']['name']}-{title}"
            claims.append({**claim, "metadata": {"name": volume}})
            pod["spec"]["volumes"] = [
                *pod["spec"].get("volumes", ()),
                {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": volume}},
            ]
        yield pod, claims, replicas == 1


def _played(
    pod: Manifest,
    claims: Sequence[Manifest],
    address: str,
    secrets: Mapping[str, Mapping[str, str]],
    maps: Mapping[str, Mapping[str, str]],
    alone: bool,
    folder: Path,
) -> PlayedPod:
    name, spec = pod["metadata"]["name"], dict(pod["spec"])
    owner = spec.get("securityContext", {}).get("fsGroup")
    documents: list[Manifest] = []
    for claim in claims:
        owned = (
            {}
            if owner is None
            else {f"volume.podman.io/{one}": str(owner) for one in ("uid", "gid")}
        )
        documents.append({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {**claim["metadata"], "annotations": owned}, "spec": claim["spec"],
        })  # fmt: skip
    volumes, files = [], []
    for volume in spec.get("volumes", ()):
        source = dict(volume)
        if "secret" in volume:
            secret = source.pop("secret")
            place = folder / name / volume["name"]
            source["hostPath"] = {"path": str(place), "type": "Directory"}
            files += _secret_files(secret, secrets[secret["secretName"]], place, owner)
        elif "configMap" in volume:
            title = volume["configMap"]["name"]
            documents.append({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": title},
                "data": dict(maps[title]),
            })  # fmt: skip
        volumes.append(source)
    spec["volumes"] = volumes
    last = containers_of(spec)[-1]
    for group in ("initContainers", "containers"):
        if group in spec:
            spec[group] = [_container(one, name, None if alone else address) for one in spec[group]]
    labels = pod["metadata"].get("labels", {})
    documents.append({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {**spec, "hostNetwork": True},
    })  # fmt: skip
    return PlayedPod(
        name=name,
        component=labels.get("app.kubernetes.io/component", ""),
        address=address,
        documents=documents,
        files=files,
        readiness=_readiness(last),
    )


def _secret_files(
    secret: Manifest, texts: Mapping[str, str], place: Path, owner: int | None
) -> Iterator[SecretFile]:
    """secret: as a volume names it. Raises KeyError for a key that it lacks."""
    items = secret.get("items", [{"key": key, "path": key} for key in texts])
    for item in items:
        mode = item.get("mode", secret.get("defaultMode", 0o644))
        yield SecretFile(path=place / item["path"], text=texts[item["key"]], mode=mode, group=owner)


def _container(container: Manifest, pod: str, own_address: str | None) -> Manifest:
    """own_address: the one to listen on; None: all."""
    found = {key: value for key, value in container.items() if key not in _LEFT_OUT}
    variables = {}
    for one in container.get("env", ()):
        source = one.get("valueFrom", {"value": one.get("value", "")})
        if source == {"fieldRef": {"fieldPath": "metadata.name"}}:
            variables[one["name"]] = pod
        elif "value" in source:
            variables[one["name"]] = source["value"]
        else:
            raise ValueError(f"{pod}: {one['name']} comes from {source}, which is not known here")
    found["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    for key in ("command", "args"):
        words = [_filled(word, variables) for word in container.get(key, ())]
        if own_address is not None:
            words = [_ANY.sub(own_address, word) for word in words]
        if words:
            found[key] = words
    return found


def _filled(word: str, variables: Mapping[str, str]) -> str:
    """As Kubernetes does it: what is no variable stays, and `$$(NAME)` is `$(NAME)`."""

    def one(found: re.Match[str]) -> str:
        return found[0][1:] if found[1] else variables.get(found[2], found[0])

    return _VARIABLE.sub(one, word)


def _readiness(container: Manifest) -> Manifest:
    probe = {**container.get("readinessProbe", {})}
    ports = {one["name"]: one["containerPort"] for one in container.get("ports", ())}
    for kind in ("httpGet", "tcpSocket"):
        if kind in probe:
            probe[kind] = {
                **probe[kind],
                "port": ports.get(probe[kind]["port"], probe[kind]["port"]),
            }
    return probe


def _names(
    manifests: Sequence[Manifest],
    namespace: str,
    pods: Sequence[tuple[PlayedPod, Mapping[str, str], str]],
) -> Iterator[str]:
    """Lines of a hosts file. A Service is the first pod that it selects: there is no balancer."""
    for service in (one for one in manifests if one["kind"] == "Service"):
        name, wanted = service["metadata"]["name"], service["spec"]["selector"].items()
        found = [(pod, subdomain) for pod, labels, subdomain in pods if wanted <= labels.items()]
        if found:
            yield f"{found[0][0].address} {_spellings(name, namespace)}"
        for pod, subdomain in found:
            if subdomain == name:
                yield f"{pod.address} {pod.name} {_spellings(f'{pod.name}.{name}', namespace)}"


def _spellings(name: str, namespace: str) -> str:
    return f"{name} {name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local"
