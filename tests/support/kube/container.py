"""A container of a pod as a process: in the pod's network, with its files, variables and user, and
none of its machine's but what its image has."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.kube.images import Image, command_of, image_arguments
from tests.support.kube.pod_files import PodFiles

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_PROBE_S = 30.0
_NOBODY = 65534
_BINDS = ("--bind", "--ro-bind", "--ro-bind-try")


class Sandbox:
    """Where the containers of one pod run. network: a process in the pod's network namespace;
    hosts: the file of names that its programs see."""

    def __init__(
        self, pod: dict[str, Any], files: PodFiles, *, network: int, address: str, hosts: Path
    ) -> None:
        self._pod = pod
        self._files = files
        self._network = network
        self._address = address
        self._hosts = hosts

    def command(self, container: dict[str, Any], image: Image, words: list[str]) -> list[str]:
        """`words`, run as in this container. Raises NotThere."""
        spec = self._pod["spec"]
        context = {
            **(spec.get("securityContext") or {}),
            **(container.get("securityContext") or {}),
        }
        user = int(context.get("runAsUser", 0))
        if context.get("runAsNonRoot") and user == 0:
            raise PermissionError("container has runAsNonRoot and image will run as root")
        group = int(context.get("runAsGroup", user))
        groups = [str(one) for one in context.get("supplementalGroups", [])]
        if "fsGroup" in context:
            groups.append(str(context["fsGroup"]))
        variables = self._variables(container)
        words = [_VARIABLE.sub(lambda one: variables.get(one[1], one[0]), word) for word in words]
        sandbox = [
            "nsenter", f"--net=/proc/{self._network}/ns/net", "bwrap", "--die-with-parent",
            "--unshare-ipc", "--unshare-uts", "--hostname", self._pod["metadata"]["name"],
            "--cap-add", "ALL", "--clearenv",
        ]  # fmt: skip
        sandbox += _with_parents(
            [
                *_outermost_first(image_arguments(image), self._files.mounts(container)),
                "--ro-bind", str(self._hosts), "/etc/hosts", "--dev", "/dev", "--proc", "/proc",
            ]
        )  # fmt: skip
        sandbox += ["--perms", "1777", "--dir", "/tmp"] * ("/tmp" not in sandbox)
        if context.get("readOnlyRootFilesystem"):
            sandbox += ["--remount-ro", "/"]
        for name, value in variables.items():
            sandbox += ["--setenv", name, value]
        sandbox += ["--chdir", container.get("workingDir", "/"), "--"]
        identity = ["--clear-groups"] if not groups else [f"--groups={','.join(groups)}"]
        return [
            *sandbox, "setpriv", f"--reuid={user}", f"--regid={group}", *identity,
            "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", *words,
        ]  # fmt: skip

    def execute(
        self, container: dict[str, Any], image: Image, words: list[str], limit_s: float
    ) -> bool:
        """Whether a command in the container succeeds: probes and hooks."""
        try:
            done = subprocess.run(
                self.command(container, image, words), capture_output=True, timeout=limit_s,
                check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _variables(self, container: dict[str, Any]) -> dict[str, str]:
        found = {"HOSTNAME": self._pod["metadata"]["name"], "HOME": "/", "LANG": "C.UTF-8"}
        for source in container.get("envFrom") or ():
            for kind in ("secret", "configMap"):
                if reference := source.get(f"{kind}Ref"):
                    values = self._files.values(kind, reference)
                    found |= {source.get("prefix", "") + key: one for key, one in values.items()}
        for variable in container.get("env") or ():
            value = self._value(variable)
            if value is not None:
                found[variable["name"]] = _VARIABLE.sub(
                    lambda one: found.get(one[1], one[0]), value
                )
        return found

    def _value(self, variable: dict[str, Any]) -> str | None:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable.get("value", ""))
        for kind in ("secret", "configMap"):
            if reference := source.get(f"{kind}KeyRef"):
                return self._files.value(kind, reference)
        metadata = self._pod["metadata"]
        fields = {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": self._pod["spec"]["nodeName"],
            "spec.serviceAccountName": self._pod["spec"].get("serviceAccountName", "default"),
            "status.podIP": self._address,
            "status.hostIP": self._address,
        }
        path = source["fieldRef"]["fieldPath"]
        if path.startswith("metadata.labels["):
            return str((metadata.get("labels") or {}).get(path[len("metadata.labels['") : -2], ""))
        return fields[path]


def _with_parents(words: list[str]) -> list[str]:
    """Before what is bound, its parents: bwrap would make them, for their owner alone. Below what
    is read-only there is nothing to make."""
    made: list[str] = []
    known: dict[Path, bool] = {}  # whether a folder can be made in it
    for place, word in enumerate(words):
        if word in _BINDS:
            target = Path(words[place + 2])
            for one in reversed(target.parents[:-1]):
                if one not in known:
                    known[one] = known.get(one.parent, True)
                    made += ["--perms", "0755", "--dir", str(one)] * known[one]
            known[target] = word == "--bind"
        made.append(word)
    return made


def _outermost_first(image: list[str], mounts: list[str]) -> list[str]:
    """A volume over a folder of the image, as /tmp is, before it; all others after the image, in
    which they are. mounts: three words each."""
    paths = [
        Path(image[place + 2]) for place, word in enumerate(image) if word.startswith("--ro-bind")
    ]
    outer, inner = [], []
    for place in range(0, len(mounts), 3):
        one = mounts[place : place + 3]
        around = any(path.is_relative_to(one[2]) for path in paths)
        (outer if around else inner).extend(one)
    return [*outer, *image, *inner]


class Container:
    """One run of a container. log: what it writes is put there."""

    def __init__(
        self, sandbox: Sandbox, container: dict[str, Any], image: Image, log: Path
    ) -> None:
        """Starts it. Raises NotThere, PermissionError."""
        command = sandbox.command(container, image, command_of(image, container))
        split = command.index("--die-with-parent")
        with tempfile.TemporaryFile() as told, log.open("ab") as output:
            number = told.fileno()
            self._process = subprocess.Popen(
                [*command[:split], "--info-fd", str(number), *command[split:]],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[number],
                start_new_session=True,
            )  # fmt: skip
            self._told = os.dup(number)
        self._inner: int | None = None

    @property
    def exit_code(self) -> int | None:
        code = self._process.poll()
        return None if code is None else code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the program itself."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_PROBE_S)

    def _signal(self, number: int) -> None:
        if self._inner is None:
            content = os.pread(self._told, 4_096, 0)
            self._inner = int(json.loads(content)["child-pid"]) if content else None
        if self._inner is not None and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self._inner, number)
