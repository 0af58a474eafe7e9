"""The demo's name server: what is published is answered, and nothing else is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from console.demo.directory.name_server import PublishedRecords, answered, serve
from control_plane.ready_file import read_ready_file
from provisioner.organisations.dns_challenges import DnsChallenges
from provisioner.organisations.domain import Observation

NAME = "_homeport-challenge.contoso.example"


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param(NAME, "TXT", ["homeport-domain-verification=abc"], id="a text"),
        pytest.param(NAME.upper(), "TXT", ["homeport-domain-verification=abc"], id="any case"),
        pytest.param(NAME, "NS", [], id="of another kind"),
        pytest.param("fabrikam.example", "TXT", None, id="no such name"),
        pytest.param("..\\047etc\\047passwd".lstrip("."), "TXT", None, id="no path"),
    ],
)
def test_what_is_said_to_one_question(tmp_path: Path, name, kind, expected):
    records = PublishedRecords(tmp_path)
    records.publish(NAME, "homeport-domain-verification=abc")
    said = answered(dns.message.make_query(name, kind), records)
    texts = [b"".join(one.strings).decode() for rrset in said.answer for one in rrset]
    assert (None if said.rcode() == dns.rcode.NXDOMAIN else texts) == expected


async def test_what_is_published_is_found_over_udp(tmp_path: Path):
    """And what is not is missing: its name servers are at internal addresses, and not asked."""
    folder, ready = tmp_path / "zones", tmp_path / "ready"
    folder.mkdir()
    PublishedRecords(folder).publish(NAME, "homeport-domain-verification=abc")
    serving = asyncio.create_task(serve(folder, ready))
    try:
        async with asyncio.timeout(30):
            while (facts := read_ready_file(ready)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        answer = await DnsChallenges([str(facts["dns"])]).read("contoso.example")
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert answer.observe("abc") is Observation.FOUND
    assert answer.observe("another") is Observation.MISSING
