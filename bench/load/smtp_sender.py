"""`python -m bench.load.smtp_sender`: brings mails over SMTP, some connections at once, one mail
after another over each, every reply waited for; says as JSON how long that took from the first
command to the last reply, and what was answered to mails.

The mails are those of a file of msgpack, (recipient, mail) each, made ahead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

ANSWER_S = 120.0
SENDER = "carla@mail.example"


async def bring(port: int, mails: Iterator[tuple[str, bytes]], replies: Counter[str]) -> None:
    """Over one connection, until there are no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def reply() -> str:
        async with asyncio.timeout(ANSWER_S):
            while (line := await reader.readline())[3:4] == b"-":
                pass
        return line[:3].decode()

    async def said(command: str) -> str:
        writer.write(command.encode() + b"\r\n")
        return await reply()

    await reply()
    await said("EHLO mail.example")
    for recipient, content in mails:
        codes = [
            await said(f"MAIL FROM:<{SENDER}>"),
            await said(f"RCPT TO:<{recipient}>"),
            await said("DATA"),
        ]
        if codes != ["250", "250", "354"]:
            replies[" ".join(codes)] += 1
            await said("RSET")
            continue
        writer.write(content + b"\r\n.\r\n")
        replies[await reply()] += 1
    writer.close()


async def run(port: int, connections: int, mails: list[tuple[str, bytes]]) -> dict[str, object]:
    """seconds, and replies by their codes."""
    replies: Counter[str] = Counter()
    left = iter(mails)
    began = time.perf_counter()
    await asyncio.gather(*(bring(port, left, replies) for _ in range(connections)))
    return {"seconds": time.perf_counter() - began, "replies": dict(replies)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--mails", type=Path, required=True)
    given = parser.parse_args()
    mails = msgspec.msgpack.decode(given.mails.read_bytes(), type=list[tuple[str, bytes]])
    json.dump(asyncio.run(run(given.port, given.connections, mails)), sys.stdout)


if __name__ == "__main__":
    main()
