"""Services on this machine: their names in a file of hosts for each namespace, and for each of
their addresses somebody who listens and passes connections on to a pod that is ready."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CONNECT_S = 5.0
_CHUNK = 1 << 16
_START_S = 10.0


class Services:
    """Follows what it is shown; `close` ends what listens."""

    def __init__(self, folder: Path) -> None:
        """folder: for the files of hosts."""
        self._folder = folder
        self._targets: dict[tuple[str, int], list[tuple[str, int]]] = {}
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def hosts(self, namespace: str) -> Path:
        """The file for pods of a namespace; the same for as long as it is followed."""
        path = self._folder / f"hosts-{namespace}"
        if not path.exists():
            path.write_text("127.0.0.1 localhost\n")
            path.chmod(0o644)
        return path

    def show(self, services: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
        """What there is now. Pods without an address here are left out."""
        targets: dict[tuple[str, int], list[tuple[str, int]]] = {}
        names: dict[str, list[tuple[str, str]]] = {}
        for service in services:
            metadata, spec = service["metadata"], service["spec"]
            namespace, name = metadata["namespace"], metadata["name"]
            behind = [pod for pod in pods if _is_behind(service, pod)]
            address = spec.get("clusterIP", "None")
            if address == "None":
                for pod in behind:
                    ready = _is_ready(pod) or spec.get("publishNotReadyAddresses")
                    ip = pod["status"]["podIP"]
                    if ready:
                        names.setdefault(namespace, []).append((ip, name))
                    if pod["spec"].get("subdomain") == name and pod["spec"].get("hostname"):
                        names[namespace] = names.get(namespace, [])
                        names[namespace].append((ip, f"{pod['spec']['hostname']}.{name}"))
                continue
            names.setdefault(namespace, []).append((address, name))
            for port in spec.get("ports") or ():
                targets[address, port["port"]] = [
                    (pod["status"]["podIP"], number)
                    for pod in behind
                    if _is_ready(pod) and (number := _target(pod, port)) is not None
                ]
        self._write(names)
        self._targets = targets
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S)

    def close(self) -> None:
        self._targets = {}
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)

    def _write(self, names: dict[str, list[tuple[str, str]]]) -> None:
        """In place: pods have the file itself."""
        for path in self._folder.glob("hosts-*"):
            own = path.name.removeprefix("hosts-")
            lines = ["127.0.0.1 localhost"]
            for namespace, listed in sorted(names.items()):
                for address, name in listed:
                    lines.append(f"{address} {' '.join(_forms(name, namespace, own))}")
            text = "\n".join(lines) + "\n"
            if path.read_text() != text:
                path.write_text(text)

    async def _listen(self) -> None:
        for key in [one for one in self._servers if one not in self._targets]:
            self._servers.pop(key).close()
        for key in self._targets:
            if key not in self._servers:
                address, port = key
                self._servers[key] = await asyncio.start_server(
                    lambda reader, writer, key=key: self._pass_on(key, reader, writer),
                    address,
                    port,
                )

    async def _pass_on(
        self, key: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ready = self._targets.get(key)
        if not ready:
            writer.transport.abort()
            return
        host, port = random.choice(ready)
        try:
            async with asyncio.timeout(_CONNECT_S):
                there, back = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Passes on what comes, until one side ends."""
    try:
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    except (OSError, ConnectionError):
        sink.transport.abort()
        return
    if sink.can_write_eof():
        try:
            sink.write_eof()
        except OSError:
            sink.transport.abort()


def _forms(name: str, namespace: str, own: str) -> Iterator[str]:
    if namespace == own:
        yield name
    for suffix in (namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local"):
        yield f"{name}.{suffix}"


def _is_behind(service: dict[str, Any], pod: dict[str, Any]) -> bool:
    selector = service["spec"].get("selector")
    labels = pod["metadata"].get("labels") or {}
    return (
        bool(selector)
        and pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        and "podIP" in pod["status"]
        and all(labels.get(key) == value for key, value in selector.items())
    )


def _is_ready(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in pod["status"].get("conditions") or ()
    )


def _target(pod: dict[str, Any], port: dict[str, Any]) -> int | None:
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    for container in pod["spec"]["containers"]:
        for one in container.get("ports") or ():
            if one.get("name") == wanted:
                return int(one["containerPort"])
    return None
