"""What asyncio has at a module's import serves its calls, as far as plain Python lets it."""

from __future__ import annotations

import pytest

from tests.contract.surroundings.conftest import Deploy, body, call_and_log, seen, twice
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

# Each line is run at the import; the handler then uses what it made.
AT_IMPORT = """
import asyncio, warnings
{at_import}

async def used():
    async with LOCK:
        pass
    async with SEMAPHORE:
        pass
    await QUEUE.put(1)
    waits = asyncio.ensure_future(EVENT.wait())
    await asyncio.sleep(0)
    EVENT.set()
    await waits
    EVENT.clear()
    blocked = asyncio.ensure_future(both())
    await both()
    await blocked
    return await QUEUE.get()

async def both():
    async with LOCK:  # whoever is second makes a future of the lock's loop
        await asyncio.sleep(0)

async def handle(req):
    loop = globals().get("LOOP") or asyncio.get_running_loop()
    assert loop is asyncio.get_running_loop()
    return {{"body": {{"got": await used(), "calls": COUNT.append(1) or len(COUNT)}}}}

COUNT = []
LOCK, SEMAPHORE, EVENT, QUEUE = asyncio.Lock(), asyncio.Semaphore(1), asyncio.Event(), asyncio.Queue()
"""
WAYS = {
    "nothing": "",
    "the loop": "LOOP = asyncio.get_event_loop()",
    "its own loop": "LOOP = asyncio.new_event_loop(); asyncio.set_event_loop(LOOP)",
    "after work": "LOOP = asyncio.get_event_loop(); LOOP.run_until_complete(asyncio.sleep(0))",
}


@on_every_runtime
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.promise("S140")
def test_the_loop_that_is_current_at_import_is_the_one_that_serves(
    server: Server, deploy: Deploy, runtime_name: str, way: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("loops", AT_IMPORT.format(at_import=WAYS[way]), template=runtime_name, max_instances=1)
    assert [body(server.call(name)) for _ in range(2)] == [{"got": 1, "calls": 1}, {"got": 1, "calls": 2}]


LEFT_NONE = """
import asyncio
async def ready():
    await asyncio.sleep(0)
    return 7
{at_import}
async def handle(req):
    return {{"body": {{"at import": READY, "now": await ready()}}}}
"""


@on_every_runtime
def test_an_import_that_leaves_no_loop_gets_one_for_its_calls(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    closes = "loop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\nREADY = 7\nloop.close()"
    for at_import in ("READY = asyncio.run(ready())", closes):
        name = deploy("no-loop", LEFT_NONE.format(at_import=at_import), template=runtime_name)
        assert body(server.call(name)) == {"at import": 7, "now": 7}


# In a handler without ``async`` asyncio is what it is in any program.
OF_A_PROGRAM = {
    "run": "asyncio.run(later(1))",
    "current": "asyncio.get_event_loop().run_until_complete(later(3))",
    "own": "(lambda loop: (loop.run_until_complete(later(2)), loop.close()))(asyncio.new_event_loop())",
    "running": "asyncio.get_running_loop()",
}


BEFORE = """
import asyncio, warnings
warnings.simplefilter("error", DeprecationWarning)

async def later(value):
    await asyncio.sleep(0)
    return value
"""


@on_every_runtime
def test_in_a_sync_handler_asyncio_is_as_in_any_program(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    source = BEFORE + twice(OF_A_PROGRAM)
    function, program = seen(server.call(deploy("sync-loops", source, template=runtime_name, timeout=30)))
    assert function == program
    assert function["run"] == "1" and function["own"].startswith("(2")


@on_every_runtime
def test_no_warning_comes_of_the_loop_that_serves(server: Server, deploy: Deploy, runtime_name: str) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("quiet", "async def handle(req):\n    return {}\n", template=runtime_name)
    _, lines = call_and_log(server, name)
    assert lines == []
