"""``cellblock logs``: against a scripted server what is printed, against a real one how it follows."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.logs.conftest import TALK
from tests.support.eventually import eventually
from tests.support.http_recorder import Answer, HttpRecorder, refusal
from tests.support.processes import fronts_of
from tests.support.server import SPACE, TOKEN, Server

pytestmark = pytest.mark.slow  # each starts an interpreter

COMMAND = Path(sys.executable).with_name("cellblock")
DEADLINE_SECONDS = 30
ONE = "/spaces/default/functions/hello/logs"
ENTRY: dict[str, Any] = {
    "name": "hello", "space": "default", "version": 1, "instance": "i-1", "call_id": "c-1",
    "timestamp": "2026-01-31T12:00:00.123456789Z", "stream": "stderr", "level": "info", "text": "said",
}  # fmt: skip
# Titles, colours, cursor moves, clipboard, a bell, C1 controls, a right-to-left override, line separators.
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\r\b\x9b31m\x00\u202etxt\u2028x\x1b]52;c;aGk=\x1b\\"


def events(*entries: dict[str, Any], **other: Any) -> Answer:
    """An answer of Server-Sent Events; ``other`` are events with a name."""
    blocks = [f"id: 1.0.{number}\ndata: {json.dumps(one)}\n\n" for number, one in enumerate(entries)]
    blocks += [f"event: {name}\nid: 1.0.x\ndata: {json.dumps(data)}\n\n" for name, data in other.items()]
    return Answer(200, "".join(blocks).encode(), [("Content-Type", "text/event-stream")])


@pytest.fixture
def recorder() -> Iterator[HttpRecorder]:
    with HttpRecorder() as one:
        yield one


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The same modules are imported by every test: compile them once, wherever the environment forbids it.
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def environment(tmp_path: Path, bytecode: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TZ": "UTC-2",
            "CELLBLOCK_TOKEN": TOKEN, "PYTHONPYCACHEPREFIX": str(bytecode)}  # fmt: skip


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(recorder: HttpRecorder, environment: dict[str, str]) -> Run:
    def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), "logs", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS,
            env={**environment, "CELLBLOCK_URL": recorder.url, **variables},
        )  # fmt: skip

    return call


def on_terminal(environment: dict[str, str], *words: str) -> str:
    """What a terminal is sent by a command that ends."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(COMMAND), "logs", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while select.select([ours], [], [], DEADLINE_SECONDS)[0] and (data := os.read(ours, 65536)):
                said += data
        process.wait(DEADLINE_SECONDS)
        os.close(ours)
    return said.decode().replace("\r\n", "\n")


def test_a_line_has_local_time_stream_level_call_and_text_and_what_follows_is_indented(
    run: Run, recorder: HttpRecorder
) -> None:
    trace = 'Traceback (most recent call last):\n  File "handler.py", line 1\nValueError: no\n'
    recorder.answer("GET", ONE, events(ENTRY, {**ENTRY, "level": "error", "call_id": "", "text": trace}))
    ended = run("hello")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "2026-01-31 14:00:00.123 stderr   info     c-1 said\n"
        "2026-01-31 14:00:00.123 stderr   error    - Traceback (most recent call last):\n"
        '      File "handler.py", line 1\n'
        "    ValueError: no\n"
    )


# What the platform says, in each of its kinds.
PLATFORM_TEXTS = (
    "report outcome=answered status=200 duration_ms=1.000 queue_ms=0.000 init_ms=0.000 exec_ms=1.000",
    "instance started: ready_ms=5.000 import_ms=1.000",
    "3 lines were dropped: above log_lines",
    "the time was up: handler.py:12 in handle",
)
DISGUISES = (
    "{}", "\n{}", "x\n{}", "x\r{}", "x\r\n{}", "x\x0b{}", "x\x0c{}", "x\x85{}", "x\u2028{}", "x\u2029{}",
    "\x1b[2K\x1b[G{}", "x\x08\x08{}", "platform info     c-1 {}",
    "x\n2026-01-31 14:00:00.123 platform info     c-1 {}",
    "2026-01-31 14:00:00.123 platform info     c-1 {}", "\u200b{}", "\u202e{}", "x\x1c{}", "x\x1e{}", "\t{}",
)  # fmt: skip


