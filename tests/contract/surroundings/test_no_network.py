"""With ``network = none`` whoever asks for another host is told at once what the rule is."""

from __future__ import annotations

import pytest

from tests.contract.surroundings.conftest import Deploy, body, call_and_log
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

ASKS = """
import asyncio, errno, importlib, os, socket, subprocess, sys, time, traceback
from urllib.request import urlopen

FAR, ADDRESS = "api.example.com", "192.0.2.1"

async def opened():
    await asyncio.open_connection(FAR, 443)

async def connected():
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, ADDRESS, 80)

def with_aiohttp():
    import aiohttp
    async def get():
        async with aiohttp.ClientSession() as session:
            await session.get("https://api.example.com/")
    asyncio.run(get())

def with_httpx_async():
    import httpx
    async def get():
        async with httpx.AsyncClient() as client:
            await client.get("https://api.example.com/")
    asyncio.run(get())

def with_mqtt():
    import paho.mqtt.client as mqtt
    mqtt.Client().connect("broker.example.com")

WAYS = {
    "getaddrinfo": lambda: socket.getaddrinfo(FAR, 443),
    "of one family": lambda: socket.getaddrinfo(FAR, 443, socket.AF_INET, socket.SOCK_STREAM),
    "gethostbyname": lambda: socket.gethostbyname(FAR),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex(FAR),
    "gethostbyaddr": lambda: socket.gethostbyaddr(ADDRESS),
    "a name in Unicode": lambda: socket.getaddrinfo("b\\u00fccher.example", 80),
    "create_connection": lambda: socket.create_connection((FAR, 443)),
    "an address": lambda: socket.create_connection((ADDRESS, 80)),
    "an IPv6 address": lambda: socket.create_connection(("2001:db8::1", 80)),
    "connect": lambda: socket.socket().connect((ADDRESS, 80)),
    "connect_ex": lambda: socket.socket(socket.AF_INET6).connect_ex(("2001:db8::1", 80)),
    "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (ADDRESS, 53)),
    "urllib": lambda: urlopen("http://api.example.com/"),
    "asyncio": lambda: asyncio.run(opened()),
    "asyncio by address": lambda: asyncio.run(connected()),
    "requests": lambda: importlib.import_module("requests").get("https://api.example.com/"),
    "requests by address": lambda: importlib.import_module("requests").get("http://192.0.2.1/"),
    "paho-mqtt": with_mqtt,
    "httpx": lambda: importlib.import_module("httpx").get("https://api.example.com/"),
    "httpx async": with_httpx_async,
    "aiohttp": with_aiohttp,
}

def told(error):
    for _ in range(10):
        if isinstance(error, PermissionError):
            return [type(error).__name__, error.errno, str(error)]
        reason = getattr(error, "reason", None)
        error = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
    return "no PermissionError"

def handle(req):
    if req.path == "/raise":
        return WAYS[req.body.decode()]()
    if req.path == "/eval":
        return {"body": {"value": eval(req.body)}}
    found = {}
    for name in ("requests", "httpx", "aiohttp", "paho.mqtt.client"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            pass
    for name, ask in WAYS.items():
        began = time.monotonic()
        try:
            ask()
            found[name] = "succeeded"
        except ModuleNotFoundError:
            continue
        except BaseException as error:
            found[name] = [str(error), told(error), traceback.format_exc(), time.monotonic() - began]
    return {"body": found}
"""
SENTENCE = (
    "the network of this function is none, so nothing outside its cell can be reached; "
    "deploy it with the option network = host, if this server allows that"
)
# Of those that wrap it every library shows its words; these are in every runtime.
EVERYWHERE = {
    "getaddrinfo", "of one family", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "a name in Unicode",
    "create_connection", "an address", "an IPv6 address", "connect", "connect_ex", "a datagram", "urllib",
    "asyncio", "asyncio by address", "requests", "requests by address", "paho-mqtt",
}  # fmt: skip
# A name server that is asked in vain is waited for five seconds, an address for longer.
AT_ONCE_SECONDS = 4.0


