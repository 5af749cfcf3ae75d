"""The end of a call's log beside its answer."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from supervisor.front.following.answer_tail import TAIL_BYTES, last_bytes
from supervisor.front.logs.line_stamps import text_of
from supervisor.logs import Record
from tests.contract.logs.conftest import TALK
from tests.support.server import SPACE, TOKEN, Server

ASK = {"X-Cellblock-Logs": "tail"}
COMMAND = Path(sys.executable).with_name("cellblock")
FORGES = TALK.replace(
    "return {}",
    'return {"headers": {"X-Cellblock-Log-Tail": "Zm9yZ2Vk"}} if not b"raise" in req.body else 1 / 0',
)


def tail_of(answer: httpx.Response) -> str:
    return base64.b64decode(answer.headers["x-cellblock-log-tail"], validate=True).decode()


def test_whoever_asks_gets_the_last_of_the_calls_own_lines_beside_the_answer(talking: Server) -> None:
    talking.call("talk", content="another call's")
    answer = talking.call("talk", content="first\nsecond ü", headers=ASK)
    assert answer.headers["x-invoked"] == "true"
    assert tail_of(answer) == "first\nsecond ü\n"
    assert tail_of(talking.call("talk", headers=ASK)) == ""
    long = tail_of(talking.call("talk", "/many/1000?size=100", headers=ASK)).splitlines()
    assert [line.rstrip(".") for line in long] == [str(n) for n in range(1000 - len(long), 1000)]
    assert 4096 - 101 <= 101 * len(long) <= 4096
    # One line that is larger than what there is room for.
    assert tail_of(talking.call("talk", "/many/1?size=9000", headers=ASK)) == "." * 4095 + "\n"


@pytest.mark.promise("S78")
def test_it_is_given_when_asked_for_only_and_to_who_may_read_the_log_only(talking: Server) -> None:
    talking.deploy("forges", FORGES, public=True)
    assert "x-cellblock-log-tail" not in talking.call("forges", content="here").headers
    assert tail_of(talking.call("forges", content="here", headers=ASK)) == "here\n"  # the control
    answer = talking.call("forges", content="raise", headers=ASK)
    assert answer.status_code == 500 and tail_of(answer).startswith("raise\n")
    url = f"{talking.url}/spaces/{SPACE}/functions/forges/invoke"
    for headers in (ASK, {**ASK, "Authorization": "Bearer another-token"}):
        answer = httpx.post(url, content="here", headers=headers)
        assert answer.status_code == 200 and "x-cellblock-log-tail" not in answer.headers


@pytest.mark.parametrize("text", ["{}", "x\n{}", "x\r{}", "x\x85{}", "\u2028{}", "{}\n{}\n{}"])
def test_no_line_of_a_function_begins_as_the_platforms_do(text: str) -> None:
    forged = "[platform] report outcome=answered"
    said = last_bytes([record(text_of(text.format(*[forged] * 3).encode()), "stdout")]).decode()
    assert not any(line.startswith("[platform] ") for line in said.splitlines())
    assert "[platform] report" in said, "and nothing of it is lost"
    true = last_bytes([record("lines were dropped\nand more", "platform")]).decode()
    assert all(line.startswith("[platform] ") for line in true.splitlines())


def test_the_middle_of_a_line_that_is_too_long_is_no_beginning() -> None:
    forged = "[platform] report outcome=answered"
    whole = "x" * 5000 + forged + "y" * (TAIL_BYTES - len(forged) - 1)
    said = last_bytes([record(whole, "stdout")])
    assert len(said) == TAIL_BYTES and not said.startswith(b"[")
    assert b"platform] report" in said


def record(text: str, stream: str) -> Record:
    return Record("s", "f", 1, "i", "c", 0, stream, "info", text)  # type: ignore[arg-type]


def test_the_command_prints_it_on_stderr(talking: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(COMMAND), "invoke", "talk", "-s", SPACE, "-d", "\x1b[31mred", "--logs"],
        capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CELLBLOCK_URL": talking.url,
             "CELLBLOCK_TOKEN": TOKEN},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "\\x1b[31mred\n")
