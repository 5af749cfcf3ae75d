"""Who gets a secret: the functions of its list, and nobody's log."""

from __future__ import annotations

import base64
import json
import secrets as random
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.eventually import eventually
from tests.support.server import SPACE, Server
from tests.support.together import together

READER = """
import function.secrets as secrets
from function import variables

def handle(req):
    name = req.query["name"]
    return {"body": {"secret": secrets.get(name), "variable": variables.get(name)}}
"""
# Everything that a process can read of itself and of its neighbours, looked through for what it has no
# copy of: the pattern is not what it finds.
SCANNER = r"""
import ctypes, glob, os, re
import function.secrets as secrets

libc = ctypes.CDLL(None)
NEEDLE = re.compile(rb"need" + rb"le-[0-9a-f]{32}")

def found():
    places = {}
    out, into = os.pipe()
    for line in open("/proc/self/maps").read().splitlines():
        span, rights, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        while rights.startswith("r") and "[v" not in line and start < end:
            # By a system call: what cannot be read is an error and no signal.
            size = libc.write(into, ctypes.c_void_p(start), min(end - start, 1 << 16))
            if size > 0 and NEEDLE.search(os.read(out, size)):
                places["memory"] = True
            start += max(size, 1 << 12)
    os.close(out), os.close(into)
    for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/tmp/**", "/dev/shm/**", "/function/**"):
        for path in glob.glob(pattern, recursive=True):
            try:
                with open(path, "rb") as file:
                    if NEEDLE.search(file.read(1 << 20)):
                        places[path] = True
            except OSError:
                pass
    return sorted(places)

def handle(req):
    return {"body": {"places": found(), "has": secrets.exists("NEEDLE")}}
"""
LOGGER = """
import base64, logging, sys, urllib.parse
import function.secrets as secrets

print("imported with", secrets.get("LOGGED"))

def handle(req):
    key, what = secrets.get("LOGGED"), req.body.decode()
    if what == "fails":
        raise ValueError("cannot use " + key)
    if what == "breaks":
        return {"headers": {"bad\\n" + key: "x"}}
    if what == "aborts":
        code = compile("import os\\nos.abort()", key, "exec")
        exec(code)
    if what == "key":
        print("plain " + key, flush=True)
    print("json", {"key": key})
    print("err " + key, file=sys.stderr)
    logging.getLogger().warning("record %s", key)
    print("url " + urllib.parse.quote(key, safe=""))
    print("basic " + base64.b64encode(("user:" + key).encode()).decode())
    return {"body": key}
"""

Put = Callable[..., None]


@pytest.fixture
def put(server: Server) -> Iterator[Put]:
    """``put(kind, name, value, functions=...)``; what was put is deleted afterwards."""
    made = set()

    def one(kind: str, name: str, value: Any, **fields: Any) -> None:
        path = f"/spaces/{SPACE}/{kind}/{name}"
        answer = server.client.put(path, json={"value": value, **fields})
        assert answer.status_code in (201, 204), answer.text
        made.add(path)

    yield one
    for path in made:
        assert server.client.delete(path).status_code in (204, 404)


def lines_of(server: Server, name: str, call_id: str, until: str) -> str:
    """The function's log of one call, once that is in it; every reader goes by this way."""

    text = ""

    def has_it() -> bool:
        nonlocal text
        answer = server.client.get(f"/spaces/{SPACE}/functions/{name}/logs", params={"call_id": call_id})
        assert answer.status_code == 200, answer.text
        text = answer.text
        return until in text

    eventually(has_it, f"its log has no {until}")
    return text


