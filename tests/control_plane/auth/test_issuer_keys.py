"""Keys of an issuer, from files and addresses: kept in step, and kept while the source is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from control_plane.auth.issuer_keys import IssuerKeys
from control_plane.auth.jwks import MAX_DOCUMENT_BYTES
from control_plane.auth.jwks_source import (
    DISCOVERY,
    DiscoveredSource,
    FileSource,
    SourceAway,
    UrlSource,
    check_url,
    source_of,
)
from control_plane.errors import InvalidInput
from tests.support.jwt_issuer import document, jwk

GOOD, NEWER = document(jwk("P-256", "a")), document(jwk("P-256", "b", number=1))


class FakeSource:
    where = "the source"
    interval_s = min_pause_s = 3_600.0

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.reads = 0
        self.read_again = asyncio.Event()

    async def read(self) -> bytes:
        self.reads += 1
        self.read_again.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_keys_are_those_that_were_published_last():
    keys = IssuerKeys(FakeSource(GOOD, NEWER), clock=Clock())
    assert keys.current() is None
    await keys.refresh()
    assert keys.current().find("a")
    await keys.refresh()
    assert keys.current().find("b")
    assert not keys.current().find("a")


async def test_the_same_document_is_the_same_keys():
    keys = IssuerKeys(FakeSource(GOOD), clock=Clock())
    await keys.refresh()
    first = keys.current()
    await keys.refresh()
    assert keys.current() is first


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(SourceAway("connection refused"), id="away"),
        pytest.param(TimeoutError(), id="silent"),
        pytest.param(b"x" * (MAX_DOCUMENT_BYTES + 1), id="huge"),
        pytest.param(b'{"keys":' + b"[" * 100_000, id="deep"),
        pytest.param(document({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}), id="symmetric"),
        pytest.param(document(jwk("RSA1024", "a")), id="tiny"),
    ],
)
async def test_the_last_good_keys_are_used_for_a_bounded_time(fault, caplog):
    clock = Clock()
    keys = IssuerKeys(FakeSource(GOOD, fault), clock=clock, max_age_s=50.0)
    await keys.refresh()
    good = keys.current()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            await keys.refresh()
    assert [one.levelname for one in caplog.records] == ["ERROR"], "one line for one fault"
    assert keys.failures == 5
    clock.now += 50.0
    assert keys.current() is good
    clock.now += 1.0
    assert keys.current() is None


async def test_the_source_coming_back_is_told_and_ends_the_wait(caplog):
    clock = Clock()
    keys = IssuerKeys(FakeSource(GOOD, SourceAway("away"), GOOD), clock=clock, max_age_s=50.0)
    await keys.refresh()
    await keys.refresh()
    clock.now += 60.0
    assert keys.current() is None
    with caplog.at_level(logging.INFO):
        await keys.refresh()
    assert keys.current().find("a")
    assert "could be read again" in caplog.text


async def test_an_issuer_without_keys_lets_nobody_in(caplog):
    keys = IssuerKeys(FakeSource(GOOD, document()), clock=Clock())
    await keys.refresh()
    await keys.refresh()
    assert len(keys.current()) == 0, "keys that were withdrawn are not used"
    assert "no key to check signatures with" in caplog.text


async def test_unknown_keys_have_the_source_read_once_in_a_pause():
    source = FakeSource(GOOD)
    keys = IssuerKeys(source, clock=Clock())
    async with asyncio.timeout(30), running(keys):
        await source.read_again.wait()
        for _ in range(1_000):
            keys.ask_anew()
            await asyncio.sleep(0)
        assert source.reads == 1, "the pause is an hour here"


async def test_an_unknown_key_has_the_source_read_before_its_time():
    source = FakeSource(GOOD)
    source.min_pause_s = 0.0
    keys = IssuerKeys(source, clock=Clock())
    async with asyncio.timeout(30), running(keys):
        await source.read_again.wait()
        source.read_again.clear()
        keys.ask_anew()
        await source.read_again.wait()


@asynccontextmanager
async def running(keys: IssuerKeys) -> AsyncIterator[None]:
    task = asyncio.create_task(keys.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_file(tmp_path):
    path = tmp_path / "jwks.json"
    source = FileSource(path)
    with pytest.raises(SourceAway, match="no such file"):
        await source.read()
    path.write_bytes(GOOD)
    assert await source.read() == GOOD
    path.write_bytes(b" " * (MAX_DOCUMENT_BYTES + 100))
    assert len(await source.read()) == MAX_DOCUMENT_BYTES + 1


@asynccontextmanager
async def published(answers: dict[str, web.Response]) -> AsyncIterator[str]:
    """A site on this machine; its address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        found = answers.get(request.path)
        return web.Response(status=404) if found is None else found

    application = web.Application()
    application.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_address():
    async with published({"/jwks": web.Response(body=GOOD)}) as site:
        assert await UrlSource(f"{site}/jwks").read() == GOOD


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (web.Response(status=404), "status 404"),
        (web.Response(status=500, body=GOOD), "status 500"),
        (web.Response(status=302, headers={"Location": "/jwks"}), "status 302"),
    ],
)
async def test_an_address_that_answers_otherwise(answer, why):
    async with published({"/x": answer, "/jwks": web.Response(body=GOOD)}) as site:
        with pytest.raises(SourceAway, match=why):
            await UrlSource(f"{site}/x").read()


