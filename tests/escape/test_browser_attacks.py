"""B1 and on: a hostile page of a function, in a real browser beside ``/docs`` with a token in it.

Each case is tried against the server as it is, with each of its layers alone, and with all of them taken
away, where it has to succeed.  The layers are what the server tells browsers; a proxy takes them away
(``unguarded``), so there is no switch for it in the product.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.escape.attacks.browser import CASES, COOKIE, SESSION, TOKEN, Case, page_of, page_rows
from tests.support.chromium import Browser
from tests.support.raw_http import target
from tests.support.server import Server
from tests.support.unguarded import LAYERS, Unguarded

PAGE = Path(__file__).parents[2] / "docs/attacks.md"
HOSTILE, OTHER = "hostile-page", "other-page"
ANSWERS = """
import json

def handle(req):
    asked = json.loads(req.query["answer"])
    return {"status_code": asked["status"], "headers": asked["headers"], "body": asked["body"]}
"""
ECHOES = """
def handle(req):
    return {"headers": {"Content-Type": "text/html"}, "body": "<pre>" + req.headers.get("Cookie", "none")}
"""
# What the page of the API has, as an attack must find and leave it.
KEEPS = (
    f"localStorage.setItem('token', '{TOKEN}'); sessionStorage.setItem('session', '{SESSION}');"
    f"document.cookie = '{COOKIE}; path=/'; 'kept'"
)
CANARY = (
    "(async () => [localStorage.getItem('token'), document.cookie, document.title || 'untitled',"
    " ...(await navigator.serviceWorker.getRegistrations()).map(each => each.scope),"
    " ...await caches.keys()].join(' '))()"
)
UNHARMED = f"{TOKEN} {COOKIE} untitled"

pytestmark = pytest.mark.needs_sandbox


@pytest.fixture(scope="module")
def site(server: Server) -> Iterator[Server]:
    server.deploy(HOSTILE, ANSWERS, public=True)
    server.deploy(OTHER, ECHOES, public=True)
    yield server
    for name in (HOSTILE, OTHER):
        server.client.delete(f"/spaces/demo/functions/{name}")


def answer(
    origin: str, body: str, media_type: str, headers: Any = (), status: int = 200, tail: str = ""
) -> str:
    """The address at which the hostile function answers so."""
    asked = {"status": status, "headers": [("Content-Type", media_type), *headers], "body": body}
    return f"{origin}{target(HOSTILE, tail)}?answer={quote(json.dumps(asked))}"


def attempt(browser: Browser, origin: str, case: Case) -> tuple[str, str]:
    """What the attack finds, and what is left of the canaries."""
    docs = f"{origin}/docs"
    with browser.context() as context:
        code = answer(origin, case.code, case.code_type, case.headers, tail="/code.js")
        places = {"docs": docs, "other": f"{origin}{target(OTHER)}", "code": code}
        trusted = context.page(docs)
        assert trusted.run(KEEPS) == "kept"
        if case.before:
            assert trusted.run(case.before)
        hostile = trusted if case.same_tab else context.page()
        script = placed(case.script, places)
        hostile.open(answer(origin, page_of(case, script), case.media_type, case.headers, case.status))
        found = hostile.run("window.found")
        framed = " framed" if case.changes == "framed" and docs in hostile.frames() else ""
        later = context.page(f"{origin}/healthz")  # as good a page of the API's origin, and a small one
        if case.after:
            told = trusted if case.before else later
            found += f" | {told.run(placed(case.after, places))}"
        left = later.run(CANARY) + framed
        cookies = context.page(places["other"]).run("document.body ? document.body.textContent : ''")
    return found, left if cookies == COOKIE else f"{left}, sent {cookies}"


def placed(script: str, places: dict[str, str]) -> str:
    """The script with its addresses."""
    for name, place in places.items():
        script = script.replace(f"{{{name}}}", place)
    return script.replace("{{", "{").replace("}}", "}")


def assert_stopped(case: Case, found: str, left: str) -> None:
    assert re.fullmatch(case.stopped, found, re.DOTALL), found
    assert left == UNHARMED


@pytest.mark.promise("T59")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_hostile_page_reads_takes_and_leaves_nothing(browser: Browser, site: Server, case: Case) -> None:
    assert_stopped(case, *attempt(browser, site.url, case))


@pytest.mark.parametrize(
    ("case", "layer"),
    [
        pytest.param(case, layer, id=f"{case.id}-{layer}")
        for case in CASES
        for layer in case.layers
        if len(case.layers) > 1
    ],
)
def test_each_layer_alone_stops_it(browser: Browser, site: Server, case: Case, layer: str) -> None:
    with Unguarded(site.url, [each for each in LAYERS if each not in case.layers or each == layer]) as proxy:
        assert_stopped(case, *attempt(browser, proxy.url, case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_without_its_layers_it_succeeds(browser: Browser, site: Server, case: Case) -> None:
    with Unguarded(site.url, [each for each in LAYERS if each not in case.layers]) as proxy:
        found, left = attempt(browser, proxy.url, case)

    assert re.fullmatch(case.got, found, re.DOTALL), found
    assert case.changes in left and (case.changes or left == UNHARMED), left


def test_the_page_of_attacks_lists_every_case() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## In a browser\n")[2]
    assert [line for line in section.splitlines() if line.startswith("| B")] == page_rows()
