"""What came of a program: in plain Python, and from a cell; both in the same words, so that they compare."""

from __future__ import annotations

import base64
import json
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from supervisor.runtimes import Runtime
from tests.contract.plain.program import Run
from tests.support.packing import zipped
from tests.support.patience import FACTOR
from tests.support.server import SPACE

FUNCTIONS = f"/spaces/{SPACE}/functions"
DRIVER = Path(__file__).with_name("driver.py")
PLAIN_SECONDS = 60.0 * FACTOR
CALL_SECONDS = 30.0 * FACTOR
BUSY_SECONDS = 60.0 * FACTOR
LOG_LINES = "10000"
# What a cell has that an author can read in docs/functions.md; on a Debian machine a login gives the same.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "USER": "cell",
    "LOGNAME": "cell",
    "PYTHONDONTWRITEBYTECODE": "1",
}
UMASK = 0o022

# Who called the program stands above it in a stack that it prints; who that is in a cell is its own affair.
FRAME_OF_THE_DRIVER = re.compile(
    rf'  File "{re.escape(str(DRIVER))}", line \d+, in \S+\n    .*\n(?: +[~^]+\n)?'
)
# So do the lines of asyncio that run a coroutine, whoever asked it to.
FRAME_OF_A_LOOP = re.compile(
    r'  File "[^"]*/asyncio/(?:runners|base_events|events)\.py", line \d+, in '
    r"(?:run|run_until_complete|run_forever|_run_once|_run)\n    .*\n(?: +[~^]+\n)?"
)
# A caller is told which file it was, where that is not handler.py; a traceback says so by itself.
FILE_NAMED = re.compile(r" \(\w+\.py\)$")
# What cannot be the same twice: each with its reason.
MUST_DIFFER = (
    (re.compile(r"\b0x[0-9a-f]{6,}"), "0xN", "addresses in memory"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?"), "TIME", "the time of day"),
    (re.compile(r"\bTask-\d+"), "Task-N", "tasks are counted, and a server has had some before"),
    (re.compile(r"\b(pid|process) \d+"), r"\1 N", "process ids"),
    (re.compile(r"line repeated \d+ more"), "line repeated N more", "how deep the caller stands"),
)


@dataclass
class Came:
    """``answers`` in their order; ``log`` are the entries that a cell has left, of which stderr is made."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of_a_cell(cls, answers: list[dict[str, Any]], log: list[dict[str, Any]]) -> Came:
        """From the answers and the log that the server kept."""
        return cls(answers, written(log, "stdout"), written(log, "stderr"), log)

    def compared(self) -> dict[str, Any]:
        """Without what must differ."""
        return {
            "answers": json.loads(constant(json.dumps(self.answers, ensure_ascii=False))),
            "stdout": constant(self.stdout),
            "stderr": constant(self.stderr),
        }


def fits(expected: Any, came: Any) -> bool:
    """Whether it is the same, where … in a text that is expected stands for anything."""
    if isinstance(expected, str) and isinstance(came, str):
        return re.fullmatch(re.escape(expected).replace("…", ".*"), came, flags=re.DOTALL) is not None
    if isinstance(expected, dict) and isinstance(came, dict):
        return expected.keys() == came.keys() and all(fits(expected[key], came[key]) for key in expected)
    if isinstance(expected, list) and isinstance(came, list):
        return len(expected) == len(came) and all(map(fits, expected, came))
    return bool(expected == came)


def constant(text: str) -> str:
    """The text without what must differ."""
    text = FRAME_OF_A_LOOP.sub("", text)
    for pattern, stands, _ in MUST_DIFFER:
        text = pattern.sub(stands, text)
    return text


@dataclass(frozen=True)
class PlainPython:
    """A runtime's interpreter with its libraries and the package ``function``, as an author installs them."""

    python: Path
    shown: tuple[tuple[str, str], ...]

    @classmethod
    def made(cls, place: Path, runtime: Runtime, ours: Path) -> PlainPython:
        """A virtual environment in ``place``; ``ours`` holds the package ``function`` and nothing else."""
        packages = place / "lib" / runtime.name / "site-packages"
        packages.mkdir(parents=True)
        (packages / "libraries.pth").write_text(f"{runtime.libraries}\n{ours}\n")
        (place / "pyvenv.cfg").write_text(f"home = {runtime.python.parent}\n")
        (place / "bin").mkdir()
        (place / "bin/python").symlink_to(runtime.python)
        return cls(place / "bin/python", ((str(runtime.libraries), "/opt/libraries"),))

    def run(self, run: Run) -> Came:
        """The program in a process of its own, in a folder of its own."""
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place).resolve() / "function"
            asked, noted, home = folder.with_name("asked"), folder.with_name("noted"), folder.with_name("tmp")
            for name, (text, mode) in run.files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                path.chmod(mode)
            asked.write_text(json.dumps(run.program.calls))
            noted.touch()
            home.mkdir()
            done = subprocess.run(
                [self.python, DRIVER, asked, noted],
                cwd=folder,
                env={**ENVIRONMENT, "HOME": str(home), "TMPDIR": str(home), **run.program.environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                umask=UMASK,
                timeout=PLAIN_SECONDS,
            )
            answers = [json.loads(line) for line in noted.read_text().splitlines()]
            if len(answers) < len(run.program.calls) and not (answers and "raised" in answers[-1]):
                signal, code = -done.returncode, done.returncode
                answers.append({"ended": f"signal {signal}" if signal > 0 else f"code {code}"})
        shown = (*self.shown, (str(folder), "/function"), (str(home), "/tmp"))
        return Came(
            json.loads(placed(json.dumps(answers), shown)),
            placed(lines_of(done.stdout), shown),
            placed(lines_of(done.stderr), shown),
        )


def placed(text: str, shown: Iterable[tuple[str, str]]) -> str:
    """As if it had run where a cell has it, and nobody had called it."""
    text = FRAME_OF_THE_DRIVER.sub("", text)
    for path, stands in shown:
        text = text.replace(path, stands)
    return text


def lines_of(data: bytes) -> str:
    """As entries of a log have it: without the last line end."""
    return data.decode("utf-8", "replace").rstrip("\n")


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


def written(log: list[dict[str, Any]], stream: str) -> str:
    """The text of a stream."""
    return "\n".join(entry["text"] for entry in log if entry["stream"] == stream).rstrip("\n")
