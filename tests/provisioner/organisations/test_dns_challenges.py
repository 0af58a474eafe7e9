"""Records of domains looked for in DNS messages: what counts as found, missing and not said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from control_plane.errors import InvalidInput
from provisioner.organisations.challenges import (
    NOT_SAID,
    ChallengeAnswer,
    challenge_value,
    combined,
)
from provisioner.organisations.dns_challenges import DnsChallenges, is_public
from provisioner.organisations.domain import Observation
from tests.support.fakes.name_server import NameServer, serving

ZONE = "contoso.example"
NAME = f"_homeport-challenge.{ZONE}"
TOKEN = "abc"
RECORD = [f'"{challenge_value(TOKEN)}"']
FOUND, MISSING, UNKNOWN = Observation.FOUND, Observation.MISSING, Observation.UNKNOWN


class Network:
    """Two resolvers, and the domain's own name server."""

    def __init__(self) -> None:
        own = {(ZONE, "NS"): [f"ns.{ZONE}."], (f"ns.{ZONE}", "A"): ["127.0.0.1"]}
        self.resolvers = [NameServer(records=dict(own), recurses=True) for _ in range(2)]
        self.own = NameServer(records=dict(own))
        self.every = [*self.resolvers, self.own]

    def publish(self, values: list[str], *, name: str = NAME, kind: str = "TXT") -> None:
        for one in self.every:
            one.records[name, kind] = values

    async def observe(self, token: str = TOKEN) -> Observation:
        servers = [f"127.0.0.1:{one.port}" for one in self.resolvers]
        answer = await DnsChallenges(servers, own_port=self.own.port, internal=True).read(ZONE)
        return answer.observe(token)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = Network()
    async with AsyncExitStack() as stack:
        for one in made.every:
            await stack.enter_async_context(serving(one))
        yield made


async def test_a_record_that_is_there(network):
    network.publish(['"v=spf1 -all"', *RECORD])
    assert await network.observe() is FOUND
    assert await network.observe("another") is MISSING


async def test_no_such_name_and_no_such_record_are_misses(network):
    assert await network.observe() is MISSING  # NXDOMAIN
    network.publish(["192.0.2.1"], kind="A")
    assert await network.observe() is MISSING  # no TXT
    network.publish(['"something else"'])
    assert await network.observe() is MISSING


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_resolvers_that_fail_are_no_miss(network, rcode):
    """Of what is not signed as it should be, resolvers say SERVFAIL; then the domain's own servers
    do not count either."""
    network.publish(RECORD)
    for one in network.resolvers:
        one.rcodes[NAME] = rcode
    assert await network.observe() is UNKNOWN


@pytest.mark.parametrize("broken", ["a resolver", "its own server"])
async def test_one_that_fails_is_no_miss_and_hides_nothing(network, broken):
    failing = network.resolvers[0] if broken == "a resolver" else network.own
    failing.rcodes[NAME] = "SERVFAIL"
    assert await network.observe() is UNKNOWN
    network.publish(RECORD)
    assert await network.observe() is FOUND


async def test_what_resolvers_do_not_know_yet_its_own_server_does(network):
    network.own.records[NAME, "TXT"] = RECORD
    assert await network.observe() is FOUND


async def test_its_own_servers_may_take_too_long(network):
    network.publish(RECORD)
    for one in network.resolvers:
        one.silent.add(f"ns.{ZONE}")
    servers = [f"127.0.0.1:{one.port}" for one in network.resolvers]
    answer = await DnsChallenges(servers, read_s=6.0, own_all_s=0.05, internal=True).read(ZONE)
    assert answer.observe(TOKEN) is FOUND


async def test_texts_in_several_strings_are_one(network):
    value = challenge_value(TOKEN)
    network.publish([f'"{value[:9]}" "{value[9:]}"'])
    assert await network.observe() is FOUND


async def test_a_wildcard_is_a_record_like_another(network):
    network.publish(RECORD, name=f"*.{ZONE}")
    assert await network.observe() is FOUND
    network.publish(['"of everything else"'], name=f"*.{ZONE}")
    assert await network.observe() is MISSING


async def test_an_alias_is_followed(network):
    network.publish(["proof.provider.example."], kind="CNAME")
    for one in network.resolvers:
        one.records["proof.provider.example", "TXT"] = RECORD
    assert await network.observe() is FOUND


async def test_a_server_that_is_not_the_domains_own_does_not_count(network):
    network.own.recurses = True
    network.own.records[NAME, "TXT"] = RECORD
    assert await network.observe() is UNKNOWN


async def test_names_too_long_for_a_record_have_none(network):
    servers = [f"127.0.0.1:{one.port}" for one in network.resolvers]
    long = ".".join(["a" * 60] * 4) + ".example"
    answer = await DnsChallenges(servers).read(long)
    assert answer.observe(TOKEN) is MISSING


def test_what_silence_comes_to():
    there = ChallengeAnswer(values=frozenset({challenge_value(TOKEN)}), conclusive=True)
    gone = ChallengeAnswer(conclusive=True)
    assert combined([], there) == NOT_SAID
    assert combined([NOT_SAID, NOT_SAID], there) == NOT_SAID
    assert combined([gone, NOT_SAID], gone).observe(TOKEN) is UNKNOWN
    assert combined([gone, gone], gone).observe(TOKEN) is MISSING
    assert combined([gone, NOT_SAID], there).observe(TOKEN) is FOUND


def test_a_resolver_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="ADDRESS:PORT"):
        DnsChallenges(["resolver.example:53"])


async def test_name_servers_at_internal_addresses_are_not_asked_unless_they_may_be(network):
    network.own.records[NAME, "TXT"] = RECORD  # what its own server alone has
    assert await network.observe() is FOUND
    asked = len(network.own.asked)
    servers = [f"127.0.0.1:{one.port}" for one in network.resolvers]
    answer = await DnsChallenges(servers, own_port=network.own.port).read(ZONE)
    assert answer.observe(TOKEN) is MISSING  # as resolvers say, whose word is all there is
    assert len(network.own.asked) == asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001::1", "not an address",
    ],
)  # fmt: skip
def test_what_is_no_public_address(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9"])
def test_what_is_a_public_address(address):
    assert is_public(address)