@pytest.mark.promise("S233")
def test_a_value_is_there_for_the_functions_of_its_list_alone(
    server: Server, deploy: Deploy, put: Put
) -> None:
    pay, other = deploy("reads-pay", READER), deploy("reads-other", READER)

    def read(name: str) -> list[dict[str, Any]]:
        # On connections of their own, so through either front.
        found = together([lambda: as_json(server.call(name, params={"name": "LISTED"}))] * 4)
        assert all(one == found[0] for one in found)
        return found[0]["secret"], found[0]["variable"]

    for functions, gets in (
        ([pay], (True, False)),
        ([], (False, False)),
        ([pay, other], (True, True)),
        (None, (True, True)),
        ([other, "not-deployed-yet"], (False, True)),
    ):
        put("secrets", "LISTED", "s", functions=functions)
        put("variables", "LISTED", ["v"], functions=functions)
        for name, does in zip((pay, other), gets, strict=True):
            assert read(name) == (("s", ["v"]) if does else ("", "")), functions
    put("secrets", "LISTED", "t")
    assert [read(name)[0] for name in (pay, other)] == ["", "t"], "a new value alone leaves the list"


def test_a_function_that_is_deployed_later_gets_what_its_name_is_listed_for(
    server: Server, deploy: Deploy, put: Put
) -> None:
    put("secrets", "EARLY", "s", functions=["reads-later"])
    assert as_json(server.call(deploy("reads-later", READER), params={"name": "EARLY"}))["secret"] == "s"


@pytest.mark.promise("T100")
@pytest.mark.needs_sandbox
def test_a_function_finds_nothing_of_a_secret_that_is_another_functions(
    server: Server, deploy: Deploy, put: Put
) -> None:
    attacker, owner = deploy("scans", SCANNER, timeout=60), deploy("scans-own", SCANNER, timeout=60)
    put("secrets", "BEFORE", "x" * 20)
    for number in range(2):  # with INIT, and with the frame of a change
        put("secrets", "NEEDLE", f"needle-{random.token_hex(16)}", functions=[owner])
        control = as_json(server.call(owner))
        assert control["has"] and control["places"] == ["memory"], "the scan finds nothing: it proves nothing"
        found = as_json(server.call(attacker))
        assert found == {"places": [], "has": False}, number


@pytest.mark.promise("S234")
def test_a_secret_is_masked_in_every_line_of_its_function(server: Server, deploy: Deploy, put: Put) -> None:
    key = f"k&y/{random.token_hex(8)} ü"
    put("secrets", "LOGGED", key)
    name, before = deploy("logs-secrets", LOGGER), server.log_bytes
    answer = server.call(name, content=b"key", headers={"X-Call-Id": "masked-1"})
    assert answer.text == key, "what a function answers is its own"
    text = lines_of(server, name, "masked-1", "basic ")
    shown = [json.loads(line)["text"] for line in text.splitlines()]
    for start in ("plain", "err", "record", "url"):
        assert f"{start} [secret LOGGED]" in shown, shown
    assert any(one.startswith("json {'key': '[secret LOGGED]'}") for one in shown)
    assert any(one.startswith("basic ") and "[secret LOGGED]" in one for one in shown)
    whole = server.client.get(f"/spaces/{SPACE}/functions/{name}/logs").text
    assert "imported with [secret LOGGED]" in whole
    everything = b"".join(
        path.read_bytes() for path in (server.data_dir / "front/logs").rglob("*") if path.is_file()
    )
    for form in (key, quote(key, safe=""), base64.b64encode(f"user:{key}".encode()).decode()[8:20]):
        assert form not in text
        assert form not in server.log_since(before)
        assert form.encode() not in everything


@pytest.mark.parametrize(("what", "status"), [("fails", 500), ("breaks", 502)])
def test_the_platforms_own_messages_do_not_quote_a_secret(
    server: Server, deploy: Deploy, put: Put, what: str, status: int
) -> None:
    key = f"hunter{random.token_hex(8)}"
    put("secrets", "LOGGED", key)
    name, before = deploy("logs-secrets", LOGGER), server.log_bytes
    call_id = f"quoted-{what}"
    answer = server.call(name, content=what.encode(), headers={"X-Call-Id": call_id})
    assert answer.status_code == status
    text = lines_of(server, name, call_id, f"status={status}")
    assert "[secret LOGGED]" in answer.text + text
    for told in (answer.text, text, server.log_since(before)):
        assert key not in told


