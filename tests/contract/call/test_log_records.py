"""What a function writes, as records in the store: whose it is, of which level, and what belongs together."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from supervisor.front.logs.line_stamps import PAST_CALLS
from supervisor.logs import LEVELS, Query, Record, read
from tests.conftest import MakeServer
from tests.contract.call.conftest import Deploy
from tests.support.eventually import eventually
from tests.support.server import SPACE, Server
from tests.support.together import together

END = "this was the last"
WRITER = """
import faulthandler, logging, os, subprocess, sys, threading, traceback, warnings
log = logging.getLogger("shop")

def handle(req):
    exec(req.body)
    print("this was the last")
"""
AT_ONCE = """
import asyncio, faulthandler, logging, os, subprocess, sys, warnings
log = logging.getLogger("shop")
barrier = None

async def handle(req):
    # Every line names the call that wrote it.
    global barrier
    name, wanted = req.headers["X-Call-Id"], int(req.headers["X-Wanted"])
    if barrier is None or barrier.parties != wanted:
        barrier = asyncio.Barrier(wanted)
    print("print", name)
    sys.stdout.write("half a line and ")
    await barrier.wait()
    print(name)
    sys.stderr.write("stderr %s\\n" % name)
    await asyncio.sleep(0.001)
    log.error("logging of %s\\nin two lines", name)
    await asyncio.to_thread(print, "thread", name)
    await asyncio.create_task(task(name))
    os.write(1, b"descriptor\\n")
    subprocess.run(["/bin/echo", "child"], check=True)
    faulthandler.dump_traceback(2, all_threads=False)
    await barrier.wait()
    sys.stdout.write("last of " + name)

async def task(name):
    print("task", name)
"""


def records(server: Server, name: str, call_id: str | None = None, *, has: str = END) -> list[Record]:
    """The function's records, of one call or of all, once one of them has this text."""
    root = server.data_dir / "front/logs"
    found: list[Record] = []

    def is_there() -> bool:
        found[:] = read(root, SPACE, name, Query(call_id=call_id, limit=10_000)).records
        return any(has in record.text for record in found)

    eventually(is_there)
    return [record for record in found if record.stream != "platform" and record.text != END]


def read_all(server: Server, name: str) -> list[Record]:
    """All that there is of it now, the platform's too."""
    return read(server.data_dir / "front/logs", SPACE, name, Query(limit=10_000, reports=True)).records


@pytest.fixture(scope="module")
def writer(deploy: Deploy) -> str:
    return deploy("recorded", WRITER, max_instances=1)


Written = Callable[[str, str], list[Record]]


@pytest.fixture(scope="module")
def written(server: Server, writer: str) -> Written:
    """The records of a call that ran these statements."""

    def write(call_id: str, statements: str) -> list[Record]:
        answer = server.call(writer, content=statements, headers={"X-Call-Id": call_id})
        assert answer.status_code == 200, answer.text
        return records(server, writer, call_id)

    return write


def test_a_record_says_whose_it_is_and_when(server: Server, writer: str, written: Written) -> None:
    (record,) = written("record-1", "print('hello')")
    assert (record.space, record.name, record.version, record.call_id) == (SPACE, writer, 1, "record-1")
    assert (record.stream, record.level, record.text) == ("stdout", "info", "hello")
    (later,) = written("record-2", "print('hello', file=sys.stderr)")
    assert (later.instance, later.stream) == (record.instance, "stderr")
    assert later.timestamp > record.timestamp > 1_700_000_000_000_000_000


def test_a_record_of_logging_carries_its_level(written: Written) -> None:
    code = "log.setLevel(1)\nfor n in (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 99): log.log(n, str(n))"
    found = [(record.level, record.text.rpartition(" ")[2]) for record in written("level-1", code)]
    of = {name: [text for level, text in found if level == name] for name in LEVELS}
    assert of == {
        "debug": ["5", "10", "15"], "info": ["20", "25"], "warning": ["30", "35"],
        "error": ["40", "45"], "critical": ["50", "99"],
    }  # fmt: skip


def test_a_warning_is_one_entry_of_its_level(written: Written) -> None:
    (record,) = written("warning-1", "warnings.warn('careful\\nwith two lines')")
    assert (record.stream, record.level) == ("stderr", "warning")
    assert "UserWarning: careful\nwith two lines" in record.text


