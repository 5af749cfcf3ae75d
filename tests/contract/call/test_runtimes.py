"""Every installed interpreter as a runtime, and the libraries that a function need not bring."""

from __future__ import annotations

import json
import re

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.envelope import assert_envelope
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

# Import names of the 3.10 page's list in its order, without iots (its licence: docs/decisions.md),
# then the packages that the pages' own examples import.
PAGE = (
    "quart", "requests", "azure.storage.blob", "backpack", "bs4", "cryptography.fernet",
    "google.cloud.storage", "httpx", "matplotlib.pyplot", "mintotp", "numpy", "orm", "paho.mqtt.client",
    "pandas", "pendulum", "jwt", "pyodbc", "scipy.stats", "scrapy", "sympy",
)  # fmt: skip
EVERYWHERE = ("requests", "paho.mqtt.client", "swx", "swx.auth.token", "werkzeug")

EVERYTHING = """
import json, sys
import function.secrets as secrets
from function import context, variables

def handle(req):
    if req.path == "/raise":
        raise ValueError("on purpose")
    return {
        "status_code": 201,
        "headers": {"X-Python": sys.version.split()[0]},
        "body": {
            "version": list(sys.version_info[:2]),
            "types": [type(req.headers).__name__, type(req.query).__name__, type(req.body).__name__],
            "query": req.query.getlist("q"),
            "path": req.path,
            "isolated": [sys.flags.isolated, sys.flags.no_site],
            "function": context.function_name,
        },
    }
"""
ASYNC = """
import asyncio, sys
async def handle(req):
    found = await asyncio.gather(*(asyncio.sleep(0.01, n) for n in range(3)))
    return {"body": {"version": list(sys.version_info[:2]), "found": found}}
"""
IMPORTS = """
import importlib
def handle(req):
    missing = {}
    for name in req.body.decode().split():
        try:
            importlib.import_module(name)
        except Exception as error:
            missing[name] = "%s: %s" % (type(error).__name__, error)
    return {"body": missing}
"""


@pytest.mark.promise("S19")
@on_every_runtime
def test_a_function_runs_on_the_interpreter_it_names(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime = runtime_or_skip(runtime_name)
    name = deploy(f"on-{runtime_name.replace('.', '-')}", EVERYTHING, template=runtime_name)
    answer = server.call(name, "/a%20b?q=1&q=", content=b"x")
    assert (answer.status_code, answer.headers["x-python"]) == (201, runtime.version)
    found = json.loads(answer.content)
    assert found["version"] == [int(part) for part in runtime_name.removeprefix("python").split(".")]
    assert found["types"] == ["Headers", "ImmutableMultiDict", "bytes"]
    assert (found["query"], found["path"], found["function"]) == (["1", ""], "/a b", name)
    assert found["isolated"] == [0, 0]


@on_every_runtime
def test_an_async_function_runs_on_it(server: Server, deploy: Deploy, runtime_name: str) -> None:
    runtime_or_skip(runtime_name)
    name = deploy(f"async-on-{runtime_name.replace('.', '-')}", ASYNC, template=runtime_name)
    found = as_json(server.call(name))
    assert found["found"] == [0, 1, 2]
    assert f"python{found['version'][0]}.{found['version'][1]}" == runtime_name


@on_every_runtime
def test_an_exception_has_its_line_on_it(server: Server, deploy: Deploy, runtime_name: str) -> None:
    runtime_or_skip(runtime_name)
    name = deploy(f"on-{runtime_name.replace('.', '-')}", EVERYTHING, template=runtime_name)
    error = assert_envelope(server.call(name, "/raise"), 500, is_invoked=True)
    assert error["message"] == "ValueError at line 8: on purpose"
    assert error["details"]["exception_line_code"] == 'raise ValueError("on purpose")'


@on_every_runtime
def test_the_libraries_of_the_oldest_page_are_there_on_it(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy(f"imports-on-{runtime_name.replace('.', '-')}", IMPORTS, template=runtime_name)
    assert as_json(server.call(name, content=" ".join(EVERYWHERE))) == {}


@pytest.mark.promise("S20")
@pytest.mark.slow
def test_every_library_of_the_pages_list_can_be_imported_on_the_default_runtime(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("imports-of-the-page", IMPORTS, timeout=60, memory=512)  # all of them at once
    missing = as_json(server.call(name, content=" ".join((*PAGE, *EVERYWHERE))))
    if "libodbc.so" in missing.get("pyodbc", ""):
        del missing["pyodbc"]  # it is installed; the host's own library that it loads is not
    assert missing == {}


def test_the_original_template_name_means_the_default_runtime(server: Server, deploy: Deploy) -> None:
    name = deploy("default-runtime", EVERYTHING)
    default = server.call(name).headers["x-python"]
    listed = server.client.post("/spaces/demo/functions", json={
        "name": "nowhere", "template": "python2.7", "source": {"code": "eA=="},
    })  # fmt: skip
    error = assert_envelope(listed, 422, "template", "python3-http")
    first = error["details"]["known"][1]
    assert error["details"]["known"][0] == "python3-http"
    assert re.fullmatch(re.escape(first.removeprefix("python")) + r"\.\d+", default)
