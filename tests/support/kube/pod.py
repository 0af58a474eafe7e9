"""One pod, from the moment it was placed at a node until nothing of it is left: files, network,
containers in their order, probes, restarts, and its status as the cluster is told of it."""

from __future__ import annotations

import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.kube.api import ApiRefused, KubeApi
from tests.support.kube.container import Container, Sandbox
from tests.support.kube.images import Image, find_image
from tests.support.kube.pod_files import NotThere, PodFiles
from tests.support.kube.pod_network import PodNetwork
from tests.support.kube.probes import Probe, find

_TICK_S = 0.2
_REFRESH_S = 2.0
_BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0)
_HOOK_S = 60.0


class _Run:
    """The runs of one container, one after the other."""

    def __init__(self, document: dict[str, Any], image: Image | None, log: Path) -> None:
        self.document = document
        self.image = image
        self.log = log
        self.container: Container | None = None
        self.restarts = 0
        self.waiting: dict[str, str] = {"reason": "ContainerCreating"}
        self.ended: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self.began = ""
        self.not_before_s = 0.0
        self.probes: dict[str, Probe | None] = {}

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def is_running(self) -> bool:
        return self.container is not None

    def start(self, sandbox: Sandbox) -> None:
        if self.image is None:
            self.waiting = {
                "reason": "ImagePullBackOff",
                "message": f'Back-off pulling image "{self.document["image"]}": not found',
            }
            return
        try:
            if self.log.exists():
                shutil.copyfile(self.log, self.log.with_suffix(".previous"))
                self.log.write_bytes(b"")
            self.container = Container(sandbox, self.document, self.image, self.log)
        except (NotThere, PermissionError) as error:
            self.waiting = {"reason": "CreateContainerConfigError", "message": str(error)}
            return
        self.began, now_s = _now(), time.monotonic()
        self.ended = None
        self.probes = {
            kind: Probe.of(self.document, kind, now_s)
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        }

    def reap(self, *, again: bool) -> None:
        """Notes that it has ended, if it has; again: it is to be started once more."""
        if self.container is None or (code := self.container.exit_code) is None:
            return
        self.container.kill()
        self.container = None
        self.ended = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": self.began,
            "finishedAt": _now(),
            "message": self._last_words(),
        }
        if again:
            self.last, self.ended = self.ended, None
            delay_s = _BACKOFF_S[min(self.restarts, len(_BACKOFF_S) - 1)]
            self.not_before_s = time.monotonic() + delay_s
            self.restarts += 1
            self.waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting"}

    def probe(self, address: str, sandbox: Sandbox) -> None:
        """Tries what is due. A failing startup or liveness probe ends the container."""
        if self.container is None or self.image is None:
            return
        startup = self.probes["startupProbe"]
        started = startup is None or startup.good is True
        kinds = ("readinessProbe", "livenessProbe") if started else ("startupProbe",)
        for kind in kinds:
            one = self.probes[kind]
            if one is None or one.due_s > time.monotonic():
                continue
            found = find(
                one.document, self.document, address=address, sandbox=sandbox, image=self.image
            )
            one.take(found, time.monotonic())
            if one.good is False and kind != "readinessProbe" and self.container is not None:
                self.container.kill()

    @property
    def is_started(self) -> bool:
        startup = self.probes.get("startupProbe")
        return self.is_running and (startup is None or startup.good is True)

    @property
    def is_ready(self) -> bool:
        readiness = self.probes.get("readinessProbe")
        return self.is_started and (readiness is None or readiness.good is True)

    def status(self, *, ready: bool) -> dict[str, Any]:
        state: dict[str, Any] = {"waiting": self.waiting}
        if self.container is not None:
            state = {"running": {"startedAt": self.began}}
        elif self.ended is not None:
            state = {"terminated": self.ended}
        return {
            "name": self.name,
            "image": self.document["image"],
            "imageID": "",
            "ready": ready,
            "started": self.is_started,
            "restartCount": self.restarts,
            "state": {"running": None, "terminated": None, "waiting": None, **state},
            "lastState": {"terminated": self.last} if self.last else {},
        }

    def _last_words(self) -> str:
        policy = self.document.get("terminationMessagePolicy")
        if policy != "FallbackToLogsOnError" or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])[-2_048:]