@pytest.mark.parametrize(
    "how",
    [
        "log.exception('caught')",
        "traceback.print_exc()",
        "traceback.print_exc(file=sys.stderr)",
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()",
    ],
)
def test_a_traceback_is_one_entry(written: Written, how: str) -> None:
    (record,) = written(
        f"traceback-{abs(hash(how))}", f"try:\n    1 / 0\nexcept ZeroDivisionError:\n    {how}"
    )
    assert (record.stream, record.level) == ("stderr", "error")
    assert "\nZeroDivisionError: division by zero" in record.text and "Traceback" in record.text


def test_the_traceback_that_a_caller_gets_a_500_for_is_one_entry(server: Server, writer: str) -> None:
    answer = server.call(writer, content="print('before')\n1 / 0", headers={"X-Call-Id": "traceback-5"})
    assert answer.status_code == 500
    before, record = records(server, writer, "traceback-5", has="ZeroDivisionError")
    assert (before.text, record.level) == ("before", "error")
    assert record.text.startswith("Traceback (most recent call last):\n")


def test_an_entry_larger_than_a_pipe_takes_at_once_is_one_and_one_without_bound_is_cut(
    written: Written,
) -> None:
    code = "log.error('x' * 20_000 + '\\n' + 'y' * 20_000)\nlog.error('z ' * 2_500_000)"
    large, cut = written("large-1", code)
    assert large.text == "x" * 20_000 + "\n" + "y" * 20_000
    assert cut.text.endswith("... (cut)") and len(cut.text) < 100_000


def test_hostile_bytes_are_text_that_a_reader_can_show(written: Written) -> None:
    code = "os.write(1, b'\\xff\\x00\\x1b[31m\\x9b\\r\\x1e\\x00\\n')\nlog.error('\\x1b[2J\\x1e\\0\\nsecond')"
    raw, entry = written("hostile-1", code)
    assert raw.text == "\\xff\\x00\\x1b[31m\\x9b\\x0d\\x1e\\x00"
    assert entry.text == "\\x1b[2J\\x1e\\x00\nsecond"


def test_streams_that_the_author_replaced_get_what_is_his(written: Written) -> None:
    code = (
        "import contextlib, io\nbuffer = io.StringIO()\n"
        "with contextlib.redirect_stderr(buffer):\n    log.error('kept'); warnings.warn('kept too')\n"
        "print(repr(buffer.getvalue()))"
    )
    assert [record.text for record in written("replaced-1", code)] == [
        repr("kept\n<string>:4: UserWarning: kept too\n")
    ]


@pytest.fixture(scope="module")
def one_front(module_server: MakeServer) -> Server:
    """A server whose calls of one function all come to the same instance."""
    running = module_server(workers=1, function_logs=False)
    running.deploy("recorded-at-once", AT_ONCE, concurrency=20, max_instances=1)
    return running


@pytest.mark.promise("S66")
def test_lines_of_calls_at_once_carry_their_own_call_and_what_python_did_not_write_carries_none(
    one_front: Server,
) -> None:
    server, at_once = one_front, "recorded-at-once"
    names = [f"at-once-{number}" for number in range(8)]
    headers = [{"X-Call-Id": name, "X-Wanted": str(len(names))} for name in names]
    with_answers = together(
        [lambda one=one: server.call(at_once, headers=one).status_code for one in headers]
    )
    assert with_answers == [200] * len(names)
    for name in names:
        found = [(record.stream, record.text) for record in records(server, at_once, name, has="last of")]
        assert sorted(found) == sorted(
            [
                ("stdout", f"print {name}"),
                ("stdout", f"half a line and {name}"),
                ("stderr", f"stderr {name}"),
                ("stderr", f"logging of {name}\nin two lines"),
                ("stdout", f"thread {name}"),
                ("stdout", f"task {name}"),
                ("stdout", f"last of {name}"),
            ]
        )
    nobodys = [record.text for record in records(server, at_once, "", has="child")]
    assert nobodys.count("descriptor") == nobodys.count("child") == len(names)
    assert sum("most recent call first" in text for text in nobodys) == len(names)


