"""The charts as Helm renders them, with Helm's own library (PyPI helm-python-sdk), and what a node
would make of a rendered pod: its files below a folder, its command line over those.

The library is Go's, so it lives in a process of its own: `render` asks that for many at once.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HELM = Path(__file__).resolve().parents[2] / "helm"
KUBERNETES = "1.37"
RENDER_S = 600
_PATHS = re.compile(r"(?<![\w.])/(etc/homeport|var/lib/homeport|etc/etcd|var/lib/etcd|tmp)\b")

Values = Mapping[str, Any]
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What came of one set of values. fault: why Helm refuses it, "" where it does not."""

    texts: Mapping[str, str]
    lint: Sequence[str]
    fault: str

    def manifests(self) -> list[Manifest]:
        """All objects."""
        return [
            found
            for name, text in self.texts.items()
            if name.endswith(".yaml")
            for found in yaml.safe_load_all(text)
            if found is not None
        ]


def render(chart: str, cases: Sequence[Values]) -> list[Rendered]:
    """Each set of values rendered and linted (strict), in order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.helm_rendering", chart],
        cwd=HELM.parent,
        input=json.dumps(list(cases)),
        capture_output=True,
        text=True,
        timeout=RENDER_S,
        check=True,
    )
    return [Rendered(**one) for one in json.loads(done.stdout)]


def main() -> None:
    """In the process of its own: cases on stdin, what came of them on stdout."""
    import helm_python

    path = HELM / sys.argv[1]
    found = []
    with helm_python.Chart.load(path) as chart:
        for values in json.load(sys.stdin):
            try:
                chart.validate_schema(values)
                texts = chart.render(values, name="trial", namespace="homeport")
                said = helm_python.lint(path, values, strict=True, kube_version=f"v{KUBERNETES}.0")
            except helm_python.HelmError as error:
                found.append({"texts": {}, "lint": [], "fault": str(error)})
                continue
            lint = [one["error"] for one in said["messages"] if one["severity"] > 1]
            found.append({"texts": texts, "lint": [*lint, *said["errors"]], "fault": ""})
    json.dump(found, sys.stdout)


def pods_of(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """(component, pod's spec) of everything that makes pods."""
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["metadata"]["labels"]["app.kubernetes.io/component"], one["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet", "Job"):
            template = one["spec"]["template"]
            labels = template["metadata"]["labels"]
            yield labels["app.kubernetes.io/component"], template["spec"]


def containers_of(pod: Manifest) -> list[Manifest]:
    """All of them, those that come first first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def laid_out(
    pod: Manifest,
    container: Manifest,
    root: Path,
    manifests: Sequence[Manifest],
    secrets: Mapping[str, Mapping[str, bytes]],
) -> list[str]:
    """Puts the files of a container's mounts below `root`, as a node does below /, and gives its
    command line with the paths rewritten, in files too. secrets: content by name and key; Secrets
    among the manifests count as well. Raises KeyError for what a node would wait for for ever."""
    volumes = {one["name"]: one for one in pod["volumes"]}
    maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    claims = {
        claim["metadata"]["name"]
        for one in manifests
        for claim in one.get("spec", {}).get("volumeClaimTemplates", [])
    }
    for mount in container["volumeMounts"]:
        folder = root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        if mount["name"] not in volumes:
            if mount["name"] not in claims:
                raise KeyError(f"no volume {mount['name']}")
            continue
        volume = volumes[mount["name"]]
        content: Mapping[str, str | bytes] = {}
        if "secret" in volume:
            content = secrets[volume["secret"]["secretName"]]
            content = {
                item["path"]: content[item["key"]]
                for item in volume["secret"].get(
                    "items", [{"key": key, "path": key} for key in content]
                )
            }
        elif "configMap" in volume:
            name = volume["configMap"]["name"]
            content = maps.get(name) or secrets[name]
        elif "emptyDir" not in volume:
            content = secrets[mount["name"]]
        for key, value in content.items():
            data = rewritten(value, root).encode() if isinstance(value, str) else value
            (folder / key).write_bytes(data)
            (folder / key).chmod(0o440)
    return [rewritten(word, root) for word in [*container["command"], *container["args"]]]


def rewritten(text: str, root: Path) -> str:
    """A text with the paths of a container turned into those below `root`."""
    return _PATHS.sub(lambda found: f"{root}{found[0]}", text)


if __name__ == "__main__":
    main()