async def test_an_address_that_sends_without_end():
    async with published({"/x": web.Response(body=b"x" * (4 << 20))}) as site:
        assert len(await UrlSource(f"{site}/x").read()) == MAX_DOCUMENT_BYTES + 1


async def test_what_is_packed_is_not_unpacked():
    bomb = web.Response(body=b" " * (1 << 20))
    bomb.enable_compression(web.ContentCoding.gzip, strategy=9)
    async with published({"/x": bomb}) as site:
        assert (await UrlSource(f"{site}/x").read()).startswith(b"\x1f\x8b")


async def test_nobody_there():
    async with published({}) as site:
        pass
    with pytest.raises(SourceAway, match="refused"):
        await UrlSource(f"{site}/x").read()


async def test_the_address_that_an_issuer_tells():
    answers = {"/jwks": web.Response(body=GOOD)}
    async with published(answers) as site:
        said = {"issuer": site, "jwks_uri": f"{site}/jwks"}
        answers[DISCOVERY] = web.Response(body=json.dumps(said).encode())
        assert await DiscoveredSource(site).read() == GOOD


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issuer": "https://other.example"}, "configuration of"),
        ({"jwks_uri": "http://other.example/jwks"}, "not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "address"),
        ({"jwks_uri": 7}, "no configuration"),
    ],
)
async def test_an_issuer_that_tells_something_else(change, why):
    answers: dict[str, web.Response] = {}
    async with published(answers) as site:
        said = {"issuer": site, "jwks_uri": f"{site}/jwks", **change}
        answers[DISCOVERY] = web.Response(body=json.dumps(said).encode())
        with pytest.raises(SourceAway, match=why):
            await DiscoveredSource(site).read()


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.net/jwks", "http://10.0.0.1/jwks", "ftp://id.example.net", "https://",
        "id.example.net", "https://user:secret@id.example.net/", "https://[::1", "https://a b/",
        "https://a:99999/", "http://localhost.example.net/", "https://a/\n",
    ],
)  # fmt: skip
def test_addresses_that_are_not_taken(url):
    with pytest.raises(InvalidInput) as refused:
        check_url(url, "jwks")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["https://id.example.net/jwks", "http://localhost:1/", "http://127.0.0.1:80/", "http://[::1]:8/"]
)  # fmt: skip
def test_addresses_that_are_taken(url):
    assert check_url(url, "jwks") == url


def test_how_a_source_is_named(tmp_path):
    assert isinstance(source_of(str(tmp_path / "x.json")), FileSource)
    assert isinstance(source_of("https://id.example.net/jwks"), UrlSource)
    assert source_of("", issuer="https://id.example.net/").where == (
        "https://id.example.net/.well-known/openid-configuration"
    )