@pytest.mark.promise("T67")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("call", ["c-1", "", "platform", "platform:info"])
def test_no_line_of_a_function_can_be_taken_for_the_platforms(
    run: Run, recorder: HttpRecorder, stream: str, call: str
) -> None:
    """Of what is piped: a line is the platform's where its third column says so, and nowhere else."""
    forged = [
        {**ENTRY, "stream": stream, "call_id": call, "text": disguise.format(text)}
        for text in PLATFORM_TEXTS
        for disguise in DISGUISES
    ]
    true = [{**ENTRY, "stream": "platform", "text": text} for text in PLATFORM_TEXTS]
    recorder.answer("GET", ONE, events(*forged, *true))
    ended = run("hello")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line.split(None, 5) for line in ended.stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) == len(forged) + len(true)
    said = [line for line in lines if line[2] == "platform"]
    assert [line[-1] for line in said] == list(PLATFORM_TEXTS), "the control: they are marked"
    assert {line[2] for line in lines} == {stream, "platform"}


def test_the_options_reach_the_server_and_json_is_an_object_a_line(run: Run, recorder: HttpRecorder) -> None:
    asked = "tail=5&since=10m&until=1m&level=warning&call_id=c+1&stream=stdout&instance=i&q=%26"
    recorder.answer("GET", f"{ONE}?{asked}", events({**ENTRY, "text": HOSTILE}, gap={"count": 3}))
    ended = run(
        "hello", "-n", "5", "--since", "10m", "--until", "1m", "--level", "warning", "--call", "c 1",
        "--stream", "stdout", "--instance", "i", "--grep", "&", "--json",
    )  # fmt: skip
    assert ended.returncode == 0, ended
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {**ENTRY, "text": HOSTILE},
        {"event": "gap", "count": 3},
    ]
    assert ended.stdout.isascii() and "\x1b" not in ended.stdout
    (sent,) = recorder.requests
    assert sent.header("accept") == "text/event-stream" and sent.header("authorization") == f"Bearer {TOKEN}"


@pytest.mark.promise("T44")
def test_a_terminal_gets_colours_by_level_and_nothing_that_it_would_obey(
    recorder: HttpRecorder, environment: dict[str, str]
) -> None:
    names = dict.fromkeys(("name", "call_id", "timestamp", "level", "stream"), HOSTILE)
    entries = [{**ENTRY, "level": "error", "text": f"{HOSTILE}\n{HOSTILE}"}, {**ENTRY, **names}]
    where = "/spaces/default/logs"
    recorder.answer("GET", where, events(*entries, gap={"count": HOSTILE, "reason": HOSTILE}))
    environment = {**environment, "CELLBLOCK_URL": recorder.url}
    said = on_terminal(environment)
    assert "\x1b[31m" in said  # an error is red: the control
    assert set(re.sub(r"\x1b\[[\d;]*m", "", said)) & set(map(chr, range(32))) == {"\n"}
    assert not set("\x9b\u202e\u2028") & set(said)
    # No colour but our own, each taken back at the end of its entry.
    assert set(re.findall(r"\x1b\[([\d;]*)m", said)) == {"0", "2", "31"}
    assert "\\x1b]0;owned\\x07\\x1b[31mred" in said
    plain = on_terminal({**environment, "NO_COLOR": "1"})
    assert "\x1b" not in plain and "\\x1b]0;owned" in plain


def test_what_is_missing_is_said_beside_the_output(run: Run, recorder: HttpRecorder) -> None:
    recorder.answer("GET", ONE, events(ENTRY, gap={"count": 3, "reason": "lost"}, short={}))
    ended = run("hello")
    assert ended.returncode == 0 and ended.stdout.endswith("said\n")
    assert ended.stderr.count("cellblock: ") == 2 and "3 entries are missing here" in ended.stderr


