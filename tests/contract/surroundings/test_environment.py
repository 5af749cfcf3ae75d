"""A function's ``env`` is taken as a start of Python would take it; what comes too late is said."""

from __future__ import annotations

import json

import pytest

from tests.contract.surroundings.conftest import Deploy, body, call_and_log, seen, twice
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server

ENV = {
    "TZ": "America/New_York",
    "LANG": "C",
    "PYTHONWARNINGS": "error::UserWarning,ignore::DeprecationWarning",
    "PYTHONPATH": "lib:/function/more",
    "PYTHONTRACEMALLOC": "2",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONINTMAXSTRDIGITS": "800",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONUNBUFFERED": "1",
    "MY_OWN": "über",
}
ALIKE = {
    "c time": "__import__('time').strftime('%H:%M %Z', __import__('time').localtime(0))",
    "time zone": "(__import__('time').tzname, __import__('time').timezone, __import__('time').daylight)",
    "datetime": "__import__('datetime').datetime.fromtimestamp(0).isoformat()",
    "mktime": "__import__('time').mktime((1970, 1, 1, 0, 0, 0, 0, 0, 0))",
    "zone": "__import__('datetime').datetime.fromtimestamp(0, __import__('zoneinfo').ZoneInfo('Asia/Tokyo'))",
    "logging": "__import__('logging').Formatter(datefmt='%Z').formatTime("
    "__import__('logging').makeLogRecord({'created': 0.0}), '%H %Z')",
    "locale": "(__import__('locale').setlocale(__import__('locale').LC_CTYPE), os.environ.get('LC_CTYPE'))",
    "encoding": "open('/etc/hosts').encoding.lower()",
    "warnoptions": "sys.warnoptions",
    "warning": "__import__('warnings').warn('x')",
    "quiet": "__import__('warnings').warn('x', DeprecationWarning)",
    "path": "[place for place in sys.path if place in ('/function/lib', '/function/more')]",
    "memory": "(__import__('tracemalloc').is_tracing(), __import__('tracemalloc').get_traceback_limit())",
    "crashes": "__import__('faulthandler').is_enabled()",
    "digits": "getattr(sys, 'get_int_max_str_digits', lambda: 'none')()",
    "loop": "__import__('asyncio').new_event_loop().get_debug()",
    "flags": "sys.flags.utf8_mode",
    "own": "os.environ['MY_OWN']",
}


@on_every_runtime
@pytest.mark.promise("S136")
def test_env_is_taken_as_a_start_of_python_takes_it(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("env", twice(ALIKE), env=ENV, template=runtime_name, timeout=30)
    function, program = seen(server.call(name))
    assert function == program
    # And the control: these are what was asked for, in both.
    assert function["c time"] == "'19:00 EST'"
    assert function["datetime"] == "'1969-12-31T19:00:00'"
    assert function["warning"] == "UserWarning: x"
    assert function["path"] == "['/function/lib', '/function/more']"
    assert function["loop"] == function["crashes"] == "True"
    assert function["locale"].startswith("('C.UTF-8'")


LOCALES = {"locale": ALIKE["locale"], "encoding": ALIKE["encoding"], "flags": "sys.flags.utf8_mode"}


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LC_ALL": "C"},
        {"LANG": "POSIX"},
        {"LC_CTYPE": "C"},
        {"LC_ALL": "nowhere_XX.UTF-8"},
        {"LANG": "xx"},
    ],
    ids=lambda env: "-".join(f"{name}={value}" for name, value in env.items()) or "none",
)
def test_the_locale_is_what_python_makes_of_it(server: Server, deploy: Deploy, env: dict[str, str]) -> None:
    function, program = seen(server.call(deploy("locale", twice(LOCALES), env=env), json=env))
    assert function == program


SAYS = """
import os, subprocess, sys
def handle(req):
    child = "import sys; print(sys.flags.optimize, hash('a'))"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
    found = {"hash": os.environ["PYTHONHASHSEED"], "o": sys.flags.optimize}
    return {"body": {"child": done.stdout.split(), **found}}
"""
LATE = {
    "PYTHONHASHSEED": "0",
    "PYTHONOPTIMIZE": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONUNBUFFERED": "1",
    "A": "b",
}


@pytest.mark.promise("S137")
def test_what_comes_too_late_is_said_once_an_instance_and_holds_for_children(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("late", SAYS, env=LATE, max_instances=1)
    found = body(server.call(name))
    assert (found["hash"], found["o"], found["child"][0]) == ("0", 0, "1")
    assert body(server.call(name))["child"] == found["child"], "the same hash: the children have the seed"
    log = server.client.get(f"/spaces/{SPACE}/functions/{name}/logs").text
    said = [entry for entry in map(json.loads, log.splitlines()) if entry["text"].startswith("env: ")]
    assert [entry["level"] for entry in said] == ["warning"]
    assert said[0]["text"].startswith("env: PYTHONHASHSEED, PYTHONOPTIMIZE are read when a process starts")
    # The control: what an instance can still do, or what changes nothing, is not complained about.
    quiet = deploy(
        "not-late", SAYS, env={"PYTHONHASHSEED": "random", "TZ": "Asia/Tokyo", "MALLOC_ARENA_MAX": "2"}
    )
    _, lines = call_and_log(server, quiet)
    assert lines == []


THREADS = """
import ctypes, numpy, os
with open("/proc/self/maps") as maps:
    # By its name, as it is loaded already: in maps the path is that of the zygote's mount.
    library = ctypes.CDLL(os.path.basename(next(line.split()[5] for line in maps if "openblas" in line)))
def handle(req):
    for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads64_",
                 "scipy_openblas_get_num_threads", "openblas_get_num_threads"):
        if hasattr(library, name):
            return {"body": {"threads": getattr(library, name)()}}
"""


def test_a_library_that_is_imported_ahead_has_the_threads_that_env_asks_for(
    server: Server, deploy: Deploy
) -> None:
    runtime = runtime_or_skip("python3.11")
    if not (runtime.libraries / "numpy").exists():
        pytest.skip("the runtime has no numpy")
    cases = [({"OPENBLAS_NUM_THREADS": "2"}, 2), ({"OMP_NUM_THREADS": "2"}, 2), ({}, 1)]
    for env, expected in cases:
        found = server.call(deploy("threads", THREADS, env=env, template=runtime.name, timeout=30))
        assert body(found) == {"threads": expected}, env