class Pod(threading.Thread):
    """Runs in a thread of its own until the pod is gone. `document` is replaced by the node as it
    changes."""

    def __init__(
        self,
        document: dict[str, Any],
        api: KubeApi,
        network: PodNetwork,
        *,
        folder: Path,
        claims: Path,
        hosts: Path,
        tags: frozenset[str],
    ) -> None:
        super().__init__(name=document["metadata"]["name"], daemon=True)
        self.document = document
        self.folder = folder
        self.halt = threading.Event()
        metadata = document["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._api = api
        self._network = network
        self._files = PodFiles(api, document, folder, claims)
        self._sandbox = Sandbox(
            document, self._files, network=network.pid, address=network.address, hosts=hosts
        )
        folder.mkdir(parents=True)
        self._inits = self._runs("initContainers", tags)
        self._mains = self._runs("containers", tags)
        self._told: dict[str, Any] = {}
        self._policy = document["spec"].get("restartPolicy", "Always")

    def _runs(self, key: str, tags: frozenset[str]) -> list[_Run]:
        return [
            _Run(one, find_image(one["image"], tags), self.folder / f"{one['name']}.log")
            for one in self.document["spec"].get(key) or ()
        ]

    def inside(self, container: str, words: list[str]) -> list[str]:
        """The words as a process in the container. Raises KeyError where it does not run."""
        for run in self._mains:
            if run.name == container and run.is_running and run.image is not None:
                return self._sandbox.command(run.document, run.image, words)
        raise KeyError(container)

    @property
    def is_leaving(self) -> bool:
        return self.halt.is_set() or "deletionTimestamp" in self.document["metadata"]

    def run(self) -> None:
        try:
            self._live()
        finally:
            for run in (*self._inits, *self._mains):
                if run.container is not None:
                    run.container.kill()
            self._network.remove()
        if not self.halt.is_set():
            self._remove_object()

    def _live(self) -> None:
        refreshed_s = 0.0
        laid_out = False
        while not self.is_leaving:
            if time.monotonic() > refreshed_s + _REFRESH_S or not laid_out:
                try:
                    self._files.lay_out()
                    laid_out = True
                except (NotThere, ApiRefused) as error:
                    if not laid_out:
                        for run in self._mains:
                            run.waiting = {"reason": "ContainerCreating", "message": str(error)}
                refreshed_s = time.monotonic()
            if laid_out:
                self._advance()
            self._tell()
            self.halt.wait(_TICK_S)
        self._end()

    def _advance(self) -> None:
        current = next((one for one in self._inits if not _has_succeeded(one)), None)
        for run in [current] if current else self._mains:
            run.reap(again=self._again(run))
            if not run.is_running and run.ended is None and time.monotonic() >= run.not_before_s:
                run.start(self._sandbox)
            run.probe(self._network.address, self._sandbox)

    def _again(self, run: _Run) -> bool:
        code = run.container.exit_code if run.container else None
        if run in self._inits or self._policy == "OnFailure":
            return self._policy != "Never" and code != 0
        return self._policy == "Always"

    def _end(self) -> None:
        grace_s = self.document["metadata"].get("deletionGracePeriodSeconds", 30)
        deadline_s = time.monotonic() + (1 if self.halt.is_set() else grace_s)
        running = [one for one in self._mains if one.container is not None]
        for run in running:
            hook = (run.document.get("lifecycle") or {}).get("preStop") or {}
            if "sleep" in hook and not self.halt.is_set():
                time.sleep(min(hook["sleep"]["seconds"], grace_s))
            elif "exec" in hook and run.image is not None and not self.halt.is_set():
                self._sandbox.execute(run.document, run.image, hook["exec"]["command"], _HOOK_S)
        for run in running:
            if run.container is not None:
                run.container.terminate()
        while time.monotonic() < deadline_s and any(
            one.container is not None and one.container.exit_code is None for one in running
        ):
            time.sleep(_TICK_S)

    def _tell(self) -> None:
        """Patches the status, where it has changed."""
        initialized = all(_has_succeeded(one) for one in self._inits)
        ready = initialized and all(one.is_ready for one in self._mains)
        status = {
            "phase": self._phase(),
            "podIP": self._network.address,
            "podIPs": [{"ip": self._network.address}],
            "hostIP": self._network.gateway,
            "hostIPs": [{"ip": self._network.gateway}],
            "containerStatuses": [one.status(ready=one.is_ready) for one in self._mains],
            "initContainerStatuses": [one.status(ready=_has_succeeded(one)) for one in self._inits],
        }
        facts = {
            "PodScheduled": True, "PodReadyToStartContainers": True, "Initialized": initialized,
            "ContainersReady": ready, "Ready": ready,
        }  # fmt: skip
        if {**status, "facts": facts} == self._told:
            return
        changed = _now()
        document = {
            **status,
            "startTime": self.document["metadata"]["creationTimestamp"],
            "conditions": [
                {"type": kind, "status": str(holds), "lastTransitionTime": changed}
                for kind, holds in facts.items()
            ],
        }
        try:
            self._api.patch(f"{self._path}/status", {"status": document})
            self._told = {**status, "facts": facts}
        except (ApiRefused, OSError):
            return  # it is gone, or is told with the next change

    def _phase(self) -> str:
        if any(one.ended and one.ended["exitCode"] for one in (*self._inits, *self._mains)):
            return "Failed"
        if all(one.ended is not None for one in self._mains):
            return "Succeeded"
        return "Running" if any(one.began for one in self._mains) else "Pending"

    def _remove_object(self) -> None:
        try:
            self._api.delete(
                self._path,
                gracePeriodSeconds=0,
                preconditions={"uid": self.document["metadata"]["uid"]},
            )
        except (ApiRefused, OSError):
            return  # somebody else did


def _has_succeeded(run: _Run) -> bool:
    return run.ended is not None and run.ended["exitCode"] == 0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
