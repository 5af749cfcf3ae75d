"""Threads, executors and pools carry the call that started them; its context no other call sees."""

from __future__ import annotations

import httpx
import pytest

from supervisor.logs import Query, Record, read
from tests.contract.call.conftest import Deploy, as_json
from tests.support.eventually import eventually
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server
from tests.support.together import together

# The pools are the instance's: each of their threads serves one call after the other.
WAYS = """
import _thread, asyncio, concurrent.futures, contextvars, functools, threading, traceback
from multiprocessing.pool import ThreadPool
from function import context

own = contextvars.ContextVar("own", default="not set")
executor, pool = concurrent.futures.ThreadPoolExecutor(1), ThreadPool(1)
WAYS = []

def way(function):
    WAYS.append(function.__name__)
    return function

def say(name, *_):
    # What Python itself gives a thread of the call's context is nothing.
    print(name, context.call_id, context.function_name, own.get())
    return name

@way
def thread():
    made = threading.Thread(target=say, args=("thread",))
    made.start(); made.join()

@way
def timer():
    made = threading.Timer(0, say, ("timer",))
    made.start(); made.join()

@way
def subclass():
    class Own(threading.Thread):
        def run(self): say("subclass")
    made = Own(daemon=True)
    made.start(); made.join()

@way
def of_a_thread():
    made = threading.Thread(target=lambda: thread_of("of_a_thread"))
    made.start(); made.join()

def thread_of(name):
    made = threading.Thread(target=say, args=(name,))
    made.start(); made.join()

@way
def low():
    over = _thread.allocate_lock(); over.acquire()
    def run(name, *, last):
        say(name); last.release()
    _thread.start_new_thread(run, ("low",), {"last": over}); over.acquire()

@way
def submit(): executor.submit(say, "submit").result()

@way
def mapped(): list(executor.map(say, ["mapped"]))

@way
def callback():
    begun, over = threading.Event(), threading.Event()
    future = executor.submit(begun.wait)
    future.add_done_callback(lambda _: (say("callback"), over.set()))
    begun.set(); over.wait()

@way
def apply(): pool.apply(say, ("apply",))

@way
def pool_map(): pool.map(say, ["pool_map"])

@way
def imap(): list(pool.imap(say, ["imap"]))

@way
def starmap(): pool.starmap(say, [("starmap", 1)])

@way
def own_pool():
    with concurrent.futures.ThreadPoolExecutor(2) as own_executor:
        own_executor.submit(say, "own_pool")
"""
SYNC = (
    WAYS
    + """
def handle(req):
    own.set("of the call")
    for name in WAYS:
        globals()[name]()
    return {"body": {"ways": WAYS}}
"""
)
ASYNC = (
    WAYS
    + """
@way
async def run_in_executor():
    await asyncio.get_running_loop().run_in_executor(None, say, "run_in_executor")
@way
async def in_our_executor():
    await asyncio.get_running_loop().run_in_executor(executor, say, "in_our_executor")
@way
async def to_thread():
    await asyncio.to_thread(own.set, "to_thread")  # its context is a copy
    await asyncio.to_thread(say, "to_thread")
@way
async def threadsafe():
    over = asyncio.Event()
    async def run(): say("threadsafe"); over.set()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: asyncio.run_coroutine_threadsafe(run(), loop)).start()
    await over.wait()

async def handle(req):
    own.set("of the call")
    for name in WAYS:
        if asyncio.iscoroutinefunction(globals()[name]):
            await globals()[name]()
        else:
            await asyncio.get_running_loop().run_in_executor(None, globals()[name])
        await asyncio.sleep(0)
    return {"body": {"ways": WAYS}}
"""
)


def lines_of(server: Server, name: str, call_id: str, count: int) -> list[Record]:
    """What the call wrote, once there is so much of it."""
    found: list[Record] = []

    def is_there() -> bool:
        records = read(
            server.data_dir / "front/logs", SPACE, name, Query(call_id=call_id, limit=1000)
        ).records
        found[:] = [record for record in records if record.stream == "stdout"]
        return len(found) >= count

    eventually(is_there)
    return found


