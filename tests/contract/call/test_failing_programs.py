"""Every way to fail: the author's log has of it what plain Python prints, and nothing of our inside."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from supervisor.front.logs.line_stamps import text_of
from supervisor.logs import Query, Record, read
from supervisor.runtimes import Runtime
from supervisor.runtimes.interpreters import own_runtime_name
from tests.contract.call.conftest import Deploy
from tests.contract.call.failing.programs import (
    ASYNC,
    ENDS,
    EXITS,
    EXITS_OF_TASKS,
    FILES,
    HANDLE,
    HOOKS,
    IMPORTS,
    LOUD,
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
    """Type, line and text of each, by the runtime's own interpreter, as a log has text."""
    for name, text in (("handler.py", source), *FILES):
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return plain_words(runtime, folder, kind, names)


def plain_words(
    runtime: Runtime, folder: Path, kind: str, names: list[str]
) -> dict[str, tuple[str, int, str]]:
    """What the driver says of programs that lie there."""
    driver = HERE / "failing/driver.py"
    done = subprocess.run(
        [str(runtime.python), "-I", "-S", "-B", "-X", "utf8", str(driver), str(runtime.libraries),
         str(folder), kind, ",".join(names)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PLAIN_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    said = json.loads(done.stdout)
    places = (
        (re.escape(str(folder)) + (r"/\w+" if kind == "import" else ""), "/function"),
        (re.escape(str(runtime.libraries)), "/opt/libraries"),
    )
    found = {}
    for name, (exception_type, line, text) in said.items():
        for here, there in places:
            text = re.sub(here, there, text)
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
        found[:] = read(
            server.data_dir / "front/logs", SPACE, function, Query(limit=10_000, reports=True)
        ).records
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


@pytest.mark.promise("S142")
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


@pytest.mark.slow
@pytest.mark.parametrize("runtime_name", sorted({"python3.9", own_runtime_name(), "python3.13"}))
def test_the_log_has_of_an_import_that_fails_what_plain_python_prints(
    server: Server, deploy: Deploy, tmp_path: Path, runtime_name: str
) -> None:
    runtime = runtime_or_skip(runtime_name)
    for name, (source, files) in IMPORTS.items():
        for file, text in {"handler": source + HANDLE, **files}.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{file}.py").write_text(text)
    plain = plain_words(runtime, tmp_path, "import", list(IMPORTS))
    problems = []
    for name in IMPORTS:
        exception_type, line, text = plain[name]
        files = [(path.name, path.read_bytes()) for path in (tmp_path / name).iterdir()]
        function = f"import-{name.replace('_', '-')}-{runtime_name.replace('.', '-')}"
        deploy(function, zipped(*files), template=runtime_name)
        answer = server.call(function, headers={"X-Call-Id": name})
        wait_for_the_report(server, function, 1)
        entries = [record for record in written(server, function) if record.stream == "stderr"]
        try:
            assert answer.status_code == 500 and not insides_in(answer.text), answer.text
            details = answer.json()["error"]["details"]
            assert details["exception_type"] == exception_type
            assert details["exception_line_number"] == line or "Syntax" in exception_type, answer.text
            assert len(entries) == 1, entries
            hint = "\nexit() ended the import" if exception_type == "SystemExit" else ""
            assert entries[0].text.partition(hint or "\0")[0] == text
            assert hint in entries[0].text
        except AssertionError as error:
            problems.append(f"{name}: {error}")
    assert not problems, "\n\n".join(problems)


def wait_for_the_report(server: Server, function: str, calls: int) -> None:
    """Until all is in the log that the calls wrote, and nothing of our inside."""
    logged(server, function, calls)


def written(server: Server, function: str) -> list[Record]:
    """What the function wrote."""
    found = read(server.data_dir / "front/logs", SPACE, function, Query(limit=10_000, reports=True)).records
    return [record for record in found if record.stream != "platform"]


@pytest.mark.promise("S146")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_whatever_a_program_does_nothing_of_our_inside_is_in_its_log_or_its_answers(
    server: Server, deploy: Deploy, kind: str
) -> None:
    programs = {**LOUD, **HOOKS, **EXITS, **(EXITS_OF_TASKS if kind == "async" else {}), **ENDS}
    function = f"loud-{kind}"
    deploy(function, bundle(source_of(programs, kind == "async")), max_instances=1)
    answers = called(server, function, list(programs))
    records = logged(server, function, len(programs))  # which looks at each of them
    for name, answer in answers.items():
        assert not insides_in(answer.text), (name, answer.text)
        status = 200 if name in LOUD or name == "in_a_signal_handler" else 502 if name in ENDS else 500
        assert answer.status_code == status, (name, answer.text)
        if status == 500:
            (entry,) = records.get(name) or [None]
            if name == "hook_exits":
                assert entry is None
                continue
            assert entry is not None and entry.level == "error", name
            assert answer.json()["error"]["details"]["exception_line_number"] > 0
    for name, says in (("segfaults", "SIGSEGV"), ("aborts", "SIGABRT")):
        assert re.search(rf"{says} at handler\.py:\d+ in p_{name}", answers[name].text), answers[name].text
    both = "\n".join(record.text for record in records["hook_raises"])
    assert both.startswith("Error in sys.excepthook:\nTraceback") and "\nOriginal exception was:\n" in both
    dumps = [record.text for name in ("dumped", "dumped_of_all", "segfaults") for record in records[name]]
    assert '  File "<string>", line 1 in <module>' not in dumps  # what started our interpreter
    for name in ("del", "never_awaited", "dumped", "warns_of_its_caller"):
        assert records[name], name  # the control: these do write
    # Python says it once the thread's function, and with it its call, is over.
    assert any("in thread started by" in record.text for record in records[""])


def test_the_words_that_show_our_inside_are_found() -> None:
    for inside in (
        'File "/opt/cellblock/worker/serve/loop.py", line 257, in _serve_sync',
        "<Task coro=<_call() running at /opt/cellblock/worker/serve/async_calls.py:70>>",
        "/opt/cellblock/function/secrets.py:15: in get",
        "worker.answer.failure: x",
    ):
        assert insides_in(f"before\n{inside}\nafter") == [inside]
    for fine in (
        '  File "/function/handler.py", line 3, in handle', "from function import secrets",
        '  File "/function/worker.py", line 3, in loop', "worker 3 is done", "handler.py:3",
    ):  # fmt: skip
        assert insides_in(fine) == []
