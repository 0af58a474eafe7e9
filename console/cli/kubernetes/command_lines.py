"""What a container's program was told: the settings of its command line, its environment and its
settings file, in the order in which servers read them, and the files that they name.

Of etcd's own members as of Homeport's programs: both take `--name=value`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from console.cli.kubernetes.mounted_files import KeyReference, file_behind
from console.cli.kubernetes.state import ClusterState, Object, Workload, listed

_PREFIXES = ("HOMEPORT_AGENT_", "HOMEPORT_SHARING_", "HOMEPORT_PLATFORM_", "HOMEPORT_", "ETCD_")
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One container of a workload and its settings, by their names with underscores."""

    workload: Workload
    container: Object
    settings: Mapping[str, str]

    @property
    def title(self) -> str:
        several = len(self.workload.containers()) > 1
        name = f", container {self.container.get('name')}" if several else ""
        return f"{self.workload.title}{name}"

    def file(self, state: ClusterState, setting: str) -> KeyReference | None:
        """The key of a Secret or ConfigMap that the setting names as a file; None: it is not
        given, or is no such file."""
        path = self.settings.get(setting, "")
        return file_behind(state, self.workload, self.container, path) if path else None

    def port(self, setting: str) -> int | None:
        """The port of a setting that is host:port."""
        port = self.settings.get(setting, "").rpartition(":")[2]
        return int(port) if port.isdigit() and len(port) <= 5 else None


def programs_of(state: ClusterState) -> list[Program]:
    return [
        Program(workload=one, container=container, settings=_settings(state, one, container))
        for one in state.workloads()
        for container in one.containers()
    ]


def _settings(state: ClusterState, workload: Workload, container: Object) -> Mapping[str, str]:
    variables = {
        str(one.get("name")): value
        for one in listed(container, "env")
        if (value := _value(state, one)) is not None
    }
    found = {
        name.removeprefix(prefix).lower(): value
        for prefix in reversed(_PREFIXES)
        for name, value in variables.items()
        if name.startswith(prefix)
    }
    words = [
        _VARIABLE.sub(lambda one: variables.get(one[1], one[0]), str(word))
        for key in ("command", "args")
        for word in listed(container, key)
    ]
    found.update(_flags(words))
    path = found.get("config", "")
    source = file_behind(state, workload, container, path) if path else None
    if source is not None and (content := source.content(state)):
        found = {**_of_toml(content), **found}
    return found


def _value(state: ClusterState, variable: Object) -> str | None:
    """What is known of a variable before a pod is there."""
    if isinstance(variable.get("value"), str):
        return str(variable["value"])
    field = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
    return state.namespace if field == "metadata.namespace" else None


def _flags(words: list[str]) -> dict[str, str]:
    """`--name=value`, `--name value`, and `--name` by itself, which is `true`."""
    found = {}
    for place, word in enumerate(words):
        flag = _FLAG.fullmatch(word)
        if flag is None:
            continue
        value = flag[2]
        if value is None:
            after = words[place + 1] if place + 1 < len(words) else "--"
            value = "true" if after.startswith("--") else after
        found[flag[1].replace("-", "_")] = value
    return found


def _of_toml(content: bytes) -> dict[str, str]:
    """Values that are one word; a file at fault is the server's to tell."""
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return {}
    return {
        name.replace("-", "_"): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in document.items()
        if isinstance(value, str | int | float)
    }