@pytest.mark.promise("S121")
@on_every_runtime
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_way_to_a_thread_carries_the_call_that_took_it(
    server: Server, deploy: Deploy, runtime_name: str, kind: str
) -> None:
    runtime_or_skip(runtime_name)
    source = SYNC if kind == "sync" else ASYNC
    name = deploy(
        f"ways-{kind}-{runtime_name.replace('.', '-')}", source, template=runtime_name, max_instances=1
    )
    calls = [f"{name}-{number}" for number in range(3)]

    def call(call_id: str) -> httpx.Response:
        return server.call(name, headers={"X-Call-Id": call_id})

    answers = together([lambda call_id=call_id: call(call_id) for call_id in calls])
    for call_id, answer in zip(calls, answers, strict=True):
        ways = as_json(answer)["ways"]
        lines = [record.text.split() for record in lines_of(server, name, call_id, len(ways))]
        assert sorted(line[0] for line in lines) == sorted(ways)
        assert {(line[1], line[2]) for line in lines} == {(call_id, name)}
        # What Python gives to nobody else.
        copied = {"to_thread": "of the call", "threadsafe": "not set"}
        assert {line[0]: " ".join(line[3:]) for line in lines} == {
            way: copied.get(way, "not set") for way in ways
        }


CONTEXTS = """
import contextvars, decimal
own = contextvars.ContextVar("own", default="default")
at_import = contextvars.ContextVar("at_import")
at_import.set("import")
decimal.getcontext().prec = 7

def look():
    return [own.get(), at_import.get(), decimal.getcontext().prec]

def change():
    before = look()
    own.set("changed"); at_import.set("changed")
    decimal.getcontext().prec = 3
    decimal.getcontext().traps[decimal.DivisionByZero] = False
    return before + look() + [str(decimal.Decimal(1) / 3)]

class Shown:
    def __str__(self):
        own.set("changed"); decimal.getcontext().prec = 3
        return "shown"
"""
CHANGES = ["default", "import", 7, "changed", "changed", 3, "0.333"]


@pytest.mark.promise("S122")
@on_every_runtime
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_a_call_sets_in_its_context_no_other_call_sees(
    server: Server, deploy: Deploy, runtime_name: str, kind: str
) -> None:
    runtime_or_skip(runtime_name)
    source = f"{CONTEXTS}\n{kind} handle(req):\n" + (
        "    if req.path == '/shown': return {'body': Shown()}\n    return {'body': {'found': change()}}\n"
    )
    name = f"contexts-{kind[:1]}-{runtime_name.replace('.', '-')}"
    deploy(name, source, template=runtime_name, max_instances=1)
    for _ in range(2):
        assert as_json(server.call(name)) == {"found": CHANGES}
        assert server.call(name, "/shown").text == "shown"  # made into a body after the handler


CANCELS = """
import asyncio

async def waits():
    await asyncio.sleep(60)

async def handle(req):
    if req.path == "/time":
        await asyncio.sleep(60)
    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    await task
"""
IN_A_LOOP = (
    CANCELS.replace("async def handle", "async def run") + "def handle(req):\n    asyncio.run(run(req))\n"
)


@pytest.mark.promise("S123")
@pytest.mark.parametrize("source", [CANCELS, IN_A_LOOP], ids=["async", "sync"])
def test_a_cancelled_task_that_is_awaited_is_logged_and_a_call_that_was_told_to_end_is_not_logged_twice(
    server: Server, deploy: Deploy, source: str
) -> None:
    name = deploy(f"cancels-{'a' if source == CANCELS else 's'}", source, timeout=1)

    def errors(call_id: str) -> list[Record]:
        records = read(
            server.data_dir / "front/logs", SPACE, name, Query(call_id=call_id, limit=1000)
        ).records
        return [record for record in records if record.level == "error" and record.stream == "stderr"]

    answer = server.call(name, headers={"X-Call-Id": f"{name}-1"})
    assert answer.status_code == 500 and "CancelledError" in answer.text
    eventually(lambda: bool(errors(f"{name}-1")))
    (record,) = errors(f"{name}-1")
    assert record.text.startswith("Traceback (most recent call last):\n")
    assert "handler.py" in record.text and "CancelledError" in record.text.splitlines()[-1]
    assert server.call(name, "/time", headers={"X-Call-Id": f"{name}-2"}).status_code == 504
    eventually(lambda: bool(errors(f"{name}-2")))
    (record,) = errors(f"{name}-2")
    assert record.text.startswith("the call's time was up; it was here")


SHARED = """
import concurrent.futures, multiprocessing, os
processes = []
def say(call): print("process", call, flush=True)
def handle(req):
    if not processes:
        processes.append(concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")))
    processes[0].submit(say, req.path).result()
    if not os.fork():
        print("child", req.path)
        os._exit(0)
    os.wait()
"""


def test_lines_of_a_pool_of_processes_are_the_running_calls_where_one_runs_at_a_time(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("ways-processes", SHARED, max_instances=1)
    for number in (1, 2):
        answer = server.call(name, f"/{number}", headers={"X-Call-Id": f"processes-{number}"})
        assert answer.status_code == 200, answer.text
        found = lines_of(server, name, f"processes-{number}", 2)
        assert sorted(record.text for record in found) == [f"child /{number}", f"process /{number}"]
