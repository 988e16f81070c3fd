"""A browser to look at the page with: Chromium, driven over its DevTools websocket from Trio.

The rule kept here: nothing is waited for by sleeping, and the browser ends with the block that opened it,
together with the processes it started.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeAlias, cast

import trio
from attrs import Factory, define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

Json: TypeAlias = Mapping[str, object]

STARTING_SECONDS = 20.0
ENDING_SECONDS = 5.0
POLL_MS = 10
PHONE_PIXELS = 640
ANSWER_BYTES = 64 * 1024 * 1024
SPEAKING = b"DevTools listening on "
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, and every page they load is our own
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "about:blank",
)


class BrowserError(Exception):
    """The browser refused a command, or an expression in the page threw."""


@define(eq=False)
class Tab:
    """One tab.  What the page complains about gathers in `complaints`."""

    _socket: WebSocketConnection
    _session: str = ""
    _last: int = 0
    _answers: dict[int, "trio.MemorySendChannel[Json]"] = field(factory=dict)
    complaints: list[str] = Factory(list)

    async def call(self, method: str, **parameters: object) -> Json:
        """Carry out one command of the DevTools protocol."""
        self._last += 1
        number = self._last
        sender, receiver = trio.open_memory_channel[Json](1)
        self._answers[number] = sender
        frame = {"id": number, "method": method, "params": parameters}
        if self._session:
            frame["sessionId"] = self._session
        await self._socket.send_message(json.dumps(frame))
        answer = await receiver.receive()
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return cast("Json", answer["result"])

    async def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if thrown := cast("Json | None", answer.get("exceptionDetails")):
            described = cast("Json", thrown.get("exception", {})).get("description")
            raise BrowserError(str(described or thrown.get("text")))
        return cast("Json", answer["result"]).get("value")

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true in the page, asked every few milliseconds there."""
        look = f"() => {{ if ({expression}) resolve(true); else setTimeout(look, {POLL_MS}); }}"
        await self.evaluate(f"new Promise((resolve) => {{ const look = {look}; look(); }})")

    async def open(self, url: str) -> None:
        """Go to an address.  Does not wait for what the page does there."""
        answer = await self.call("Page.navigate", url=url)
        if error := answer.get("errorText"):
            raise BrowserError(f"{url}: {error}")

    async def resize(self, width: int, height: int, theme: str = "light") -> None:
        """Look through a window of this size, with the system in this theme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width <= PHONE_PIXELS,
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def picture(self, file: Path) -> None:
        """Write what is to be seen as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        await trio.Path(file).write_bytes(base64.b64decode(str(answer["data"])))

    async def accessible(self) -> list[tuple[str, str]]:
        """The accessibility tree in order, as role and name, without what is ignored."""
        answer = await self.call("Accessibility.getFullAXTree")
        nodes = cast("list[Json]", answer["nodes"])
        return [(_value(node, "role"), _value(node, "name")) for node in nodes if not node.get("ignored")]

    async def press(self, key: str, code: str = "", modifiers: int = 0, text: str = "") -> None:
        """Press and release one key."""
        parameters = {"key": key, "code": code or key, "modifiers": modifiers}
        if key == "Enter":
            parameters["windowsVirtualKeyCode"] = 13
        elif key == "Tab":
            parameters["windowsVirtualKeyCode"] = 9
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **parameters)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    async def read(self) -> None:
        """Hear what the browser says, until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._hear(json.loads(await self._socket.get_message()))

    def _hear(self, frame: Json) -> None:
        if "id" in frame:
            self._answers.pop(cast("int", frame["id"])).send_nowait(frame)
            return
        parameters = cast("dict[str, Json]", frame.get("params", {}))
        match frame.get("method"):
            case "Runtime.consoleAPICalled" if str(parameters.get("type")) in {"error", "warning", "assert"}:
                arguments = cast("list[Json]", parameters["args"])
                said = [str(one.get("value", one.get("description"))) for one in arguments]
                self.complaints.append(f"console: {' '.join(said)}")
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                thrown = cast("Json", details.get("exception", {}))
                self.complaints.append(f"exception: {thrown.get('description', details.get('text'))}")
            case "Log.entryAdded" if parameters["entry"].get("level") in {"error", "warning"}:
                entry = parameters["entry"]
                self.complaints.append(f"{entry.get('source')}: {entry.get('text')} {entry.get('url', '')}")
            case _:
                pass

    async def prepare(self) -> None:
        """Open the tab and listen to its page."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Accessibility", "Network"):
            await self.call(f"{domain}.enable")


def _value(node: Json, name: str) -> str:
    return str(cast("Json", node.get(name, {})).get("value", ""))


@contextlib.asynccontextmanager
async def open_tab(chromium: str = "chromium") -> AsyncIterator[Tab]:
    """Start a browser of its own, with nothing remembered, and yield its one tab.

    Raises `BrowserError` where Chromium is missing or does not start.
    """
    program = shutil.which(chromium)
    if program is None:
        raise BrowserError(f"there is no program {chromium!r}: apt install chromium")
    with tempfile.TemporaryDirectory(prefix="hive-browser-", ignore_cleanup_errors=True) as profile:
        async with _chromium(program, profile) as url, trio.open_nursery() as nursery:
            async with open_websocket_url(url, max_message_size=ANSWER_BYTES) as socket:
                tab = Tab(socket)
                nursery.start_soon(tab.read)
                await tab.prepare()
                yield tab
            nursery.cancel_scope.cancel("the tab is closed")


@contextlib.asynccontextmanager
async def _chromium(program: str, profile: str) -> AsyncIterator[str]:
    """A browser in a process group of its own; yields the address of its DevTools."""
    process = await trio.lowlevel.open_process(
        [program, f"--user-data-dir={profile}", *ARGUMENTS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(STARTING_SECONDS):
                url = await _address(process.stderr)
            nursery.start_soon(_drain, process.stderr)
            yield url
            nursery.cancel_scope.cancel("the browser is done with")
    finally:
        with trio.move_on_after(ENDING_SECONDS, shield=True):
            _signal(process, signal.SIGTERM)
            await process.wait()
        _signal(process, signal.SIGKILL)
        with trio.move_on_after(ENDING_SECONDS, shield=True):
            await process.wait()


async def _address(stderr: trio.abc.ReceiveStream) -> str:
    said = b""
    while chunk := await stderr.receive_some():
        said += chunk
        for line in said.split(b"\n")[:-1]:
            if line.startswith(SPEAKING):
                return line.removeprefix(SPEAKING).decode().strip()
    raise BrowserError(
        f"the browser ended before it could be spoken to: {said[-500:].decode(errors='replace')}"
    )


async def _drain(stderr: trio.abc.ReceiveStream) -> None:
    """What the browser grumbles about itself must not fill the pipe."""
    while await stderr.receive_some():
        pass


def _signal(process: trio.Process, number: signal.Signals) -> None:
    """Tell the browser and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
