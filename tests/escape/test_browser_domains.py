"""A hostile page at a function's own host (``functions_domain``), in a real browser.

Below ``localhost`` every name is this machine, and browsers trust it as they trust https: so workers and
``Secure`` cookies are tried as they would be there.  The layer of each attack is the host; its control is
what the same page does where it has the host, or what the browser itself would have sent.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import MakeServer
from tests.escape.attacks.browser import TAKES_OVER, TOKEN
from tests.support.chromium import Context
from tests.support.server import SPACE, Server

EVIL, VICTIM = "evil", "victim"
SOURCE = """
import json

def handle(req):
    asked = json.loads(req.query.get("answer", "{}"))
    seen = req.headers.get("Cookie", "none")
    return {"headers": [("Content-Type", asked.get("type", "text/html")), *asked.get("headers", [])],
            "body": asked.get("body", "<!doctype html><title>own</title><body>" + seen)}
"""
NAMED = "document.body.textContent"

pytestmark = pytest.mark.needs_sandbox


class Site:
    """A server with functions at hosts of their own."""

    def __init__(self, server: Server, domain: str) -> None:
        self.server, self._domain = server, domain
        self.port = urlsplit(server.url).port
        for name in (EVIL, VICTIM):
            server.deploy(name, SOURCE, public=True)

    def at(self, name: str, path: str = "/", space: str = SPACE, **answer: object) -> str:
        """The address of a function, and what it shall answer."""
        asked = f"?answer={quote(json.dumps(answer))}" if answer else ""
        return f"http://{name}.{space}.{self._domain}:{self.port}{path}{asked}"


def site(make: MakeServer, domain: str) -> Site:
    return Site(make(workers=1, functions_domain=domain, public_url="http://127.0.0.1"), domain)


@pytest.fixture(scope="module")
def one_site(module_server: MakeServer) -> Site:
    """All hosts of functions are one site to a browser, ``fn.localhost``."""
    return site(module_server, "fn.localhost")


@pytest.fixture(scope="module")
def suffix(module_server: MakeServer) -> Site:
    """Each space is a site, as below a domain on the public-suffix list."""
    return site(module_server, "localhost")


def sent_by_the_browser(user: Context, url: str) -> str:
    """The cookies that it would send there, whoever set them."""
    cookies = user.page().send("Network.getCookies", urls=[url])["cookies"]
    return "; ".join(sorted(f"{cookie['name']}={cookie['value']}" for cookie in cookies))


def test_a_cookie_by_header_for_the_whole_domain_stays_at_its_host(user: Context, one_site: Site) -> None:
    forged = [["Set-Cookie", "forged=1; Path=/; Domain=fn.localhost"]]
    user.page(one_site.at(EVIL, headers=forged))

    assert sent_by_the_browser(user, one_site.at(EVIL)) == "forged=1"
    assert sent_by_the_browser(user, one_site.at(VICTIM)) == ""
    assert user.page(one_site.at(VICTIM)).run(NAMED) == "none"


@pytest.mark.promise("T63")
def test_a_cookie_by_script_for_the_whole_domain_reaches_no_other_function(
    user: Context, one_site: Site
) -> None:
    page = user.page(one_site.at(EVIL))
    page.run("document.cookie = 'forged=1; path=/; domain=fn.localhost'")
    page.run("document.cookie = '__Host-forged=2; path=/; secure; domain=fn.localhost'")
    page.run("document.cookie = '__host-forged=3; path=/; secure; domain=fn.localhost'")
    page.run("document.cookie = '__Host-own=4; path=/; secure'")

    # The control: the browser sends the first to every function; that one is what our part stops.
    assert "forged=1" in sent_by_the_browser(user, one_site.at(VICTIM))
    assert user.page(one_site.at(VICTIM)).run(NAMED) == "none"
    assert user.page(one_site.at(EVIL)).run(NAMED) == "__Host-own=4"


def test_below_a_public_suffix_the_browser_itself_stops_it(user: Context, suffix: Site) -> None:
    page = user.page(suffix.at(EVIL))
    page.run("document.cookie = 'forged=1; path=/; domain=localhost'")
    page.run("document.cookie = 'own=2; path=/'")

    assert sent_by_the_browser(user, suffix.at(VICTIM)) == ""
    assert sent_by_the_browser(user, suffix.at(VICTIM, space="other")) == ""
    assert user.page(suffix.at(EVIL)).run(NAMED) == "own=2"


def test_no_cookie_of_a_function_reaches_the_api(user: Context, one_site: Site, suffix: Site) -> None:
    for each in (one_site, suffix):
        page = user.page(each.at(EVIL, headers=[["Set-Cookie", "forged=1; Path=/; Domain=127.0.0.1"]]))
        page.run("document.cookie = 'forged=2; path=/; domain=127.0.0.1'")
        page.run("document.cookie = 'own=3; path=/'")
        assert sent_by_the_browser(user, each.at(EVIL)) == "forged=1; own=3"  # without its Domain
        assert sent_by_the_browser(user, each.server.url) == ""


def test_a_page_has_its_own_storage_and_finds_the_api_nowhere_at_its_origin(
    user: Context, one_site: Site
) -> None:
    api = user.page(f"{one_site.server.url}/docs")
    api.run(f"localStorage.setItem('token', '{TOKEN}')")
    user.page(one_site.at(VICTIM)).run("localStorage.setItem('kept', 'of the victim')")
    page = user.page(one_site.at(EVIL))

    assert page.run("localStorage.setItem('kept', 'mine'), localStorage.getItem('kept')") == "mine"
    assert page.run("localStorage.getItem('token')") is None
    for path in ("/docs", "/healthz", f"/spaces/{SPACE}/functions"):
        assert page.run(f"fetch('{path}').then(answer => answer.text())") == (
            "<!doctype html><title>own</title><body>none"
        )
    for url in (f"{one_site.server.url}/docs", one_site.at(VICTIM)):
        assert page.run(f"fetch('{url}').then(() => 'read', error => error.name)") == "TypeError"
    assert user.page(one_site.at(VICTIM)).run("localStorage.getItem('kept')") == "of the victim"
    # The API is where it was, and has what it kept.
    assert api.run("localStorage.getItem('token')") == TOKEN
    assert api.run("fetch('/healthz').then(answer => answer.json()).then(found => found.status)") == "ok"


def test_a_worker_that_a_page_registers_there_answers_for_nobody_else(user: Context, one_site: Site) -> None:
    script = one_site.at(EVIL, "/sw.js", body=TAKES_OVER, type="text/javascript")
    page = user.page(one_site.at(EVIL))
    scope = page.run(
        f"navigator.serviceWorker.register('{script}', {{scope: '/'}})"
        ".then(() => navigator.serviceWorker.ready).then(made => made.scope)"
    )

    assert scope == one_site.at(EVIL)
    assert user.page(one_site.at(EVIL)).run("document.title") == "forged"  # the control: it is at work
    assert user.page(one_site.at(VICTIM)).run("document.title") == "own"
    assert user.page(f"{one_site.server.url}/docs").run("document.title").startswith("Cellblock")
