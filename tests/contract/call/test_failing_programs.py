"""Every way to fail: what the author's log has of it is what plain Python prints, and nothing of our inside."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from supervisor.front.loglines import text_of
from supervisor.logs import Query, Record, read
from supervisor.runtimes import Runtime
from supervisor.runtimes.interpreters import own_runtime_name
from tests.contract.call.conftest import Deploy
from tests.contract.call.failing.programs import (
    ASYNC,
    EXITS,
    EXITS_OF_TASKS,
    FILES,
    HOOKS,
    ONLY_SYNC,
    RECURSIVE,
    SYNC,
    is_for,
    source_of,
)
from tests.support.eventually import eventually
from tests.support.insides import insides_in
from tests.support.packing import zipped
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server

HERE = Path(__file__).parent
PLAIN_SECONDS = 60.0
REPEATED = re.compile(r"\[Previous line repeated \d+ more times\]")
ADDRESS = re.compile(r"0x[0-9a-f]{8,}")


def bundle(source: str) -> bytes:
    """The programs and what they import."""
    return zipped(("handler.py", source.encode()), *((name, text.encode()) for name, text in FILES))


def in_plain_python(
    runtime: Runtime, folder: Path, source: str, kind: str, names: list[str]
) -> dict[str, tuple[str, int, str]]:
    """Type, line and text of each, by the runtime's own interpreter, as a log has text and a cell its places."""
    for name, text in (("handler.py", source), *FILES):
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    driver = HERE / "failing/driver.py"
    done = subprocess.run(
        [str(runtime.python), "-I", "-S", "-B", "-X", "utf8", str(driver), "", str(runtime.libraries),
         str(folder), kind, ",".join(names)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PLAIN_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    said = json.loads(done.stdout)
    places = ((str(folder), "/function"), (str(runtime.libraries), "/opt/libraries"))
    found = {}
    for name, (exception_type, line, text) in said.items():
        for here, there in places:
            text = text.replace(here, there)
        logged = text_of(text.rstrip("\n").encode("utf-8", "backslashreplace"))
        found[name] = (exception_type, line, logged)
    return found


def called(server: Server, function: str, names: list[str]) -> dict[str, httpx.Response]:
    """The answer to each; the program is the call's id too."""
    return {name: server.call(function, f"/{name}", headers={"X-Call-Id": name}) for name in names}


def logged(server: Server, function: str, calls: int) -> dict[str, list[Record]]:
    """What was written, by call, once every call's report is there."""
    found: list[Record] = []

    def is_there() -> bool:
        found[:] = read(server.data_dir / "front/logs", SPACE, function, Query(limit=10_000)).records
        return sum(record.text.startswith("report outcome=") for record in found) >= calls

    eventually(is_there)
    by_call: dict[str, list[Record]] = {}
    for record in found:
        assert not insides_in(record.text), record
        if record.stream != "platform":
            by_call.setdefault(record.call_id, []).append(record)
    return by_call


def shown_alike(text: str) -> str:
    """Without what no two processes have in common."""
    return ADDRESS.sub("0x", REPEATED.sub("[Previous line repeated]", text))


def check(
    server: Server, deploy: Deploy, runtime: Runtime, folder: Path, kind: str, **options: object
) -> int:
    """Run all programs of a kind in plain Python and in a cell; how many there were."""
    version = tuple(map(int, runtime.name.removeprefix("python").split(".")))
    programs = {**SYNC, **RECURSIVE, **(ASYNC if kind == "async" else ONLY_SYNC)}
    programs = {name: body for name, body in programs.items() if is_for(body, version)}  # type: ignore[arg-type]
    source, names = source_of(programs, kind == "async"), list(programs)
    plain = in_plain_python(runtime, folder, source, kind, names)
    function = f"failing-{kind}-{len(options)}-{runtime.name.replace('.', '-')}"
    deploy(function, bundle(source), template=runtime.name, max_instances=1, **options)
    answers = called(server, function, names)
    records = logged(server, function, len(names))
    problems = []
    for name in names:
        try:
            compare(name, answers[name], records.get(name, []), *plain[name])
        except AssertionError as error:
            problems.append(f"{name}: {error}")
    assert not problems, "\n\n".join(problems)
    return len(names)


def compare(
    name: str, answer: httpx.Response, records: list[Record], exception_type: str, line: int, text: str
) -> None:
    """One program's answer and log with what plain Python said of it."""
    assert not insides_in(answer.text), answer.text
    assert answer.status_code == 500, answer.text
    error = answer.json()["error"]
    details = error["details"]
    assert set(details) == {
        "exception_type", "exception_info", "exception_line_number", "exception_line_code",
    }  # fmt: skip
    assert details["exception_type"] == exception_type[:256]
    if line and "syntax" not in name:
        assert details["exception_line_number"] == line, error["message"]
    assert details["exception_line_number"] > 0 or name == "syntax_without", error["message"]
    entries = [record for record in records if record.stream == "stderr"]
    assert len(entries) == 1, entries
    (entry,) = entries
    assert shown_alike(entry.text) == shown_alike(text)
    assert entry.level == "error"


@pytest.mark.promise("S951")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
@on_every_runtime
def test_the_log_has_of_a_failure_what_plain_python_prints(
    server: Server, deploy: Deploy, tmp_path: Path, runtime_name: str, kind: str
) -> None:
    runtime = runtime_or_skip(runtime_name)
    assert check(server, deploy, runtime, tmp_path / "function", kind) > 100


@pytest.mark.slow
def test_the_log_of_fresh_has_it_too(server: Server, deploy: Deploy, tmp_path: Path) -> None:
    runtime = runtime_or_skip(own_runtime_name())
    check(server, deploy, runtime, tmp_path / "function", "sync", fresh=True)
