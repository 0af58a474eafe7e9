"""Mail from a foreign client, Debian's swaks, over a real socket, with and without TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from deployment_units.services.mail_in.smtp_limits import SmtpLimits
from deployment_units.services.mail_in.smtp_server import SmtpServer
from tests.support.certificates import Authority
from tests.support.fakes.mail_taker import MailboxTaker

SWAKS = shutil.which("swaks")
pytestmark = pytest.mark.skipif(SWAKS is None, reason="needs swaks: apt-get install swaks")
ANNA = "anna@talk.example"


async def swaks(port: int, *arguments: str) -> tuple[int, str]:
    """Its exit code, and what was said."""
    assert SWAKS is not None
    process = await asyncio.create_subprocess_exec(
        SWAKS, "--server", f"127.0.0.1:{port}", "--ehlo", "mail.example", "--from",
        "carla@mail.example", "--suppress-data", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode("utf-8", "replace")


@pytest.mark.parametrize("tls", [False, True])
async def test_a_mail_is_taken(tmp_path: Path, tls: bool) -> None:
    certificate, key = Authority.new().issue(addresses=["127.0.0.1"])
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    taker = MailboxTaker()
    server = SmtpServer(taker, host="mx.talk.example", clock=lambda: 0.0, tls=context)
    port = await server.start("127.0.0.1", 0)
    try:
        code, said = await swaks(
            port, "--to", ANNA, "--header", "Subject: Beans", "--body", "Yes.",
            *(["--tls"] if tls else []),
        )  # fmt: skip
    finally:
        await server.close()
    assert code == 0, said
    ((session, recipient, content),) = taker.mails
    assert (session.sender, recipient) == ("carla@mail.example", ANNA)
    assert session.encrypted is tls
    assert b"Subject: Beans\r\n" in content
    assert b"\r\nYes.\r\n" in content


async def test_what_is_refused_is_understood() -> None:
    taker = MailboxTaker()
    server = SmtpServer(
        taker, host="mx.talk.example", clock=lambda: 0.0, limits=SmtpLimits(max_bytes=10_000)
    )
    port = await server.start("127.0.0.1", 0)
    try:
        nobody = await swaks(port, "--to", "eve@talk.example")
        large = await swaks(
            port, "--to", ANNA, "--body", "x" * 70 + "\\n" + ("y" * 70 + "\\n") * 200
        )
    finally:
        await server.close()
    assert nobody[0] == 24  # every recipient was refused
    assert "550 5.1.1" in nobody[1]
    assert large[0] == 26  # after the data
    assert "552" in large[1]
    assert taker.mails == []
