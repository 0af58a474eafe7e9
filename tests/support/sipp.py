"""SIPp as both sides of calls and texts: scenarios of our own, and what each side saw."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

SIPP = shutil.which("sipp")
needs_sipp = pytest.mark.skipif(SIPP is None, reason="SIPp (Debian: sip-tester) is not installed")
RUN_S = 500.0

_PLANTED = (
    "Subject", "Reason", "Identity", "Remote-Party-ID", "Diversion", "User-Agent", "Server",
    "Warning", "Call-Info", "History-Info", "X-Caller", "Organization", "Reply-To", "Geolocation",
    "P-Preferred-Identity", "P-Charging-Vector", "Session-ID", "User-to-User", "Referred-By",
    "Error-Info", "Alert-Info", "In-Reply-To", "Authorization",
)  # fmt: skip
_SDP = """v=0
      o={me} 1 1 IN IP4 [local_ip]
      s={me}
      i={me}
      e={me}@mail.example
      p={me}
      c=IN IP4 [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      a=tool:{me}"""


def _plants(forms: list[str]) -> str:
    return "\n".join(
        f"      {name}: {forms[number % len(forms)]}" for number, name in enumerate(_PLANTED)
    )


def _send(start: str, fields: str, body: str = "", *, extra: str = "") -> str:
    text = f"      {start}\n{fields}\n      Content-Length: {'[len]' if body else '0'}\n\n"
    return (
        f"<send{extra}><![CDATA[\n{text}" + (f"      {body}\n" if body else "") + "    ]]></send>"
    )


def _request(method: str, number: int, me: str, dialled: str, more: str = "", to: str = "") -> str:
    return (
        f"      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        f"      From: <sip:{me}@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n"
        f"      To: <sip:{dialled}@[remote_ip]:[remote_port]>{to}\n"
        f"      Call-ID: [call_id]\n      CSeq: {number} {method}\n      Max-Forwards: 70\n"
        f"      Contact: <sip:{me}@[local_ip]:[local_port]>" + (f"\n{more}" if more else "")
    )


def calling(me: str, dialled: str, forms: list[str]) -> str:
    """A scenario: calls, says who it is in every place that there is, and hangs up."""
    target = f"sip:{dialled}@[remote_ip]:[remote_port]"
    asserted = f"      P-Asserted-Identity: <sip:{me}@[local_ip]>"
    planted = f"{asserted}\n{_plants(forms)}"
    peer = "[peer_tag_param]"
    return "\n".join([
        '<?xml version="1.0"?><scenario name="calling">',
        _send(f"INVITE {target} SIP/2.0",
              _request("INVITE", 1, me, dialled, f"{planted}\n      Content-Type: application/sdp"),
              _SDP.format(me=me), extra=' retrans="500"'),
        '<recv response="100" optional="true"/><recv response="180" optional="true"/>',
        '<recv response="200" rtd="true" rrs="true"/>',
        _send("ACK [next_url] SIP/2.0", _request("ACK", 1, me, dialled, _plants(forms), peer)),
        _send("BYE [next_url] SIP/2.0", _request("BYE", 2, me, dialled, _plants(forms), peer),
              extra=' retrans="500"'),
        '<recv response="200"/>', "</scenario>",
    ])  # fmt: skip


def texting(me: str, dialled: str, forms: list[str]) -> str:
    """A scenario: one text."""
    planted = f"      P-Asserted-Identity: <sip:{me}@[local_ip]>\n{_plants(forms)}"
    return "\n".join([
        '<?xml version="1.0"?><scenario name="texting">',
        _send(f"MESSAGE sip:{dialled}@[remote_ip]:[remote_port] SIP/2.0",
              _request("MESSAGE", 1, me, dialled, f"{planted}\n      Content-Type: text/plain"),
              "Are you coming?", extra=' retrans="500"'),
        '<recv response="200"/>', "</scenario>",
    ])  # fmt: skip


def _answer(status: str, me: str, forms: list[str], body: str = "", extra: str = "") -> str:
    fields = (
        "      [last_Via:]\n      [last_From:]\n      [last_To:];tag=[pid]y[call_number]\n"
        "      [last_Call-ID:]\n      [last_CSeq:]\n"
        f"      Contact: <sip:{me}@[local_ip]:[local_port]>\n{_plants(forms)}"
        + ("\n      Content-Type: application/sdp" if body else "")
    )
    return _send(f"SIP/2.0 {status} {me}", fields, body, extra=extra)


def ringing(me: str, forms: list[str]) -> str:
    """A scenario: rings, answers and is hung up on, and says who it is all along."""
    return "\n".join([
        '<?xml version="1.0"?><scenario name="ringing">', '<recv request="INVITE" crlf="true"/>',
        _answer("180", me, forms),
        _answer("200", me, forms, _SDP.format(me=me), ' retrans="500"'),
        '<recv request="ACK"/>', '<recv request="BYE"/>',
        _answer("200", me, forms).replace("[last_To:];tag=[pid]y[call_number]", "[last_To:]"),
        "</scenario>",
    ])  # fmt: skip


def taking(me: str, forms: list[str]) -> str:
    """A scenario: takes a text."""
    return "\n".join([
        '<?xml version="1.0"?><scenario name="taking">', '<recv request="MESSAGE"/>',
        _answer("200", me, forms), "</scenario>",
    ])  # fmt: skip


@dataclass(slots=True)
class Sipp:
    """One process. seen: the file in which all messages of its side stand."""

    process: asyncio.subprocess.Process
    seen: Path
    errors: Path

    async def ended(self) -> int:
        """Its exit code: 0: every call went as its scenario has it."""
        async with asyncio.timeout(RUN_S):
            return await self.process.wait()

    def kill(self) -> None:
        """Where it has not ended."""
        if self.process.returncode is None:
            self.process.kill()


async def start(
    folder: Path, name: str, scenario: str, port: int, *words: str, trace: bool = True
) -> Sipp:
    """SIPp with a scenario at a port of loopback; words: its further arguments."""
    assert SIPP is not None
    file = folder / f"{name}.xml"
    file.write_text(scenario)
    seen, errors = folder / f"{name}.log", folder / f"{name}.err"
    traced = ("-trace_msg", "-message_file", str(seen)) if trace else ()
    process = await asyncio.create_subprocess_exec(
        SIPP, "-sf", str(file), "-i", "127.0.0.1", "-p", str(port), "-nostdin", *traced,
        "-trace_err", "-error_file", str(errors), *words,
        cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return Sipp(process, seen, errors)
