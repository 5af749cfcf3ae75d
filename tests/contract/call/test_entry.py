"""Which object of handler.py is called, how often at once, and what of it lives on."""

from __future__ import annotations

import base64
import itertools

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.envelope import assert_envelope
from tests.support.server import SPACE, Server
from tests.support.together import together

ENTRIES = {
    "handle": "def handle(req): return {'body': 'handle'}",
    "async handle": "async def handle(req): return {'body': 'async handle'}",
    "async handle after an await": (
        "import asyncio\n"
        "async def handle(req):\n"
        "    await asyncio.sleep(0)\n"
        "    return {'body': 'async handle after an await'}"
    ),
    "handle_async": "async def handle_async(req): return {'body': 'handle_async'}",
    "sync handle_async": "def handle_async(req): return {'body': 'sync handle_async'}",
    "handle of both": (
        "async def handle_async(req): return {'body': 'handle_async of both'}\n"
        "def handle(req): return {'body': 'handle of both'}"
    ),
    "handle_async beside None": (
        "handle = None\nasync def handle_async(req): return {'body': 'handle_async beside None'}"
    ),
    "callable object": (
        "class Handler:\n    def __call__(self, req): return {'body': 'callable object'}\nhandle = Handler()"
    ),
    "async callable object": (
        "class Handler:\n"
        "    async def __call__(self, req): return {'body': 'async callable object'}\n"
        "handle = Handler()"
    ),
    "bound method": (
        "class Handler:\n    def run(self, req): return {'body': 'bound method'}\nhandle = Handler().run"
    ),
    "partial": (
        "import functools\n"
        "async def run(text, req): return {'body': text}\n"
        "handle = functools.partial(run, 'partial')"
    ),
    "lambda": "handle = lambda req: {'body': 'lambda'}",
    "conditional": (
        "try:\n"
        "    import no_such_module\n"
        "except ImportError:\n"
        "    def handle(req): return {'body': 'conditional'}"
    ),
    "decorated": (
        "import functools\n"
        "def shout(f):\n"
        "    @functools.wraps(f)\n"
        "    def wrapped(req): return {'body': f(req)['body'].lower()}\n"
        "    return wrapped\n"
        "@shout\n"
        "def handle(req): return {'body': 'DECORATED'}"
    ),
}


@pytest.mark.promise("S5")
@pytest.mark.parametrize("kind", ENTRIES)
def test_every_form_of_entry_point_is_called(server: Server, deploy: Deploy, kind: str) -> None:
    answer = server.call(deploy("entry", ENTRIES[kind]))
    assert (answer.status_code, answer.text) == (200, kind)


# What only the import shows: its decorator, its class, its place in another file.
TAKES_NOT_ONE = {
    "decorated": (
        "def same(f): return f\n@same\ndef handle(event, context): pass\n",
        "handler.py:3: handle(event, context) cannot be called without context too, but a handler is called "
        "with one argument, the request; write handle(req): req has the method",
    ),
    "wrapped": (
        "import functools\ndef other(req): pass\n@functools.wraps(other)\ndef handle(): pass\n",
        "handler.py:4: handle() takes no argument that is not named",
    ),
    "keyword": (
        "def same(f): return f\n@same\ndef handle(req, *, db): pass\n",
        "handler.py:3: handle(req, *, db) cannot be called without db, but a handler is called with one",
    ),
    "partial": (
        "import functools\ndef run(req, db): pass\nhandle = functools.partial(run, 1, 2)\n",
        "handler.py:2: handle() takes no argument",
    ),
    "method": (
        "class A:\n    def run(self, a, b): pass\nhandle = A().run\n",
        "handler.py:2: handle(a, b) cannot be called without b too",
    ),
    "object": (
        "class A:\n    def __call__(self): pass\nhandle = A()\n",
        "handler.py:2: handle() takes no argument",
    ),
    "class": ("class A: pass\nhandle = A\n", "handle is a class that takes no argument"),
}


@pytest.mark.promise("S132")
@pytest.mark.parametrize("kind", TAKES_NOT_ONE)
def test_a_handler_that_turns_out_to_take_other_than_one_argument_is_told_so_with_its_own_line(
    server: Server, deploy: Deploy, kind: str
) -> None:
    source, says = TAKES_NOT_ONE[kind]
    assert_envelope(server.call(deploy("takes-not-one", source)), 502, "contract error", says)


