"""A program in a cell: deployed, called, and its log read, by the API of a real server."""

from __future__ import annotations

import base64
import json
import re
import stat
import time
from collections.abc import Mapping
from typing import Any

import httpx

from tests.contract.plain.program import Run
from tests.support.eventually import became
from tests.support.packing import zipped
from tests.support.patience import FACTOR
from tests.support.server import SPACE

FUNCTIONS = f"/spaces/{SPACE}/functions"
CALL_SECONDS = 30.0 * FACTOR
BUSY_SECONDS = 60.0 * FACTOR
END_SECONDS = 10.0 * FACTOR
LOG_LINES = "10000"
# A caller is told which file it was, where that is not handler.py; a traceback says so by itself.
FILE_NAMED = re.compile(r" \(\w+\.py\)$")


def packed(run: Run) -> bytes:
    """The bundle: one file as it is, more of them as a zip that keeps their modes."""
    files = run.files
    if len(files) == 1:
        return files["handler.py"][0].encode()
    modes = {name: stat.S_IFREG | mode for name, (_, mode) in files.items()}
    return zipped(*((name, text.encode()) for name, (text, _) in files.items()), modes=modes)


def called(client: httpx.Client, name: str, run: Run) -> list[dict[str, Any]]:
    """Deploy and call; the answers.  A client with one connection has one front, and so one instance."""
    asked = {
        "name": name,
        "template": run.runtime,
        "env": dict(run.program.environment),
        "options": {"timeout": CALL_SECONDS, "fresh": run.form == "fresh", **run.program.options},
        "source": {"code": base64.b64encode(packed(run)).decode()},
    }
    deployed = client.post(FUNCTIONS, json=asked)
    if deployed.status_code != 201:
        return [answer_in(deployed)]
    return [answer_in(send(client, name, call)) for call in run.program.calls]


def send(client: httpx.Client, name: str, call: Mapping[str, Any]) -> httpx.Response:
    """The request that ``function.testing.event`` makes of the same arguments.

    Its log is in the store when it comes back.  A busy machine may have no instance in time: then it is asked
    again, for such a call has not begun.
    """
    body = call.get("body", b"")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        response = client.request(
            call.get("method", "POST"),
            f"{FUNCTIONS}/{name}/invoke{call.get('path', '')}",
            content=json.dumps(body) if isinstance(body, dict) else body,
            params=call.get("query"),
            headers={**call.get("headers", {}), "X-Cellblock-Logs": "tail"},
        )
        if response.status_code != 503 or time.monotonic() > deadline:
            return response


def failed(response: httpx.Response) -> dict[str, Any] | None:
    """The error of the platform's envelope; None where the function has answered."""
    if response.headers.get("x-invoked") == "true" and response.status_code != 500:
        return None
    try:
        error = response.json()["error"]
        return error if "details" in error else None
    except (ValueError, TypeError, KeyError):
        return None


def answer_in(response: httpx.Response) -> dict[str, Any]:
    """What the function answered, raised or came to."""
    kind = response.headers.get("content-type", "")
    error = failed(response)
    if error is None:
        body: Any = response.text if kind.startswith("text/") else response.content.decode("latin-1")
        if kind == "application/json":
            body = json.loads(response.content)
        return {"status": response.status_code, "type": kind, "body": body}
    details = error["details"]
    if "exception_type" in details:
        return {
            "raised": details["exception_type"],
            "info": FILE_NAMED.sub("", details["exception_info"]),
            "line": details["exception_line_number"],
            "code": details["exception_line_code"],
        }
    if details.get("reason") == "crashed":
        ended = f"signal {details['signal']}" if details["signal"] else f"code {details['exit_code']}"
        return {"ended": ended}
    return {"status": error["status"], "message": error["message"]}


def logged(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    """Its own entries, oldest first."""
    answer = client.get(f"{FUNCTIONS}/{name}/logs", params={"tail": LOG_LINES})
    if answer.status_code == 404:  # it was never deployed
        return []
    entries = [json.loads(line) for line in answer.text.splitlines()]
    return [entry for entry in entries if entry.get("stream") in ("stdout", "stderr")]


def last_words(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    """The same, of one that writes nothing before its instance ends by itself; empty if it never does."""
    became(lambda: logged(client, name), END_SECONDS)
    return logged(client, name)