def test_an_import_that_fails_with_a_secret_does_not_tell_it(
    server: Server, deploy: Deploy, put: Put
) -> None:
    key = f"hunter{random.token_hex(8)}"
    put("secrets", "LOGGED", key)
    source = "import function.secrets as secrets\nraise ValueError('no ' + secrets.get('LOGGED'))\n"
    name, before = deploy("fails-with-secret", source + "def handle(req):\n    pass\n"), server.log_bytes
    told = [server.call(name).text for _ in range(3)]
    shown = server.client.get(f"/spaces/{SPACE}/functions/{name}")
    assert shown.json()["status"] == "Failed"
    told.append(shown.text)
    assert all("no [secret LOGGED]" in one for one in (told[0], told[-1])), told
    assert key not in "".join(told) + server.log_since(before)


@pytest.mark.promise("S239")
def test_a_changed_secret_is_masked_by_its_old_value_too(server: Server, deploy: Deploy, put: Put) -> None:
    source = (
        "import function.secrets as secrets\nkept = []\n"
        "def handle(req):\n    kept.append(secrets.get('CHANGED'))\n    print('kept', *kept)\n"
    )
    name = deploy("keeps-secrets", source, max_instances=1)
    values = [f"hunter{number}-{random.token_hex(8)}" for number in range(3)]
    for number, value in enumerate(values):
        put("secrets", "CHANGED", value)
        # Over the one connection of this client: one front has the instance.
        assert server.call(name, headers={"X-Call-Id": f"changed-{number}"}).status_code == 200
    text = lines_of(server, name, "changed-2", "kept")
    assert not any(value in text for value in values), text


@pytest.mark.promise("T101")
def test_a_function_has_no_secret_of_another_masked(server: Server, deploy: Deploy, put: Put) -> None:
    """Else it could guess: what is masked in its log is right."""
    put("secrets", "GUESSED", "hunter2-hunter2", functions=["somebody-else"])
    name = deploy("guesses", "def handle(req):\n    print('hunter2-hunter2')\n")
    assert server.call(name, headers={"X-Call-Id": "guess-1"}).status_code == 200
    assert "hunter2-hunter2" in lines_of(server, name, "guess-1", "hunter2")


@pytest.mark.promise("S237")
def test_calls_and_changes_go_on_while_the_sealing_key_is_replaced(
    server: Server, deploy: Deploy, put: Put
) -> None:
    name = deploy("reads-on", READER, max_instances=2)
    for number in range(150):
        put("secrets", f"FILL{number}", f"value {number}")
    put("secrets", "LISTED", "s")
    stop, failures, calls = threading.Event(), [], [0]

    def call() -> None:
        with httpx.Client(base_url=server.url, headers=server.client.headers, timeout=60.0) as client:
            number = 0
            while not stop.is_set():
                number += 1
                change = client.put(
                    f"/spaces/{SPACE}/secrets/LISTED", json={"value": f"v{threading.get_ident()}.{number}"}
                )
                answer = client.post(
                    f"/spaces/{SPACE}/functions/{name}/invoke", params={"name": f"FILL{number % 150}"}
                )
                calls[0] += 1
                if change.status_code != 204 or answer.json()["secret"] != f"value {number % 150}":
                    failures.append((change.text, answer.text))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    key_file = server.data_dir / "front/sealing.key"
    try:
        eventually(lambda: calls[0] >= len(callers), "nobody is answered")
        before, rotations = calls[0], 0
        while rotations < 2 or calls[0] < before + 10:
            rotations += 1
            old = key_file.read_bytes()
            while len((answer := server.client.post("/sealing-key/rotate")).json().get("keys", "")) != 1:
                assert answer.status_code == 200, answer.text
            assert len(key_file.read_bytes()) == 32 and key_file.read_bytes() != old
    finally:
        stop.set()
        for caller in callers:
            caller.join(60)
    assert failures == []
    assert calls[0] > before, "nothing was called meanwhile: nothing was tried"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert as_json(server.call(name, params={"name": "FILL149"}))["secret"] == "value 149"
