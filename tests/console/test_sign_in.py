"""`homeport accounts sign-in`: the link has the ticket behind '#', leads to the client's home, and
is said to be a secret."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

TICKET = "ticket:default:alice:unit-0:1"


@pytest.fixture
def alice(cli: CommandLine, service: Served) -> CommandLine:
    """The command line, where alice has a home."""
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    return cli


@pytest.mark.parametrize(
    ("web", "origin"),
    [
        pytest.param(["https://{unit}.talk.example"], "https://unit-0.talk.example", id="of any"),
        pytest.param(
            ["us=https://us.talk.example", "unit-0=https://eu.talk.example:8443/"],
            "https://eu.talk.example:8443",
            id="of its unit",
        ),
        pytest.param(["http://127.0.0.1:7712"], "http://127.0.0.1:7712", id="on this machine"),
    ],
)
def test_it_leads_to_the_client_s_home(alice: CommandLine, web: list[str], origin: str) -> None:
    words = [word for one in web for word in ("--web", one)]
    ran = alice("accounts", "sign-in", "alice", *words)
    assert (ran.code, ran.out) == (0, f"{origin}/client/#ticket={TICKET}\n")
    assert "a secret" in ran.err
    document = alice("accounts", "sign-in", "alice", *words, "-o", "json").document
    assert document["link"] == ran.out.strip()
    assert document["unit_id"] == "unit-0"


@pytest.mark.parametrize(
    ("web", "said"),
    [
        pytest.param("us=https://us.talk.example", "it is at home in unit-0", id="another unit"),
        pytest.param("http://talk.example", "goes over https", id="in the clear"),
        pytest.param("talk.example", "is not https://name", id="no address"),
        pytest.param("https://talk.example/x?y", "is not https://name", id="more than an address"),
    ],
)
def test_what_would_lead_elsewhere_or_in_the_clear_is_refused(
    alice: CommandLine, web: str, said: str
) -> None:
    ran = alice("accounts", "sign-in", "alice", "--web", web)
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())
    assert TICKET not in ran.err
