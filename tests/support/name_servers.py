"""Name servers of others, Debian's NSD and Knot DNS, each as a private instance: its own
configuration and zones in one folder, on a port of loopback, and gone when its test is.

The programs are those of the machine, or of a folder into which the packages were unpacked
(`dpkg -x`), which HOMEPORT_NAME_SERVERS names.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Self

import dns.asyncquery
import dns.exception
import dns.message
import pytest

from console.local.etcd_process import free_ports

ROOT = Path(os.environ.get("HOMEPORT_NAME_SERVERS") or "/")
PROGRAMS = {"nsd": ROOT / "usr/sbin/nsd", "knot": ROOT / "usr/sbin/knotd"}
WAIT_S = 60.0
_NSD = """server:
    ip-address: 127.0.0.1
    port: {port}
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    pidfile: "{folder}/pid"
    database: ""
    zonelistfile: "{folder}/zone.list"
    xfrdfile: "{folder}/xfrd.state"
    logfile: "{folder}/log"
    server-count: 1
remote-control:
    control-enable: no
"""
_NSD_ZONE = 'zone:\n    name: "{zone}"\n    zonefile: "{zone}.zone"\n'
_KNOT = """server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: {folder}
zone:
"""
_KNOT_ZONE = (
    "  - domain: {zone}\n    storage: {folder}\n    file: {zone}.zone\n    journal-content: none\n"
)
_HEAD = """$TTL 1
@ IN SOA ns.{zone}. owner.{zone}. {serial} 60 60 600 1
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
"""


class RealNameServer:
    """A context manager. zones: of which it is to tell; one without records has no file, and so
    answers SERVFAIL; of all others it answers REFUSED."""

    def __init__(self, program: str, folder: Path, zones: dict[str, list[str] | None]) -> None:
        found = PROGRAMS[program]
        if not found.exists():
            pytest.skip(f"needs Debian's {program} ({found})")
        self._program, self._folder, self._zones = found, folder, zones
        self._is_nsd = program == "nsd"
        self._process: asyncio.subprocess.Process | None = None
        self._serial = 0
        (self.port,) = free_ports(1)

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def publish(self, zone: str, records: list[str]) -> None:
        """These and no others, each in the words of a zone file."""
        self._zones[zone] = records
        await self._stop()
        await self._start()

    async def halt(self) -> None:
        """It answers nobody when this returns, until it is resumed."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        async with asyncio.timeout(WAIT_S):
            while not _is_stopped(self._process.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    async def _start(self) -> None:
        self._serial += 1
        self._folder.mkdir(exist_ok=True)
        given = {"folder": self._folder, "port": self.port}
        text = (_NSD if self._is_nsd else _KNOT).format(**given)
        for zone, records in self._zones.items():
            text += (_NSD_ZONE if self._is_nsd else _KNOT_ZONE).format(zone=zone, **given)
            if records is not None:
                head = _HEAD.format(zone=zone, serial=self._serial)
                (self._folder / f"{zone}.zone").write_text(head + "\n".join(records) + "\n")
        (self._folder / "conf").write_text(text)
        more = ("-d",) if self._is_nsd else ()
        self._process = await asyncio.create_subprocess_exec(
            str(self._program), "-c", str(self._folder / "conf"), *more,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            while not await self._answers():
                assert self._process.returncode is None, (self._folder / "conf").read_text()
                await asyncio.sleep(0.05)

    async def _stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.resume()
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        self._process = None

    async def _answers(self) -> bool:
        zone = next(name for name, records in self._zones.items() if records is not None)
        query = dns.message.make_query(zone, "SOA")
        try:
            said = await dns.asyncquery.udp(query, "127.0.0.1", timeout=0.5, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return bool(said.answer) and f" {self._serial} " in said.answer[0].to_text()


def _is_stopped(pid: int) -> bool:
    """All of its threads, as Linux has it."""
    states = (one / "stat" for one in Path(f"/proc/{pid}/task").iterdir())
    return all(one.read_text().rpartition(")")[2].split()[0] == "T" for one in states)
