"""``log_bytes`` and ``log_lines``: what is above them is cut, and counted, and nobody's trouble.

Counting line by line is in ``tests/contract/call/test_logs_capture.py``; here is what the function, its
caller and the functions beside it notice, and the volumes that hold without the options.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.call.test_logs_capture import dropped, entries, texts
from tests.contract.limits.conftest import Deploy, Limited
from tests.support.bystander import Bystander
from tests.support.server import Server
from tests.support.together import together

LINE_BYTES = 16 * 1024
DEFAULT_LINES = 10_000
DEFAULT_BYTES = 1 << 20


def logged(limited: Limited, call_id: str, code: str) -> list[str]:
    """The lines that the log has of a call, whose caller notices nothing of how many there were."""
    answer = limited.send(f"found = seen(lambda: exec({code!r}))", headers={"X-Call-Id": call_id})
    assert answer.status_code == 200
    assert answer.json()["found"] is None, "the function was told"
    return [text for _, text in texts(limited.server, limited.name, call_id)]


@pytest.mark.slow
def test_without_the_option_ten_thousand_lines_of_a_call_are_kept(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    lines = limited("log-lines")
    found = logged(lines, "volume-1", f"for n in range({DEFAULT_LINES} + 2_500): print(n)")
    assert found == [str(number) for number in range(DEFAULT_LINES)]
    assert dropped(server, lines.name, "volume-1") == 2_500
    (told,) = (e.text for e in entries(server, lines.name, "volume-1") if e.level == "WARNING")
    assert f"{DEFAULT_LINES} lines" in told and f"{DEFAULT_BYTES} bytes" in told


def test_without_the_option_a_mebibyte_of_a_call_is_kept(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    lines = limited("log-bytes")
    found = logged(lines, "volume-2", "for n in range(200): print('x' * 10_000)")
    assert DEFAULT_BYTES - 10_100 <= sum(len(text) for text in found) <= DEFAULT_BYTES
    assert dropped(server, lines.name, "volume-2") == 200 - len(found)


def test_both_streams_of_a_call_share_one_volume(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    lines = limited("log-shared", log_lines=10)
    code = "for n in range(20):\n    print(n)\n    print(n, file=sys.stderr)"
    assert len(logged(lines, "volume-3", code)) == 10
    assert dropped(server, lines.name, "volume-3") == 30


@pytest.mark.parametrize("option", ["log_lines", "log_bytes"])
def test_a_volume_of_nothing_keeps_the_count_only(
    server: Server, limited: Callable[..., Limited], bystander: Bystander, option: str
) -> None:
    lines = limited(f"log-none-{option.replace('_', '-')}", **{option: 0})
    assert logged(lines, f"volume-{option}", "for n in range(7): print('x')") == []
    assert dropped(server, lines.name, f"volume-{option}") == 7


def test_a_line_of_16_kibibytes_is_whole_and_one_byte_more_is_cut_there(
    limited: Callable[..., Limited], bystander: Bystander
) -> None:
    lines = limited("log-line")
    code = f"print('x' * {LINE_BYTES})\nprint('y' * {LINE_BYTES + 1})\nprint('after')"
    assert logged(lines, "volume-4", code) == [
        "x" * LINE_BYTES,
        "y" * LINE_BYTES + "... (cut)",
        "after",
    ]


def test_lines_of_an_exception_that_follows_a_flood_reach_its_caller_all_the_same(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    lines = limited("log-raises", log_lines=5)
    answer = lines.send("for n in range(50): print(n)\n1 / 0", headers={"X-Call-Id": "volume-5"})
    assert answer.status_code == 500
    assert answer.json()["error"]["details"]["exception_type"] == "ZeroDivisionError"
    assert dropped(server, lines.name, "volume-5") >= 45


def test_a_flood_takes_no_line_from_the_log_of_another_function(
    server: Server, limited: Callable[..., Limited], deploy: Deploy, bystander: Bystander
) -> None:
    flood = limited("log-flood", log_lines=20)
    name = deploy("log-neighbour", "import sys\ndef handle(req):\n    print(req.body.decode())\n")
    server.call(name, content=b"warm")

    def call(number: int) -> int:
        text = f"line {number}"
        return server.call(name, content=text, headers={"X-Call-Id": f"beside-{number}"}).status_code

    code = "for n in range(20_000): print('x' * 200)"
    beside = [lambda number=number: call(number) for number in range(20)]
    statuses = together([lambda: flood.send(code).status_code, *beside])
    assert set(statuses) == {200}
    for number in range(20):
        assert texts(server, name, f"beside-{number}") == [("stdout", f"line {number}")]


def test_each_of_the_calls_that_run_at_once_in_an_instance_has_a_volume_of_its_own(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=1)  # the instance is one front's, and so are all calls
    source = (
        "import asyncio\n"
        "over = None\n"
        "async def handle(req):\n"
        "    global over\n"
        "    over = over or asyncio.Event()\n"
        "    if req.body == b'wait': await over.wait()\n"
        "    elif req.body == b'over': over.set()\n"
        "    else:\n"
        "        for n in range(30): print('line', n)\n"
        "    return {}\n"
    )
    name = "log-at-once"
    server.deploy(name, source, log_lines=50, max_instances=1)
    assert server.call(name).status_code == 200

    def lines_and_over() -> list[int]:
        statuses = [server.call(name).status_code for _ in range(3)]
        return [*statuses, server.call(name, content=b"over").status_code]

    together([lambda: server.call(name, content=b"wait"), lines_and_over])
    found = [entry for entry in entries(server, name) if entry.stream == "stdout"]
    assert len(found) == 4 * 30, "none of the calls wrote more than it may"
