"""The pages of the client: what runs is in files of ours, every file is served as what it is, and
the one of others is the one that its page names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from deployment_units.services.web.client_files import client_files
from tests.support.web_units import WebUnit, web_unit

WEB = files("deployment_units.services.web")
THEIRS = WEB.joinpath("third_party/adaptivecards")
MOST_LINES = 400


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u") as one:
        yield one


def test_nothing_is_inline_and_nothing_is_elsewhere() -> None:
    index = WEB.joinpath("client/index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", index)
    assert re.findall(r"<script(?![^>]*\ssrc=)", index) == []
    named = set(re.findall(r'\b(?:src|href)="([^"#]+)"', index))
    assert named <= set(client_files())
    for path, found in client_files().items():
        if path.startswith("third-party/"):
            continue
        text = found.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\b", text), path
        assert len(text.splitlines()) <= MOST_LINES, path
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert imported in client_files(), path


def test_what_is_of_others_is_what_its_page_says() -> None:
    page = THEIRS.joinpath("README.md").read_text()
    content = THEIRS.joinpath("adaptivecards.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() in page
    assert "MIT License" in THEIRS.joinpath("LICENSE").read_text()
    assert "Copyright" in THEIRS.joinpath("LICENSE").read_text()


async def test_each_is_served_as_what_it_is(unit: WebUnit) -> None:
    kinds = {
        "html": "text/html",
        "css": "text/css",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    async with unit.browser() as browser:
        for path, found in client_files().items():
            status, _, response = await browser.ask("GET", f"/client/{path}")
            assert (path, status) == (path, 200)
            assert response.content_type == kinds[path.rpartition(".")[2]]
            assert browser.content == found.content  # unpacked by who asked
            policy = response.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            tag = {"if-none-match": response.headers["etag"]}
            status, _, _ = await browser.ask("GET", f"/client/{path}", headers=tag)
            assert (status, browser.content) == (304, b"")
            plain = {"accept-encoding": "identity"}
            _, _, whole = await browser.ask("GET", f"/client/{path}", headers=plain)
            assert "content-encoding" not in whole.headers
            assert browser.content == found.content


async def test_the_client_is_found_and_nothing_beside_it(unit: WebUnit) -> None:
    async with unit.browser() as browser:
        for path in ("/", "/client"):
            status, _, response = await browser.ask("GET", path)
            assert (status, response.headers["location"]) == (308, "/client/")
        assert (await browser.ask("GET", "/client/"))[0] == 200
        for path in ("door.py", "../door.py", "..%2fdoor.py", "third-party/LICENSE", "nothing.js"):
            assert (await browser.ask("GET", f"/client/{path}"))[0] == 404
