"""What an honest page of a function can do in its sandbox, as docs/browsers.md tells its author."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chromium import Context
from tests.support.raw_http import target
from tests.support.server import SPACE, Server

SOURCE = """
KINDS = {"/plain.js": "text/javascript", "/module.js": "text/javascript", "/style.css": "text/css"}
FILES = {"/plain.js": "window.plain = 'ran'", "/module.js": "export const name = 'imported'",
         "/style.css": "p { color: rgb(1, 2, 3) }"}
PAGE = '''<!doctype html><title>page</title><link rel="stylesheet" href="invoke/style.css"><body><p>text
<script src="invoke/plain.js"></script>
<form action="invoke/sent" method="post"><input name="a" value="b"></form>'''

def handle(req):
    if req.path in FILES:
        return {"body": FILES[req.path], "headers": {"Content-Type": KINDS[req.path]}}
    if req.path == "/sent":
        return {"body": "<title>" + req.body.decode() + "</title>", "headers": {"Content-Type": "text/html"}}
    if req.path == "/data":
        return {"body": {"found": req.headers.get("X-Mine", "nothing")}, "headers": {"X-Own": "mine"}}
    return {"body": PAGE, "headers": {"Content-Type": "text/html"}}
"""
FETCHES = "fetch('invoke/data', {headers: {'X-Mine': 'x'}}).then(%s, error => error.name)"
IMPORTS = "import(new URL('invoke/module.js', location.href)).then(made => made.name, error => error.name)"

WATCHES = """
window.violations = [];
document.addEventListener(
    'securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""

pytestmark = pytest.mark.needs_sandbox


@pytest.fixture
def page_of(server: Server) -> Iterator[str]:
    """The address of a page; ``cors`` is the test's to choose."""
    yield server.url + target("honest-page")
    server.client.delete(f"/spaces/{SPACE}/functions/honest-page")


@pytest.mark.promise("S111")
def test_a_sandboxed_page_can_do_what_the_page_for_authors_says(
    user: Context, server: Server, page_of: str
) -> None:
    server.deploy("honest-page", SOURCE, public=True)
    page = user.page(page_of)

    assert page.run("self.origin") == "null"
    assert page.run("window.plain") == "ran"
    assert page.run("getComputedStyle(document.querySelector('p')).color") == "rgb(1, 2, 3)"
    for lost in ("localStorage", "sessionStorage", "document.cookie"):
        assert page.run(f"(() => {{ try {{ return {lost} }} catch (error) {{ return error.name }} }})()") == (
            "SecurityError"
        )
    assert page.run(FETCHES % "answer => answer.status") == "TypeError"
    assert page.run(IMPORTS) == "TypeError"
    page.opens("document.forms[0].submit()")
    assert page.run("document.title") == "a=b"


@pytest.mark.parametrize("cors", [["null"], "*"])
def test_with_cors_a_sandboxed_page_reaches_its_own_function(
    user: Context, server: Server, page_of: str, cors: object
) -> None:
    server.deploy("honest-page", SOURCE, public=True, cors=cors)
    page = user.page(page_of)

    # X-Mine makes the browser ask ahead; the answer's own header can be read, and the platform's.
    assert page.run(FETCHES % "answer => answer.json().then(found => found.found)") == "x"
    assert page.run(FETCHES % "answer => answer.headers.get('X-Own')") == "mine"
    assert page.run(FETCHES % "answer => answer.headers.get('X-Invoked')") == "true"
    assert page.run(IMPORTS) == "imported"
    assert page.run(
        "fetch('invoke/data', {credentials: 'include'}).then(() => 'read', error => error.name)"
    ) == ("TypeError")


def test_with_cors_a_page_can_read_a_refusal(user: Context, server: Server, page_of: str) -> None:
    server.deploy("honest-page", SOURCE, cors="*")
    other = page_of.replace("127.0.0.1", "localhost")
    page = user.page()
    page.send("Page.setBypassCSP", enabled=True)  # any page of another origin; this one may call nobody
    page.open(f"{server.url}/healthz")
    script = (
        f"fetch('{other}', {{method: 'POST', headers: {{Authorization: 'Bearer wrong'}}}})"
        ".then(answer => answer.json().then(found => found.error.status + answer.headers.get('X-Call-Id')))"
    )
    assert page.run(script).startswith("401")
    server.deploy("honest-page", SOURCE)
    assert page.run(f"{script}.catch(error => error.name)") == "TypeError"  # the control


def test_the_page_of_the_api_works_under_its_policy(user: Context, server: Server) -> None:
    page = user.page()
    page.send("Page.addScriptToEvaluateOnNewDocument", source=WATCHES)
    page.open(f"{server.url}/docs")
    shown = page.run(
        "new Promise((done, failed) => { let turn = 0; const look = setInterval(() => {"
        " const found = document.querySelectorAll('.opblock').length;"
        " if (found || ++turn > 400) { clearInterval(look); done(found) } }, 50) })"
    )

    assert shown > 10
    assert page.run("getComputedStyle(document.querySelector('.opblock')).borderRadius") == "4px"
    assert page.run("window.violations.join()") == ""
