"""Chromium without a window, driven through its DevTools protocol; the browser is the machine's own.

Belongs here: starting it, keys and clicks as a person makes them, waiting, screenshots. Does not belong here: what a
page should show. `websockets` comes with Airflow's api-server, so this needs no package more.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The browser's command, if there is one here."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page of a Chromium without a window.

    :param profile: an empty directory, for what the browser keeps.
    :param dark: whether the person prefers dark pages.
    """

    def __init__(self, profile: Path, *, dark: bool = False, width: int = 1000, height: int = 900) -> None:
        self._profile = profile
        self._dark = dark
        self._size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._count = 0
        self._session = ""

    def __enter__(self) -> Browser:
        self._profile.mkdir(parents=True, exist_ok=True)
        command = [str(find_chromium()), "--headless=new", "--remote-debugging-port=0", "--no-sandbox"]
        command += ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={self._profile}"]
        with ExitStack() as stack:
            log = stack.enter_context((self._profile / "chromium.log").open("w"))
            # Whatever it leaves beside its profile stays out of the user's home.
            homes = {**os.environ, **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(self._profile))}
            self._process = subprocess.Popen(
                [*command, "about:blank"], stdout=log, stderr=log, start_new_session=True, env=homes
            )
            stack.callback(self._end)
            self._socket = stack.enter_context(connect(self._address(), max_size=None))
            target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
            self._session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
            self.send("Emulation.setDeviceMetricsOverride", self._size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
            self.send("Emulation.setEmulatedMedia", {"features": [scheme]})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self) -> str:
        log = self._profile / "chromium.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            if match := re.search(r"ws://\S+(?=\n)", log.read_text()):
                return match[0]
            time.sleep(0.1)
        raise AssertionError("Chromium did not start:\n" + log.read_text())

    def send(self, method: str, parameters: dict[str, Any] | None = None) -> Any:
        """One command of the protocol; its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters or {}}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._count:  # what has no id, or another's, is an event
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, url: str) -> None:
        """Go to a page, without waiting for what its scripts draw."""
        self.send("Page.navigate", {"url": url})

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, timeout_seconds: float = 60) -> Any:
        """The first true value of an expression (true for an element); fails with the page's text when none comes."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if value := self.evaluate(f"Promise.resolve({expression}).then(it => it instanceof Node ? true : it)"):
                return value
            time.sleep(0.1)
        raise AssertionError(f"waited for {expression}; the page says:\n{self.evaluate('document.body.innerText')}")

    def click(self, element: str) -> None:
        """Press the mouse button on an element (a JavaScript expression) once it rests and nothing covers it."""
        place = self.wait_for(
            f"""(async () => {{
                const element = {element};
                if (!element) return null;
                element.scrollIntoView({{block: "center"}});
                const {{x: left, y: above}} = element.getBoundingClientRect();
                await new Promise(resolve => setTimeout(resolve, 100));
                const box = element.getBoundingClientRect();
                if (box.x !== left || box.y !== above) return null;
                const x = box.x + box.width / 2, y = box.y + box.height / 2;
                const top = document.elementFromPoint(x, y);
                return top && (element.contains(top) || top.contains(element)) ? {{x, y}} : null;
            }})()"""
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", {"type": kind, **place, **button})

    def press(self, key: str, code: int, **more: Any) -> None:
        """Press a key by its name and its Windows key code."""
        for kind in ("keyDown", "keyUp"):
            event = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, **more}
            self.send("Input.dispatchKeyEvent", event)

    def fill(self, element: str, text: str) -> None:
        """Replace what stands in an input, and leave it."""
        self.click(element)
        self.evaluate(f"{element}.select()")
        self.press("Backspace", 8)
        if text:
            self.send("Input.insertText", {"text": text})
        self.press("Tab", 9)

    def screenshot(self, path: Path) -> None:
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", {"format": "png"})["data"]))