def test_what_python_did_not_write_is_the_calls_that_runs_alone(one_front: Server) -> None:
    server, at_once = one_front, "recorded-at-once"
    headers = {"X-Call-Id": "alone-1", "X-Wanted": "1"}
    assert server.call(at_once, headers=headers).status_code == 200
    found = [record.text for record in records(server, at_once, "alone-1", has="last of")]
    assert {"descriptor", "child", "print alone-1", "last of alone-1"} <= set(found)


def test_half_a_line_of_a_call_that_is_killed_is_its_own(server: Server, deploy: Deploy) -> None:
    source = (
        "import os, sys\nasync def handle(req):\n"
        "    print('half', end=''); print(' a line', end='', file=sys.stderr); os.kill(os.getpid(), 9)\n"
    )
    name = deploy("recorded-killed", source, max_instances=1)
    assert server.call(name, headers={"X-Call-Id": "killed-2"}).status_code == 502
    found = records(server, name, "killed-2", has="a line")
    assert sorted((record.stream, record.text) for record in found) == [
        ("stderr", " a line"),
        ("stdout", "half"),
    ]


# ---- the platform's own ---------------------------------------------------------------------


def remarks(server: Server, name: str, call_id: str = "") -> list[Record]:
    """What the platform says in the function's log of that call, or of none."""
    query = Query(call_id=call_id, stream="platform", reports=True)
    return read(server.data_dir / "front/logs", SPACE, name, query).records


@pytest.mark.promise("S70")
def test_every_call_leaves_one_report_and_a_cold_start_the_time_of_its_import(
    server: Server, deploy: Deploy
) -> None:
    source = "import time\ntime.sleep(0.2)\ndef handle(req):\n    if req.body: exec(req.body)\n"
    name = deploy("reported", source, max_instances=1, timeout=1, memory=64)
    codes = {
        "reported-1": "",
        "reported-2": "1 / 0",
        "reported-3": "while True: pass",
    }
    for call_id, code in codes.items():
        server.call(name, content=code, headers={"X-Call-Id": call_id})
    for call_id in codes:
        eventually(lambda call_id=call_id: bool(remarks(server, name, call_id)))
    found = {call_id: remarks(server, name, call_id) for call_id in codes}
    assert {call_id: len(records) for call_id, records in found.items()} == dict.fromkeys(codes, 1)
    first, raised, late = (found[f"reported-{number}"][0] for number in (1, 2, 3))
    assert re.fullmatch(
        r"report outcome=answered status=200 duration_ms=[\d.]+ queue_ms=[\d.]+ init_ms=[\d.]+ "
        r"exec_ms=[\d.]+ cpu_ms=[\d.]+ peak_mib=[\d.]+",
        first.text,
    )
    assert (first.level, raised.level, late.level) == ("info", "error", "error")
    assert "outcome=raised status=500" in raised.text
    assert "outcome=timeout status=504" in late.text
    assert "limit is 1 s" in late.text and late.text.endswith("at handler.py:4 in handle")
    started = [record for record in remarks(server, name) if record.text.startswith("instance started")]
    assert started
    for record in started:
        import_ms = float(record.text.rpartition("import_ms=")[2])
        assert 200 <= import_ms <= float(record.text.split("=")[1].split(" ")[0]) and record.instance


@pytest.mark.needs_root
def test_an_instance_that_is_ended_for_its_memory_is_reported_with_the_peak(
    server: Server, deploy: Deploy
) -> None:
    source = (
        "import subprocess, sys\nCHILD = 'import sys; kept = bytearray(40 << 20); sys.stdin.read()'\n"
        "def handle(req):\n"
        "    python = [sys.executable, '-c', CHILD]\n"
        "    for child in [subprocess.Popen(python, stdin=subprocess.PIPE) for _ in range(4)]: child.wait()\n"
    )
    name = deploy("reported-memory", source, max_instances=1, memory=64)
    assert server.call(name, headers={"X-Call-Id": "reported-5"}).status_code == 502
    eventually(lambda: any("report" in record.text for record in remarks(server, name, "reported-5")))
    (record,) = [record for record in remarks(server, name, "reported-5") if "report" in record.text]
    assert "outcome=memory status=502" in record.text and record.level == "error"
    assert re.search(r"its limit is 64 MiB, it had \d+ MiB at its peak", record.text), record.text


