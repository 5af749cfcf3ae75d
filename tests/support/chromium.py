"""A real browser under test: Debian's Chromium, driven over the DevTools protocol by two pipes.

No driver program, no websocket: ``--remote-debugging-pipe`` takes messages on descriptor 3 and gives them on
4, each ended by a NUL.  Every process of it is in one session, and ends with ``close``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.patience import FACTOR
from tests.support.processes import command_line, descendants_of

PROGRAM = "chromium"
# Of one command, page loads among them; a cold start of a browser on a busy machine takes seconds.
COMMAND_SECONDS = 60.0 * FACTOR
END_SECONDS = 20.0
READ_BYTES = 1 << 16
# The protocol's own descriptors in the browser.
FROM_US, TO_US = 3, 4


def program() -> str | None:
    """Where the browser is; None where there is none."""
    return shutil.which(PROGRAM)


def require() -> None:
    """Skip the test where there is no browser; where everything has to be tried, that is a failure."""
    if os.environ.get("CELLBLOCK_TEST_HOST") == "vm":
        pytest.skip("another kernel makes no other browser, and translated it takes minutes to start")
    if program() is None and os.environ.get("REQUIRE_SANDBOX") != "1":
        pytest.skip("there is no chromium: apt-get install chromium")


class ScriptError(Exception):
    """A script that was evaluated threw; the text is the page's word."""


class Browser:
    """One process tree with a profile of its own; ``page()`` opens a tab."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        found = program()
        assert found is not None, "there is no chromium: apt-get install chromium"
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out = ours_in, ours_out
        # Above what they become, so that neither is overwritten before it is copied.
        low = [os.dup(theirs_in), os.dup(theirs_out)]

        def place() -> None:
            os.dup2(low[0], 100)
            os.dup2(low[1], 101)
            os.dup2(100, FROM_US)
            os.dup2(101, TO_US)

        log = (folder / "chromium.log").open("wb")
        self.process = subprocess.Popen(
            [
                found,
                "--headless=new",
                "--no-sandbox",  # it would be a user's; these tests are root's
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-default-browser-check",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-popup-blocking",  # an attacker waits for a click
                "--password-store=basic",
                f"--user-data-dir={folder / 'profile'}",
                "--remote-debugging-pipe",
                *arguments,
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
            pass_fds=(FROM_US, TO_US),
            preexec_fn=place,
            start_new_session=True,
        )
        log.close()
        for descriptor in (theirs_in, theirs_out, *low):
            os.close(descriptor)
        self._number = 0
        self._buffer = b""
        self._answers: dict[int, dict[str, Any]] = {}
        self._loaded: set[str] = set()

    @contextlib.contextmanager
    def context(self) -> Iterator[Context]:
        """As if somebody else used it: no cookie, no storage, no tab of before, and none is left."""
        made = self.send("Target.createBrowserContext")["browserContextId"]
        try:
            yield Context(self, made)
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=made)

    def page(self, context: str, url: str) -> Page:
        """A new tab at an address, once that has loaded."""
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.send("Page.enable")
        page.send("Runtime.enable")
        if url != "about:blank":
            page.open(url)
        return page

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command and its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + COMMAND_SECONDS
        while number not in self._answers:
            self.read(deadline, method)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def read(self, deadline: float, what: str) -> None:
        """Take what the browser says; fails loudly when it says nothing."""
        left = deadline - time.monotonic()
        readable, _, _ = select.select([self._in], [], [], max(0.0, left))
        assert readable, f"the browser did not answer to {what} in time"
        data = os.read(self._in, READ_BYTES)
        assert data, "the browser ended"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            elif message.get("method") == "Page.loadEventFired":
                self._loaded.add(message["sessionId"])

    def wait_for_load(self, session: str, what: str) -> None:
        """Until the page of a session has loaded."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while session not in self._loaded:
            self.read(deadline, f"the load of {what}")
        self._loaded.discard(session)

    def forget_load(self, session: str) -> None:
        """Before a page is opened: an earlier one's load is not its."""
        self._loaded.discard(session)

    def close(self) -> None:
        """End every process of it, those in sessions of their own too."""
        others = descendants_of(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(command_line, others)), seconds=END_SECONDS)
        os.close(self._in)
        os.close(self._out)


class Context:
    """One user of a browser."""

    def __init__(self, browser: Browser, context: str) -> None:
        self._browser = browser
        self._context = context

    def page(self, url: str = "about:blank") -> Page:
        """A new tab at an address, once that has loaded."""
        return self._browser.page(self._context, url)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of this tab."""
        return self._browser.send(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go to an address as if it had been typed, and wait until it has loaded."""
        self._browser.forget_load(self._session)
        found = self.send("Page.navigate", url=url)
        assert "errorText" not in found, f"{url}: {found['errorText']}"
        self._browser.wait_for_load(self._session, url)

    def opens(self, script: str) -> None:
        """Run a script that leads elsewhere, and wait until that has loaded."""
        self._browser.forget_load(self._session)
        self.run(script)
        self._browser.wait_for_load(self._session, script)

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited; ScriptError for what it throws."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise ScriptError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def frames(self) -> list[str]:
        """Addresses of the frames in the page, as they were loaded."""
        tree = self.send("Page.getFrameTree")["frameTree"]
        return [child["frame"]["url"] for child in tree.get("childFrames", ())]
