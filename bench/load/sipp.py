"""SIPp as both sides of calls: who calls, and who answers; scenarios of our own."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from bench.suite.measurement import Failed, Skipped

RUN_S = 300.0
AT_ONCE = 10  # calls of one run
_SDP = (
    "v=0\n o=- 1 1 IN IP4 [local_ip]\n s=-\n c=IN IP4 [media_ip]\n t=0 0\n"
    " m=audio [media_port] RTP/AVP 0\n a=rtpmap:0 PCMU/8000"
)


def installed(name: str, package: str) -> str:
    """Where a program is. Raises Skipped."""
    found = shutil.which(name)
    if found is None:
        raise Skipped(f"{name} is not installed (Debian: {package})")
    return found


def _calling(caller: str, dialled: str) -> str:
    def request(method: str, target: str, number: int, *, more: str = "", to: str = "") -> str:
        return (
            f" {method} {target} SIP/2.0\n"
            " Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
            f" From: <sip:{caller}@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n"
            f" To: <sip:{dialled}@[remote_ip]:[remote_port]>{to}\n"
            f" Call-ID: [call_id]\n CSeq: {number} {method}\n Max-Forwards: 70\n"
            f" Contact: <sip:{caller}@[local_ip]:[local_port]>\n [routes]\n{more}"
        )

    first = f"sip:{dialled}@[remote_ip]:[remote_port]"
    offered = (
        f" P-Asserted-Identity: <tel:{caller}>\n Content-Type: application/sdp\n"
        f" Content-Length: [len]\n\n {_SDP}"
    )
    ended = " Content-Length: 0\n\n"
    tag = "[peer_tag_param]"
    return (
        '<?xml version="1.0"?><scenario name="calling">'
        f'<send retrans="500"><![CDATA[\n{request("INVITE", first, 1, more=offered)}\n]]></send>'
        '<recv response="100" optional="true"/><recv response="180" optional="true"/>'
        '<recv response="200" rrs="true"/>'
        f"<send><![CDATA[\n{request('ACK', '[next_url]', 1, more=ended, to=tag)}\n]]></send>"
        f'<send retrans="500"><![CDATA[\n'
        f"{request('BYE', '[next_url]', 2, more=ended, to=tag)}\n]]></send>"
        '<recv response="200"/></scenario>'
    )


def _answering() -> str:
    def answer(status: str, *, tag: bool, more: str) -> str:
        to = ";tag=[pid]y[call_number]" if tag else ""
        return (
            f" SIP/2.0 {status}\n [last_Via:]\n [last_Record-Route:]\n [last_From:]\n"
            f" [last_To:]{to}\n [last_Call-ID:]\n [last_CSeq:]\n"
            f" Contact: <sip:[local_ip]:[local_port]>\n{more}"
        )

    described = f" Content-Type: application/sdp\n Content-Length: [len]\n\n {_SDP}"
    ended = " Content-Length: 0\n\n"
    return (
        '<?xml version="1.0"?><scenario name="answering"><recv request="INVITE" rrs="true"/>'
        f"<send><![CDATA[\n{answer('180 Ringing', tag=True, more=ended)}\n]]></send>"
        f'<send retrans="500"><![CDATA[\n{answer("200 OK", tag=True, more=described)}\n]]></send>'
        '<recv request="ACK"/><recv request="BYE"/>'
        f"<send><![CDATA[\n{answer('200 OK', tag=False, more=ended)}\n]]></send></scenario>"
    )


async def calls_per_s(
    folder: Path, server: tuple[str, int], near: int, far: int, *, caller: str, dialled: str,
    count: int,
) -> float:  # fmt: skip
    """So many calls by a server, from the port near to the port far, ten at once: how many a
    second. Raises Failed unless each was answered and ended."""
    program = installed("sipp", "sip-tester")
    files = {"near": _calling(caller, dialled), "far": _answering()}
    for name, text in files.items():
        (folder / f"{name}.xml").write_text(text)

    async def begin(name: str, port: int, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            program, "-sf", str(folder / f"{name}.xml"), "-i", "127.0.0.1", "-p", str(port),
            "-nostdin", *words, cwd=folder,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    answering = await begin("far", far)
    try:
        began = time.monotonic()
        calling = await begin(
            "near", near, f"{server[0]}:{server[1]}", "-m", str(count), "-r", "2000", "-l",
            str(AT_ONCE),
        )  # fmt: skip
        async with asyncio.timeout(RUN_S):
            if await calling.wait():
                raise Failed("calls of a run failed")
        return count / (time.monotonic() - began)
    finally:
        answering.kill()
        await answering.wait()
