"""A real browser, driven over WebDriver (https://www.w3.org/TR/webdriver2/): Debian's chromium and
chromium-driver. Tests that need it are skipped, with the reason, where it is not installed."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

WAIT_S = 60.0
STARTED = re.compile(rb"started successfully on port (\d+)")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"


class Window:
    """One window of a browser of its own: cookies are nobody else's."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def go(self, address: str) -> None:
        await self._ask("POST", "/url", {"url": address})

    async def run(self, script: str, *arguments: object) -> Any:
        """What a script returns that is run in the page."""
        return await self._ask("POST", "/execute/sync", {"script": script, "args": arguments})

    async def until(self, script: str, *arguments: object) -> Any:
        """What the script returns once that is something."""
        found: Any = None
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := await self.run(f"return {script}", *arguments)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            page = await self.run("return document.body.innerText")
            raise AssertionError(f"never: {script}; the page says\n{page}") from None
        return found

    async def sees(self, text: str, selector: str = "body") -> None:
        """Waits for a text in what is shown."""
        every = "[...document.querySelectorAll(arguments[1])]"
        await self.until(f"{every}.some(x => x.innerText.includes(arguments[0]))", text, selector)

    async def click(self, selector: str) -> None:
        await self._at(selector, "/click", {})

    async def type(self, selector: str, text: str) -> None:
        await self._at(selector, "/value", {"text": text})

    async def screenshot(self) -> bytes:
        """As PNG."""
        return base64.b64decode(await self._ask("GET", "/screenshot"))

    async def size(self, width: int, height: int) -> None:
        await self._cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    async def dark(self, is_dark: bool = True) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self._cdp("Emulation.setEmulatedMedia", features=[feature])

    async def complaints(self) -> list[str]:
        """What the browser wrote into its console of level warning or worse, such as scripts and
        styles that the policy stopped."""
        logged = await self._ask("POST", "/se/log", {"type": "browser"})
        return [one["message"] for one in logged if one["level"] in ("WARNING", "SEVERE")]

    async def _cdp(self, command: str, **parameters: object) -> None:
        await self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    async def _at(self, selector: str, path: str, document: object) -> None:
        """Does it at an element; at the one in its place, where that was drawn anew meanwhile."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await self._ask(
                        "POST", f"/element/{await self._element(selector)}{path}", document
                    )
                except AssertionError as failed:
                    if "stale element" not in str(failed):
                        raise
                else:
                    return

    async def _element(self, selector: str) -> str:
        await self.until("document.querySelector(arguments[0])", selector)
        how = {"using": "css selector", "value": selector}
        found = await self._ask("POST", "/element", how)
        return str(found[ELEMENT])

    async def _ask(self, verb: str, path: str, document: object = None) -> Any:
        async with self._http.request(verb, self._url + path, json=document) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return said["value"]


class Browsers:
    """Opens windows, each of a browser that knows nothing of the others."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    @asynccontextmanager
    async def window(self) -> AsyncIterator[Window]:
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--window-size=1200,800",
        ]  # fmt: skip
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        request = {"capabilities": {"alwaysMatch": wanted}}
        async with self._http.post(f"{self._url}/session", json=request) as answer:
            made = await answer.json()
            assert answer.status == 200, made
        url = f"{self._url}/session/{made['value']['sessionId']}"
        try:
            yield Window(self._http, url)
        finally:
            async with self._http.delete(url):
                pass


@asynccontextmanager
async def browsers() -> AsyncIterator[Browsers]:
    """Skips the test where there is no browser."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("there is no browser here: apt-get install chromium chromium-driver")
    process = await asyncio.create_subprocess_exec(
        driver, "--port=0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while not (found := STARTED.search(line := await process.stdout.readline())):
                assert line, "chromedriver ended before it served"
        timeout = aiohttp.ClientTimeout(total=2 * WAIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Browsers(http, f"http://127.0.0.1:{int(found[1])}")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), WAIT_S)