def test_a_caller_makes_no_log_of_a_function_that_does_not_exist(server: Server, writer: str) -> None:
    assert server.call("recorded-nowhere").status_code == 404
    assert server.call(writer, content="pass", headers={"X-Call-Id": "after-404"}).status_code == 200
    records(server, writer, "after-404")
    eventually(lambda: bool(remarks(server, writer, "after-404")))
    assert not (server.data_dir / "front/logs" / SPACE / "recorded-nowhere").exists()


# ---- forgery --------------------------------------------------------------------------------


@pytest.mark.promise("T43")
def test_a_forged_frame_is_believed_of_the_forgers_own_calls_and_of_nothing_else(
    server: Server, writer: str, written: Written
) -> None:
    code = (
        "for number in range(1, 2001):\n"
        "    os.write(2, b'\\x1e\\x00ec%08x00000000forged %d\\n' % (number, number))\n"
        f"os.write(2, b'\\x1e\\x00ei00000000' b'00000000{SPACE}/other other-call forged\\n')"
    )
    written("forger-2", code)
    own = records(server, writer, "forger-2", has="other-call")  # on another pipe than the end of a call
    # The control: one number is that of the call itself, which may say of itself what it likes.
    believed = [record for record in own if record.text.startswith("forged")]
    assert len(believed) == 1 and believed[0].level == "critical"
    (named,) = [record for record in own if "other-call" in record.text]
    assert (named.name, named.call_id) == (writer, "forger-2")
    forged = [record for record in records(server, writer, has="forged") if record.text.startswith("forged")]
    # Calls that are over may be named, as their threads do: those of the same instance, a bounded number.
    served = {record.call_id for record in read_all(server, writer) if record.text.startswith("report ")}
    names = {record.call_id for record in forged}
    assert len(forged) == 2000 and names - {"", "forger-2"} <= served
    assert len([record for record in forged if record.call_id]) <= PAST_CALLS


LEFT = """
import asyncio, threading
go, kept = threading.Event(), []

def later(name):
    go.wait()
    print("left", name)
    done.release()

def left_by_a_thread(name):
    # A context of the call's, in a thread: whose it is goes with both.
    import contextvars
    threading.Thread(target=contextvars.copy_context().run, args=(later, name)).start()

def begin(name):
    threading.Thread(target=later, args=(name,)).start()
    left_by_a_thread(name)

def end():
    go.set()
    for _ in range(2):
        done.acquire()

done = threading.Semaphore(0)
"""
LEFT_SYNC = LEFT + "def handle(req):\n    begin(req.path) if req.path != '/end' else end()\n"
LEFT_ASYNC = LEFT + (
    "async def task():\n    await over.wait(); print('left by a task')\n"
    "async def handle(req):\n    global over\n"
    "    if req.path != '/end':\n"
    "        over = asyncio.Event(); kept.append(asyncio.create_task(task())); begin(req.path)\n"
    "    else:\n        over.set(); await kept[0]; end()\n"
)


@pytest.mark.promise("S119")
@pytest.mark.parametrize("source", [LEFT_SYNC, LEFT_ASYNC], ids=["sync", "async"])
def test_what_outlives_its_call_writes_in_its_name_and_never_in_the_next_callers(
    one_front: Server, source: str
) -> None:
    kind = "async" if source == LEFT_ASYNC else "sync"
    name = f"recorded-left-{kind}"
    one_front.deploy(name, source, max_instances=1)
    asked = {"X-Cellblock-Logs": "tail"}
    for tail in ("/begin", "/end"):
        call_id = f"left-{kind}-{tail[1:]}"
        answer = one_front.call(name, tail, headers={"X-Call-Id": call_id, **asked})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-cellblock-log-tail"] == ""
    found = records(one_front, name, f"left-{kind}-begin", has="left /begin")
    expected = ["left /begin"] * 2 + ["left by a task"] * (kind == "async")
    assert sorted(record.text for record in found) == expected
    assert not [
        record
        for record in read_all(one_front, name)
        if record.call_id.endswith("-end") and record.stream != "platform"
    ]


# ---- volume ---------------------------------------------------------------------------------