@pytest.mark.promise("S126")
@pytest.mark.parametrize(
    ("source", "says", "line"),
    [
        ("\n\ndef handle(event, context):\n    pass\n", "handle(event, context) cannot be called without", 3),
        ("handle = lambda: {}\n", "handle() takes no argument", 1),
        ("async def handle(req, *, db): pass\n", "give db a default", 1),
        ("class handle:\n    def __init__(self, req, res): pass\n", "handle(req, res) cannot be called", 1),
    ],
)
def test_a_handler_that_takes_other_than_one_argument_is_refused_at_the_deploy(
    server: Server, source: str, says: str, line: int
) -> None:
    code = base64.b64encode(source.encode()).decode()
    answer = server.client.post(
        f"/spaces/{SPACE}/functions", json={"name": "not-deployed", "source": {"code": code}}
    )
    error = assert_envelope(answer, 422, f"handler.py:{line}: ", says)
    assert error["details"] == {"line": line}


def test_a_call_that_its_handler_refuses_itself_names_the_line_of_its_def(
    server: Server, deploy: Deploy
) -> None:
    source = "import functools\n\n@functools.lru_cache()\ndef handle(event, context):\n    pass\n"
    name = deploy("refuses-itself", source)
    error = assert_envelope(server.call(name), 500, is_invoked=True)
    assert error["message"].startswith("TypeError at line 4: handle() missing 1 required positional argument")
    assert error["details"]["exception_line_code"] == "def handle(event, context):"


@pytest.mark.promise("S127")
def test_a_coroutine_that_a_sync_decorator_returns_is_awaited_on_a_loop_that_lives_on(
    server: Server, deploy: Deploy
) -> None:
    source = (
        "import asyncio, functools\n"
        "from function import context\n"
        "def timed(f):\n"
        "    @functools.wraps(f)\n"
        "    def wrapper(req): return f(req)\n"
        "    return wrapper\n"
        "loops = []\n"
        "@timed\n"
        "async def handle(req):\n"
        "    loops.append(asyncio.get_running_loop())\n"
        "    await asyncio.sleep(0)\n"
        "    if req.body == b'late': await asyncio.sleep(60)\n"
        "    return {'body': {'loops': len(set(loops)), 'calls': len(loops), 'id': context.call_id}}\n"
    )
    name = deploy("sync-decorator", source, max_instances=1, timeout=0.5)
    for number in (1, 2):
        found = as_json(server.call(name, headers={"X-Call-Id": f"call-{number}"}))
        assert found == {"loops": 1, "calls": number, "id": f"call-{number}"}
    assert_envelope(server.call(name, content=b"late"), 504, "handler.py:12 in handle")
    assert as_json(server.call(name))["calls"] == 4, "the instance lives on"


def test_an_entry_point_that_only_running_could_have_shown_to_be_missing_is_a_contract_error(
    server: Server, deploy: Deploy
) -> None:
    for source, says in (
        ("from json import *\n", "defines neither handle(req) nor handle_async(req)"),
        ("handle = 3\n", "handle is of type int and cannot be called"),
    ):
        assert_envelope(server.call(deploy("entry-missing", source)), 502, "contract error", says)


# ---- import ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message", "code"),
    [
        (
            "import json\n\nimport no_such_module\ndef handle(req): pass\n",
            "ModuleNotFoundError at line 3: No module named 'no_such_module'",
            "import no_such_module",
        ),
        (
            "def handle(req): pass\ndef load():\n    return 1 / 0\nload()\n",
            "ZeroDivisionError at line 3: division by zero",
            "return 1 / 0",
        ),
        ("import sys\ndef handle(req): pass\nsys.exit(3)\n", "SystemExit at line 3: 3", "sys.exit(3)"),
        (
            "def handle(req): pass\nraise KeyboardInterrupt('no')\n",
            "KeyboardInterrupt at line 2: no",
            "raise KeyboardInterrupt('no')",
        ),
    ],
)
def test_a_module_that_raises_at_import_gives_each_call_a_500_with_the_line(
    server: Server, deploy: Deploy, source: str, message: str, code: str
) -> None:
    name = deploy("import-raises", source)
    for _ in range(2):
        error = assert_envelope(server.call(name), 500, is_invoked=True)
        assert error["message"] == message
        assert error["details"]["exception_line_code"] == code


def test_a_module_that_ends_its_process_at_import_is_a_502_with_the_exit_code(
    server: Server, deploy: Deploy
) -> None:
    source = "import os\nos._exit(7)\ndef handle(req): pass\n"
    error = assert_envelope(server.call(deploy("import-exits", source)), 502, "exited with code 7")
    assert error["details"]["exit_code"] == 7


