"""From a deploy to a call: what is refused, what a version is, when the next call sees it."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.envelope import assert_envelope
from tests.support.packing import member, tarred, tarred_gz, zipped
from tests.support.processes import all_gone_within, descendants_of, pid_namespace, watch
from tests.support.raw_http import target
from tests.support.runtimes import runtime_or_skip
from tests.support.server import SPACE, Server
from tests.support.together import together

FUNCTIONS = f"/spaces/{SPACE}/functions"
ANSWERS = "def handle(req):\n    return {{'body': {!r}}}\n"


def post(server: Server, name: str, source: str | bytes, **fields: Any) -> httpx.Response:
    """A deploy as it is, whatever comes of it."""
    raw = source.encode() if isinstance(source, str) else source
    body = {"name": name, "template": "python3-http", "source": {"code": base64.b64encode(raw).decode()}}
    return server.client.post(FUNCTIONS, json={**body, **fields})


# ---- refused --------------------------------------------------------------------------------


@pytest.mark.promise("S31")
@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("def handle(req):\n    return {\n", 2, "SyntaxError"),
        ("import json\n\ndef handle(req)\n    pass\n", 3, "SyntaxError"),
        ("def handle(req):\nreturn 1\n", 2, "IndentationError"),
        ("def handle(req):\n\tif 1:\n        return 1\n", 3, "TabError"),
        ("def handle(req):\n    return 1\n    nonlocal x\n", 3, "SyntaxError"),
        ("def handle(req): pass\nawait x\n", 2, "SyntaxError"),
        ("def handle(req): return " + "(" * 300, 1, "SyntaxError"),
    ],
)
def test_a_syntax_error_is_refused_with_its_line_and_nothing_is_made(
    server: Server, source: str, line: int, says: str
) -> None:
    error = assert_envelope(post(server, "refused", source), 422, f"handler.py:{line}: ", says)
    assert error["details"] == {"line": line}
    assert_envelope(server.client.get(f"{FUNCTIONS}/refused"), 404)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"def handle(req):\n    return '\xff'\n", "line 2 is not UTF-8"),
        (b"def handle(req):\n    return '\0'\n", "neither text nor an archive"),
        (b"# coding: no-such\ndef handle(req): pass\n", "handler.py: SyntaxError: unknown encoding: no-such"),
        (b"", "source.code"),
    ],
)
def test_what_is_no_text_of_python_is_refused_and_says_why(server: Server, source: bytes, says: str) -> None:
    assert_envelope(post(server, "refused", source), 422, says)


@pytest.mark.parametrize(
    "source", ["# nothing\n", "def handler(req): pass\n", "class A:\n    def handle(self, req): pass\n"]
)
def test_a_module_without_an_entry_point_is_refused(server: Server, source: str) -> None:
    assert_envelope(post(server, "refused", source), 422, "neither handle(req) nor handle_async(req)")


def test_an_archive_without_a_handler_at_its_root_is_refused(server: Server) -> None:
    packed = zipped(("src/handler.py", b"def handle(req): pass\n"))
    assert_envelope(post(server, "refused", packed), 422, "handler.py")


def test_syntax_is_that_of_the_runtime_that_the_deploy_names(server: Server, deploy: Deploy) -> None:
    source = (
        "def handle(req):\n"
        "    match req.method:\n"
        "        case 'GET':\n            return {'body': 'got'}\n"
        "        case _:\n            return {'body': 'other'}\n"
    )
    for name in ("python3.9", "python3.10"):
        runtime_or_skip(name)
    error = assert_envelope(post(server, "matching", source, template="python3.9"), 422, "handler.py:2: ")
    assert error["details"] == {"line": 2}
    assert server.call(deploy("matching", source, template="python3.10"), method="GET").text == "got"


def test_a_refused_redeploy_leaves_the_version_that_answers(server: Server, deploy: Deploy) -> None:
    name = deploy("kept", ANSWERS.format("kept"))
    body = {"source": {"code": base64.b64encode(b"def handle(req:\n").decode()}}
    assert_envelope(server.client.put(f"{FUNCTIONS}/{name}", json=body), 422, "handler.py:1: ")
    assert server.call(name).text == "kept"
    assert server.client.get(f"{FUNCTIONS}/{name}").json()["version"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 901}, "above this server's ceiling of 900"),
        ({"memory": 4096}, "above this server's ceiling of 2048"),
        ({"max_request": 65}, "above this server's ceiling of 64"),
        ({"network": "host"}, "not allowed on this server"),
        ({"timeout": 0}, "options.timeout"),
        ({"timeout": "soon"}, "options.timeout"),
        ({"no_such_option": 1}, "options.no_such_option"),
        ({"min_instances": 11}, "above max_instances 10"),
    ],
)
def test_an_option_above_its_ceiling_or_that_is_none_is_422_and_named(
    server: Server, options: dict[str, Any], says: str
) -> None:
    answer = post(server, "refused", ANSWERS.format("x"), options=options)
    assert_envelope(answer, 422, says)


# ---- bundles --------------------------------------------------------------------------------

SHOP = (
    ("handler.py", b"import shop.prices\ndef handle(req): return {'body': shop.prices.of(req.path[1:])}\n"),
    ("shop/__init__.py", b""),
    ("shop/prices.py", b"import json, pathlib\n"
     b"table = json.loads((pathlib.Path(__file__).parent.parent / 'data/prices.json').read_text())\n"
     b"relative = open('data/prices.json').read()\n"
     b"def of(name):\n    return {'price': table.get(name), 'relative': len(relative)}\n"),
    ("data/prices.json", b'{"tea": 3}'),
)  # fmt: skip


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_a_bundle_of_several_files_finds_its_modules_and_its_data(
    server: Server, deploy: Deploy, form: str
) -> None:
    members = [member(name, content) for name, content in SHOP]
    packed = {
        "zip": lambda: zipped(*SHOP),
        "tar": lambda: tarred(*members),
        "tar.gz": lambda: tarred_gz(*members),
    }
    found = as_json(server.call(deploy("shop", packed[form]()), "/tea"))
    assert found == {"price": 3, "relative": 10}


def test_a_function_of_the_bundles_own_takes_nothing_of_the_platforms(server: Server, deploy: Deploy) -> None:
    source = (
        b"from function import context\nimport function.secrets\n"
        b"def handle(req):\n"
        b"    return {'body': {'ok': [context.space, function.secrets.get('none'), req.query['a']]}}\n"
    )
    hostile = [(f"{name}.py", b"raise RuntimeError('shadowed')\n") for name in ("function", "_cellblock")]
    name = deploy("shadows", zipped(("handler.py", source), *hostile))
    assert as_json(server.call(name, "?a=1")) == {"ok": [SPACE, "", "1"]}


# ---- versions -------------------------------------------------------------------------------


@pytest.mark.promise("S33")
def test_a_redeploy_is_what_the_next_call_sees_on_every_front(server: Server, deploy: Deploy) -> None:
    name = deploy("versions", ANSWERS.format("version 1"))
    for number in range(1, 6):
        deploy(name, ANSWERS.format(f"version {number}"))
        found = together([lambda: server.call(name).text] * 6)
        assert set(found) == {f"version {number}"}


@pytest.mark.promise("S38")
def test_a_rollback_is_what_the_next_call_sees(server: Server, deploy: Deploy) -> None:
    name = deploy("rolled-back", ANSWERS.format("first"))
    deploy(name, ANSWERS.format("second"))
    assert server.call(name).text == "second"
    answer = server.client.post(f"{FUNCTIONS}/{name}/rollback")
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert {*together([lambda: server.call(name).text] * 6)} == {"first"}
    answer = server.client.post(f"{FUNCTIONS}/{name}/rollback", json={"version": 2})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert server.call(name).text == "second"


def test_a_deleted_function_is_404_to_the_next_call_and_its_name_free_again(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("deleted", ANSWERS.format("before"))
    assert server.call(name).text == "before"
    assert server.client.delete(f"{FUNCTIONS}/{name}").status_code == 204
    for answer in together([lambda: server.call(name)] * 4):
        assert_envelope(answer, 404, "function not found")
    assert server.call(deploy(name, ANSWERS.format("after"))).text == "after"


# ---- options and environment ----------------------------------------------------------------


def test_env_reaches_the_function_and_its_children(server: Server, deploy: Deploy) -> None:
    source = (
        "import os, subprocess\n"
        "early = os.environ['REGION']\n"
        "command = ['/bin/sh', '-c', 'printf %s \"$REGION\"']\n"
        "def handle(req):\n"
        "    child = subprocess.run(command, capture_output=True, text=True).stdout\n"
        "    return {'body': {'found': [early, os.environ['REGION'], os.environ['EMPTY'], child]}}\n"
    )
    body = {
        "template": "python3-http", "env": {"REGION": "eu-wést €", "EMPTY": ""},
        "source": {"code": base64.b64encode(source.encode()).decode()},
    }  # fmt: skip
    name = deploy("environment", ANSWERS.format("before"))
    assert server.client.put(f"{FUNCTIONS}/{name}", json=body).status_code == 200
    assert as_json(server.call(name)) == {"found": ["eu-wést €", "eu-wést €", "", "eu-wést €"]}


@pytest.mark.parametrize("name", ["LD_PRELOAD", "CELLBLOCK_ADMIN_TOKEN", "1A", "A=B", ""])
def test_an_environment_variable_that_is_not_the_authors_to_set_is_refused(server: Server, name: str) -> None:
    assert_envelope(post(server, "refused", ANSWERS.format("x"), env={name: "1"}), 422, "env")


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_at_its_time_limit_a_call_is_504_and_its_code_is_gone(
    server: Server, deploy: Deploy, keyword: str
) -> None:
    source = (
        "import os, time\n"
        f"{keyword} handle(req):\n"
        "    if req.body == b'stay':\n"
        "        while True:\n"
        "            try:\n                time.sleep(60)\n"
        "            except BaseException:\n                continue\n"
        "    return {'body': os.readlink('/proc/self/ns/pid')}\n"
    )
    name = deploy("stuck", source, timeout=0.3, max_instances=1)
    namespace = server.call(name).text
    cell = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace]
    assert len(cell) == 2  # its init and its worker
    gone = watch(cell)
    error = assert_envelope(server.call(name, content=b"stay"), 504, "its limit is 0.3 s")
    assert error["details"]["limit_s"] == 0.3
    assert all_gone_within(gone, 5.0)
    assert server.call(name).text != namespace


def test_a_public_function_needs_no_credential_until_it_is_public_no_more(
    server: Server, deploy: Deploy, anyone: httpx.Client
) -> None:
    name = deploy("made-public", ANSWERS.format("open"), public=True)
    assert anyone.post(target(name)).text == "open"
    assert anyone.post(target(name), headers={"Authorization": "Bearer wrong"}).text == "open"
    deploy(name, ANSWERS.format("open"), public=False)
    assert_envelope(anyone.post(target(name)), 401)
    assert server.call(name).text == "open"