@pytest.mark.promise("S67")
def test_a_flood_is_counted_for_its_own_call_and_calls_beside_it_lose_nothing(
    server: Server, deploy: Deploy
) -> None:
    flood = deploy("recorded-flood", WRITER, log_lines=1000, timeout=30)
    beside = deploy("recorded-beside", WRITER, max_instances=1)
    code = "for n in range(50_000): print('x' * 50)\nos.write(1, b'y\\n' * 50_000)"

    def call(number: int) -> int:
        text = f"print('beside {number}')"
        return server.call(beside, content=text, headers={"X-Call-Id": f"beside-{number}"}).status_code

    statuses = together(
        [
            lambda: server.call(flood, content=code, headers={"X-Call-Id": "flood-9"}).status_code,
            *(lambda number=number: call(number) for number in range(20)),
        ]
    )
    assert statuses == [200] * 21
    for number in range(20):
        (record,) = records(server, beside, f"beside-{number}")
        assert record.text == f"beside {number}"
    found = records(server, flood, "flood-9", has="dropped")
    assert len(found) == 1000
    root = server.data_dir / "front/logs"
    said = read(root, SPACE, flood, Query(call_id="flood-9", stream="platform", q="were dropped")).records
    # The flood, and the line with which the handler ends.
    assert [record.text.split(" ")[0] for record in said] == [str(100_000 + 1 - 1000)]


def test_a_call_that_floods_takes_no_line_of_one_that_runs_beside_it_in_its_instance(
    one_front: Server,
) -> None:
    source = (
        "import asyncio\nasync def handle(req):\n    global over\n    name = req.headers['X-Call-Id']\n"
        "    if name == 'quiet':\n        over = asyncio.Event(); print('before'); await over.wait()\n"
        "    else:\n"
        "        while 'over' not in globals(): await asyncio.sleep(0.001)\n"
        "        for n in range(5000): print(n)\n        over.set()\n"
        "    for n in range(5): print('after', n); await asyncio.sleep(0)\n"
    )
    server, name = one_front, "recorded-neighbours"
    server.deploy(name, source, log_lines=100, max_instances=1)
    calls = [{"X-Call-Id": call_id} for call_id in ("quiet", "loud")]
    assert (
        together([lambda one=one: server.call(name, headers=one).status_code for one in calls]) == [200] * 2
    )
    quiet = [record.text for record in records(server, name, "quiet", has="after 4")]
    assert quiet == ["before", *(f"after {number}" for number in range(5))]
    loud = records(server, name, "loud", has="were dropped")
    assert [record.text for record in loud] == [str(number) for number in range(100)]


# ---- the store ------------------------------------------------------------------------------


@pytest.mark.promise("S68")
def test_several_fronts_write_and_one_reader_has_all_and_they_go_with_the_function(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("recorded-widely", WRITER)
    sent: list[str] = []

    def is_wide() -> bool:
        def call(call_id: str) -> int:
            # A connection of its own: those that are kept may all be one front's.
            headers = {"X-Call-Id": call_id, "Connection": "close"}
            return server.call(name, content="pass", headers=headers).status_code

        ids = [f"wide-{len(sent) + number}" for number in range(8)]
        assert together([lambda one=one: call(one) for one in ids]) == [200] * 8
        sent.extend(ids)
        for one in ids:
            records(server, name, one)
        found = read(server.data_dir / "front/logs", SPACE, name, Query(q=END, limit=10_000)).records
        assert {record.call_id for record in found} == set(sent)
        return len({record.writer for record in found}) > 1

    eventually(is_wide)
    folder = server.data_dir / "front/logs" / SPACE / name
    assert folder.is_dir()
    assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204
    assert not folder.exists(), "the logs outlived their function"


def test_what_was_written_just_before_an_orderly_end_is_there_after_it(one_front: Server) -> None:
    headers = {"X-Call-Id": "the-end", "X-Wanted": "1"}
    assert one_front.call("recorded-at-once", headers=headers).status_code == 200
    assert one_front.stop() == 0
    found = read(
        one_front.data_dir / "front/logs", SPACE, "recorded-at-once", Query(call_id="the-end", reports=True)
    ).records
    texts = [record.text for record in found]
    assert "last of the-end" in texts
    assert [text for text in texts if text.startswith("report outcome=answered")], "nor is the report lost"
