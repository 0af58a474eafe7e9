"""The name server of the demo: tells of a few zones what their owners have published.

A process of its own on PyPI `dnspython`, over UDP on this machine. The records are files that are
read for each question, one a name: whoever writes one has published it.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from control_plane.files import replace_file
from control_plane.process import stop_on_signals
from control_plane.ready_file import write_ready_file

MODULE = __name__ if __name__ != "__main__" else "console.demo.directory.name_server"
TTL_S = 1


class PublishedRecords:
    """TXT records in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, name: str, value: str) -> None:
        """One text at a name."""
        replace_file(self.folder / name, value.encode())

    def text_at(self, name: str) -> str:
        """Empty: there is none."""
        file = self.folder / name
        return file.read_text() if "/" not in name and file.is_file() else ""

    def zones(self) -> set[str]:
        """In which something is published."""
        return {one.name.partition(".")[2] for one in self.folder.iterdir()}


def answered(query: dns.message.Message, records: PublishedRecords) -> dns.message.Message:
    """What the server says to one question."""
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA | dns.flags.RA
    text, zones = records.text_at(name), records.zones()
    if name in zones and question.rdtype == dns.rdatatype.NS:
        response.answer.append(dns.rrset.from_text(question.name, TTL_S, "IN", "NS", f"ns.{name}."))
    elif name.removeprefix("ns.") in zones:
        if name.startswith("ns.") and question.rdtype == dns.rdatatype.A:
            response.answer.append(
                dns.rrset.from_text(question.name, TTL_S, "IN", "A", "127.0.0.1")
            )
    elif not text:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.TXT:
        found = dns.rrset.from_text(question.name, TTL_S, "IN", "TXT", f'"{text}"')
        response.answer.append(found)
    return response


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, records: PublishedRecords) -> None:
        self._records = records

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own of Python 3.11 is no subclass of it.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        if query.question:
            self._transport.sendto(answered(query, self._records).to_wire(), addr)


async def serve(folder: Path, ready: Path) -> None:
    """Until it is told to stop; the ready file says where it listens."""
    loop = asyncio.get_running_loop()
    records = PublishedRecords(folder)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answering(records), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    write_ready_file(ready, {"dns": f"{host}:{port}"})
    try:
        await stop_on_signals().wait()
    finally:
        transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.ready_file))


if __name__ == "__main__":
    main()