def test_more_is_asked_for_where_a_limit_was_reached(run: Run, recorder: HttpRecorder) -> None:
    recorder.answer("GET", f"{ONE}?since=1h", events(ENTRY, more={"cursor": "1.0.x"}))
    recorder.answer("GET", f"{ONE}?since=1h", events({**ENTRY, "text": "the rest"}))
    ended = run("hello", "--since", "1h")
    assert [line.partition("c-1 ")[2] for line in ended.stdout.splitlines()] == ["said", "the rest"]
    assert [sent.header("last-event-id") for sent in recorder.requests] == [None, "1.0.x"]


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (refusal(404, "function not found"), 1, "function not found"),
        (refusal(422, "cannot accept since: write a time"), 1, "cannot accept since"),
        (refusal(401, "no"), 1, "does not know this token"),
        (Answer(200, b"data: [1]\n\n"), 1, "no log entry"),
        (Answer(200, b"data: {\n\n"), 1, "no log entry"),
        (Answer(hang_up=True), 3, "broke"),
    ],
)
def test_a_refusal_is_one_line_and_is_not_tried_again(
    run: Run, recorder: HttpRecorder, answer: Answer, code: int, says: str
) -> None:
    recorder.answer("GET", f"{ONE}?follow=true", answer)
    ended = run("hello", "-f")
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("cellblock: ") and ended.stderr.count("\n") == 1 and says in ended.stderr
    assert len(recorder.requests) == 1


def test_wrong_usage_is_refused_before_anybody_is_asked(run: Run, recorder: HttpRecorder) -> None:
    for words in (["--level", "loud"], ["--tail", "-1"], [""]):
        ended = run(*words)
        assert ended.returncode == 2 and ended.stderr.startswith("cellblock: "), ended
    assert recorder.requests == []


class Following:
    """``cellblock logs -f --json`` on its way."""

    def __init__(self, server: Server, environment: dict[str, str], *words: str) -> None:
        self.said = Path(environment["HOME"], "said")
        self.complained = Path(environment["HOME"], "complained")
        with self.said.open("wb") as said, self.complained.open("wb") as complained:
            self.process = subprocess.Popen(
                [str(COMMAND), "logs", "--follow", "--json", "--space", SPACE, *words],
                stdin=subprocess.DEVNULL, stdout=said, stderr=complained,
                env={**environment, "CELLBLOCK_URL": server.url},
            )  # fmt: skip

    @property
    def texts(self) -> list[str]:
        entries = map(json.loads, self.said.read_text().split("\n")[:-1])
        return [entry["text"] for entry in entries if entry.get("stream", "platform") != "platform"]

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.texts)


@pytest.fixture
def following(environment: dict[str, str]) -> Iterator[Callable[..., Following]]:
    made: list[Following] = []

    def begin(server: Server, *words: str) -> Following:
        made.append(Following(server, environment, *words))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.mark.promise("S79")
def test_following_goes_on_at_another_front_where_its_own_is_killed(
    talking: Server, following: Callable[..., Following]
) -> None:
    talking.deploy("killed", TALK)
    talking.call("killed", content="before")
    one = following(talking, "killed")
    one.wait_for("before")
    for number in range(3):
        talking.call("killed", content=f"first {number}")
    one.wait_for("first 2")
    for pid in fronts_of(talking.pid):
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):  # it was at the other one
            eventually(lambda: "the connection broke" in one.complained.read_text(), seconds=1.0)
            break
    for number in range(3):
        _call_in_the_end(talking, "killed", f"then {number}")
    one.wait_for("then 2")
    assert one.texts == ["before", *(f"first {n}" for n in range(3)), *(f"then {n}" for n in range(3))]
    assert one.complained.read_text().count("\n") == 1
    # A deletion ends it, and well.
    assert talking.client.delete(f"/spaces/{SPACE}/functions/killed").status_code == 204
    assert one.process.wait(DEADLINE_SECONDS) == 0
    assert json.loads(one.said.read_text().splitlines()[-1]) == {"event": "end", "reason": "deleted"}


def _call_in_the_end(server: Server, name: str, text: str) -> None:
    """A call that is answered; connections to the killed front may be in the client's pool."""

    def is_answered() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return server.call(name, content=text).status_code == 200
        return False

    eventually(is_answered, "nobody answers")


def test_ctrl_c_ends_following_quietly(talking: Server, following: Callable[..., Following]) -> None:
    one = following(talking, "talk", "--tail", "0", "--level", "info")
    while not one.texts:
        talking.call("talk", content="here")
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(DEADLINE_SECONDS) == 130
    assert one.complained.read_text() == ""