# ---- calls that exit ------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["def", "async def"])
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("sys.exit('enough')", "SystemExit at line 6: enough"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt at line 6: "),
        ("raise GeneratorExit", "GeneratorExit at line 6: "),
        ("raise asyncio.CancelledError", "CancelledError at line 6: "),
    ],
)
def test_an_exit_in_a_handler_ends_the_call_and_not_the_instance(
    server: Server, deploy: Deploy, keyword: str, statement: str, message: str
) -> None:
    source = (
        "import asyncio, sys, uuid\n"
        "instance = uuid.uuid4().hex\n"
        f"{keyword} handle(req):\n"
        "    if req.body != b'exit':\n"
        "        return {'body': instance}\n"
        f"    {statement}\n"
    )
    name = deploy("exits", source, max_instances=1)
    before = server.call(name).text
    error = assert_envelope(server.call(name, content=b"exit"), 500, is_invoked=True)
    assert error["message"] == message
    assert server.call(name).text == before


# ---- state and concurrency ------------------------------------------------------------------


def test_module_state_lives_from_call_to_call_of_an_instance(server: Server, deploy: Deploy) -> None:
    source = "calls = 0\ndef handle(req):\n    global calls\n    calls += 1\n    return {'body': calls}\n"
    name = deploy("counter", source, max_instances=1)
    # Each on a connection of its own, so on either front: the one instance goes between them.
    counts = [together([lambda: server.call(name).text])[0] for _ in range(12)]
    assert counts == [str(number) for number in range(1, 13)]


MEETING = """
import asyncio, time, uuid
instance = uuid.uuid4().hex
waiting, met = 0, None
async def handle(req):
    global waiting, met
    party = int(req.body)
    if met is None:
        met = asyncio.Event()
    waiting += 1
    try:
        if waiting >= party:
            met.set()
        await asyncio.wait_for(met.wait(), 0.5)
        return {"body": {"met": True, "instance": instance, "waiting": waiting}}
    except asyncio.TimeoutError:
        return {"body": {"met": False, "instance": instance, "waiting": waiting}}
    finally:
        waiting -= 1
        if not waiting:
            met = None
"""


@pytest.mark.promise("S15")
def test_async_calls_of_one_instance_run_at_once_on_one_loop(server: Server, deploy: Deploy) -> None:
    name = deploy("meeting", MEETING, max_instances=1)
    server.call(name, content=b"1")
    # Of 2n-1 calls one of the two fronts has at least n, and the instance serves a front's calls at once.
    party = 5
    calls = [lambda: as_json(server.call(name, content=str(party).encode()))] * (2 * party - 1)
    found = together(calls)
    assert len({one["instance"] for one in found}) == 1
    assert sum(one["met"] for one in found) >= party


def test_concurrency_bounds_the_async_calls_that_one_instance_runs_at_once(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("meeting-of-two", MEETING, max_instances=1, concurrency=2)
    found = together([lambda: as_json(server.call(name, content=b"2"))] * 6)
    assert max(one["waiting"] for one in found) == 2


@pytest.mark.promise("S16")
def test_a_sync_handler_serves_one_call_at_a_time_whatever_its_concurrency(
    server: Server, deploy: Deploy
) -> None:
    source = (
        "import time, uuid\n"
        "instance = uuid.uuid4().hex\n"
        "def handle(req):\n"
        "    began = time.monotonic()\n"
        "    time.sleep(0.02)\n"
        "    return {'body': {'instance': instance, 'span': [began, time.monotonic()]}}\n"
    )
    name = deploy("one-at-a-time", source, max_instances=1, concurrency=50)
    found = together([lambda: as_json(server.call(name))] * 8)
    assert len({one["instance"] for one in found}) == 1
    spans = sorted(one["span"] for one in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_async_calls_at_once_each_have_a_context_of_their_own(server: Server, deploy: Deploy) -> None:
    source = (
        "import asyncio\n"
        "from function import context\n"
        "async def handle(req):\n"
        "    before = context.call_id\n"
        "    await asyncio.sleep(0.05)\n"
        "    return {'body': {'ids': [before, context.call_id, await asyncio.create_task(inner())]}}\n"
        "async def inner():\n"
        "    await asyncio.sleep(0.01)\n"
        "    return context.call_id\n"
    )
    name = deploy("contexts", source, max_instances=1)

    def call(number: int) -> list[str]:
        found: list[str] = as_json(server.call(name, headers={"X-Call-Id": f"id-{number}"}))["ids"]
        return found

    numbers = range(12)
    found = together([lambda number=number: call(number) for number in numbers])
    assert found == [[f"id-{number}"] * 3 for number in numbers]