@on_every_runtime
@pytest.mark.promise("S138")
def test_without_a_network_every_way_out_says_at_once_that_there_is_none(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("asks", ASKS, template=runtime_name, timeout=60)
    answer, lines = call_and_log(server, name)
    found = body(answer)
    assert set(found) >= EVERYWHERE
    for way, (text, (kind, number, sentence), trace, seconds) in found.items():
        assert (kind, number) == ("PermissionError", 1), way
        assert sentence.endswith(SENTENCE), way
        assert SENTENCE in text, way
        assert seconds < AT_ONCE_SECONDS, way
        assert "/opt/cellblock" not in trace, trace
    # One line for all of them, which names the rule and the option.
    assert [line for line in lines if "network" in line] == [
        f"network: api.example.com cannot be looked up: {SENTENCE}"
    ]
    _, lines = call_and_log(server, name, "/raise", content="an address")
    assert [line for line in lines if line.startswith("network: ")] == [
        f"network: no internet socket can be opened: {SENTENCE}"
    ]


def test_the_caller_sees_the_authors_line(server: Server, deploy: Deploy) -> None:
    name = deploy("asks", ASKS, timeout=60)
    details = server.call(name, "/raise", content="gethostbyname").json()["error"]["details"]
    assert details["exception_type"] == "PermissionError"
    assert SENTENCE in details["exception_info"]
    assert details["exception_line_code"] == '"gethostbyname": lambda: socket.gethostbyname(FAR),'


def test_what_needs_no_network_is_as_it_was(server: Server, deploy: Deploy) -> None:
    name = deploy("asks", ASKS, timeout=60)

    def value(expression: str) -> object:
        return body(server.call(name, "/eval", content=expression))["value"]

    assert value("socket.gethostbyname('localhost')") == "127.0.0.1"
    assert value("socket.getaddrinfo('192.0.2.1', 80, proto=6)[0][4]") == ["192.0.2.1", 80]
    assert value("(lambda a, b: a.send(b'1') and b.recv(1).decode())(*socket.socketpair())") == "1"
    assert value("socket.socket(socket.AF_UNIX).family") == 1
    assert value("[socket.getaddrinfo.__name__, socket.getaddrinfo.__module__]") == ["getaddrinfo", "socket"]
    assert value("socket.socket.__init__.__qualname__") == "socket.__init__"
    # A mistake in the question is told as it always was.
    for question in (
        "socket.getaddrinfo('not numeric', 80, flags=socket.AI_NUMERICHOST)",
        "socket.getaddrinfo('localhost', 'nosuchservice')",
    ):
        answer = server.call(name, "/eval", content=question)
        assert answer.json()["error"]["details"]["exception_type"] == "gaierror", question


IMPORTS = """
import requests, urllib3.util.connection as connection
import importlib
def handle(req):
    importlib.reload(connection)
    return {"body": {"has": connection.HAS_IPV6}}
"""


@on_every_runtime
def test_an_import_that_only_tries_what_there_is_leaves_nothing_in_the_log(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    answer, lines = call_and_log(server, deploy("imports", IMPORTS, template=runtime_name))
    assert (body(answer), lines) == ({"has": False}, [])


CHILD = """
import subprocess, sys, time
def handle(req):
    began = time.monotonic()
    found = [subprocess.run(command, capture_output=True, text=True).returncode for command in (
        ["getent", "hosts", "api.example.com"],
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80))"],
    )]
    return {"body": {"codes": found, "seconds": time.monotonic() - began}}
"""


def test_child_processes_are_refused_at_once_by_the_kernel(server: Server, deploy: Deploy) -> None:
    found = body(server.call(deploy("child", CHILD)))
    assert 0 not in found["codes"]
    assert found["seconds"] < AT_ONCE_SECONDS


ASYNC = (
    ASKS
    + """
async def handle(req):
    try:
        await asyncio.sleep(0)
        socket.getaddrinfo(req.body.decode(), 80)
    except PermissionError as error:
        return {"body": str(error)}
"""
)


def test_each_call_of_an_async_handler_has_its_own_line(server: Server, deploy: Deploy) -> None:
    name = deploy("asks-async", ASYNC)
    for host in ("one.example", "two.example"):
        answer, lines = call_and_log(server, name, content=host)
        assert f"{host} cannot be looked up" in answer.text
        assert lines == [f"network: {host} cannot be looked up: {SENTENCE}"]
