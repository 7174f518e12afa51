"""A headless Chromium over its DevTools protocol: a page, its requests and its errors."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
_KEY_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}


@contextmanager
def chromium(profile: Path) -> Iterator[str]:
    """Start a browser and yield the address of its DevTools; skip the test without Chromium."""
    command = shutil.which("chromium") or shutil.which("google-chrome")
    if command is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    process = subprocess.Popen(
        [command, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        listening = (line for line in process.stderr if "DevTools listening on" in line)
        yield next(listening).split()[-1]
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


class Page:
    """A page of the browser; `requests`: URLs it requested, `errors`: errors in its console."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._socket = socket
        self._session: str | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()

    async def listen(self) -> None:
        """Receive the browser's messages until the socket is closed."""
        async for message in self._socket:
            received = json.loads(message.data)
            if "id" in received:
                self._waiting.pop(received["id"]).set_result(received)
            else:
                self._record(received["method"], received["params"])

    async def attach(self) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        self._waiting[number] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[number]
        await self._socket.send_json(command)
        async with asyncio.timeout(30):
            reply = await waiting
        assert "error" not in reply, reply
        result: dict[str, Any] = reply["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to a URL and wait until it has loaded, unless only its fragment changes."""
        self._loaded.clear()
        if "loaderId" not in await self.call("Page.navigate", url=url):
            return
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression after the page has been drawn; await promises."""
        drawn = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
        reply = await self.call(
            "Runtime.evaluate",
            expression=f"{drawn}.then(() => ({expression}))",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    async def text(self, selector: str) -> str:
        content: str = await self.evaluate(f"document.querySelector({selector!r}).textContent")
        return content

    async def count(self, selector: str) -> int:
        number: int = await self.evaluate(f"document.querySelectorAll({selector!r}).length")
        return number

    async def click(self, selector: str) -> None:
        await self.evaluate(f"document.querySelector({selector!r}).click()")

    async def type(self, text: str) -> None:
        """Type a text into the focused element."""
        await self.call("Input.insertText", text=text)

    async def type_in(self, selector: str, text: str) -> None:
        await self.evaluate(f"document.querySelector({selector!r}).focus()")
        await self.type(text)

    async def press(self, key: str) -> None:
        code = _KEY_CODES.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )  # fmt: skip

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window, and its light or dark theme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self) -> bytes:
        """Return the window as a PNG."""
        reply = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(reply["data"])

    def _record(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(json.dumps(params["args"]))


@asynccontextmanager
async def a_page(address: str) -> AsyncIterator[Page]:
    """Open a new page of the browser."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address, max_msg_size=0) as socket,
    ):
        page = Page(socket)
        listening = asyncio.create_task(page.listen())
        await page.attach()
        yield page
        await socket.close()
        await listening
