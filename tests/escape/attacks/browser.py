"""What a hostile page of a function tries, in a browser that has ``/docs`` open with a token in it.

Each script is the page's own and runs when it is opened; what it comes to is ``got: …`` or ``failed: …``.
"""

from __future__ import annotations

from dataclasses import dataclass

TOKEN = "cb_canary_5f0c71"
SESSION = "canary-of-this-tab"
COOKIE = "session=canary-cookie"
# A script for a service worker, and for a page that takes it as its own.
TAKES_OVER = (
    "self.oninstall = () => self.skipWaiting(); self.onactivate = e => e.waitUntil(self.clients.claim());"
    "self.onfetch = e => e.respondWith(new Response('<title>forged</title>', "
    "{headers: {'Content-Type': 'text/html'}}));"
)
RUNS = "window.ran = localStorage.getItem('token') || 'ran';"
SECURITY = r"failed: SecurityError.*"


@dataclass(frozen=True)
class Case:
    """``layers`` are those each of which alone stops it (``tests.support.unguarded``).

    ``{docs}``, ``{other}`` and ``{code}`` in a script are addresses: of ``/docs``, of a second function, and of a
    script that the hostile function answers, which is ``code``.
    """

    id: str
    name: str
    layers: tuple[str, ...]
    stopped: str
    got: str
    script: str = "return 'opened'"
    # Of the answer that is the page.
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "text/html"
    status: int = 200
    code: str = ""
    code_type: str = "text/javascript"
    # In the page of ``/docs``, before and after; that of after is found too.
    before: str = ""
    after: str = ""
    # The hostile page is opened in the tab that had ``/docs``.
    same_tab: bool = False
    # What the attack changes where nothing stops it, as ``canary`` in the test has it.
    changes: str = ""


def raw(name: str, value: str) -> tuple[tuple[str, str], ...]:
    """A header as the function sends it, and a second time for the control."""
    return ((name, value), (f"X-Raw-{name}", value))


def _register(scope: str) -> str:
    return (
        f"const made = await navigator.serviceWorker.register('{{code}}'{scope});"
        "await new Promise(done => {"
        "  const worker = made.installing || made.waiting || made.active;"
        "  const look = () => worker.state === 'activated' && done();"
        "  worker.onstatechange = look; look(); });"
        "return made.scope"
    )


CASES = (
    Case("B1", "read the token that the page of the API keeps", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "return localStorage.getItem('token')"),
    Case("B2", "read what an earlier page of the tab kept", ("sandbox",), SECURITY, f"got: {SESSION}",
         "return sessionStorage.getItem('session')", same_tab=True),
    Case("B3", "read the cookies of the host", ("sandbox",), SECURITY, f"got: {COOKIE}", "return document.cookie"),
    Case("B4", "set a cookie by script that the API and other functions get", ("sandbox",), SECURITY, "got: set",
         "document.cookie = 'forged=1; path=/'; return 'set'", changes="forged=1"),
    Case("B5", "open a database of the origin", ("sandbox",), SECURITY, "got: open",
         "return await new Promise((done, failed) => {"
         " const asked = indexedDB.open('x'); asked.onsuccess = () => done('open'); asked.onerror = failed })"),
    Case("B6", "put a forged page into the origin's cache", ("sandbox",), SECURITY, "got: put",
         "const cache = await caches.open('forged');"
         "await cache.put('{docs}', new Response('forged')); return 'put'", changes="forged"),
    Case("B7", "register a service worker for its own path", ("sandbox", "worker"),
         r"failed: (SecurityError|InvalidStateError|TypeError).*", r"got: http.*/invoke/", _register(""),
         code=TAKES_OVER, changes="/invoke/"),
    Case("B8", "register a service worker for the whole origin", ("sandbox", "worker", "dropped"),
         r"failed: (SecurityError|InvalidStateError|TypeError).*", r"got: http://[^/]*/ \| forged",
         _register(", {{scope: '/'}}"),
         headers=raw("Service-Worker-Allowed", "/"), code=TAKES_OVER, after="document.title", changes="forged"),
    Case("B9", "set a cookie by header that the API and other functions get", ("scoped",), "got: opened",
         "got: opened", headers=raw("Set-Cookie", "forged=2; Path=/"), changes="forged=2"),
    Case("B10", "set a cookie that no script may read, for the whole host", ("scoped",), "got: opened",
         "got: opened", headers=raw("Set-Cookie", "__Host-forged=3; Path=/; Secure; HttpOnly"), changes="forged=3"),
    Case("B11", "set a cookie over that of the API", ("scoped",), "got: opened", "got: opened",
         headers=raw("Set-Cookie", "session=forged; Path=/; Domain=127.0.0.1"), changes="session=forged"),
    Case("B12", "delete what the page of the API keeps", ("dropped",), "got: opened", "got: opened",
         headers=raw("Clear-Site-Data", '"storage", "cookies"'), changes="sent none"),
    Case("B13", "read the page of the API in a frame", ("sandbox", "frame"),
         r"failed: (TypeError|SecurityError).*", f"got: {TOKEN}",
         "const frame = document.createElement('iframe'); frame.src = '{docs}';"
         "await new Promise(done => { frame.onload = done; document.body.append(frame) });"
         "return frame.contentWindow.localStorage.getItem('token')"),
    Case("B14", "show the page of the API in a frame, to be clicked at", ("frame",), "got: opened", "got: opened",
         "const frame = document.createElement('iframe'); frame.src = '{docs}';"
         "await new Promise(done => { frame.onload = done; document.body.append(frame) }); return 'opened'",
         changes="framed"),
    Case("B15", "fetch the page of the API and read it", ("sandbox",), r"failed: TypeError.*", "got: Cellblock.*",
         "return (await (await fetch('{docs}')).text()).match('<title>(.*?)</title>')[1]"),
    Case("B16", "open the page of the API and script it", ("sandbox", "opener"),
         r"failed: (TypeError|SecurityError|Error: nothing).*", f"got: {TOKEN}",
         "const other = window.open('{docs}');"
         "for (let turn = 0; turn < 200; turn++) {"
         "  await new Promise(done => setTimeout(done, 50));"
         "  if (other.closed) throw new Error('nothing to script');"
         "  if (other.location.href === '{docs}') return other.localStorage.getItem('token') }"
         "throw new Error('nothing to script')"),
    Case("B17", "speak to the page of the API over a channel of the origin", ("sandbox",),
         r"got: sent \| nothing", r"got: sent \| forged",
         "new BroadcastChannel('x').postMessage('forged'); return 'sent'",
         before="window.heard = []; new BroadcastChannel('x').onmessage = e => heard.push(e.data); 'listening'",
         after="new Promise(done => { let turn = 0; const look = setInterval(() => {"
         " if (heard.length || ++turn > 20) { clearInterval(look); done(heard[0] || 'nothing') } }, 50) })"),
    Case("B18", "share a worker with the pages of the origin", ("sandbox",), SECURITY, "got: shared",
         "const worker = new SharedWorker('{code}');"
         "return await new Promise((done, failed) => {"
         " worker.port.onmessage = e => done(e.data); worker.onerror = e => failed(new Error('none')) })",
         code="onconnect = e => e.ports[0].postMessage('shared')"),
    Case("B19", "have its script run in the page of the API", ("script",), r"got: opened \| refused",
         rf"got: opened \| {TOKEN}", code=RUNS, before="document.title",
         after="new Promise(done => { const script = document.createElement('script'); script.src = '{code}';"
         " script.onload = () => done(window.ran); script.onerror = () => done('refused');"
         " document.body.append(script) })"),
    Case("B20", "run as a script what another function answers as text", ("sniff",), "failed: Error: refused.*",
         "got: ran",
         "return await new Promise((done, failed) => {"
         " const script = document.createElement('script'); script.src = '{code}';"
         " script.onload = () => done(window.ran); script.onerror = () => failed(new Error('refused'));"
         " document.body.append(script) })", code="window.ran = 'ran'", code_type="text/plain"),
    Case("B21", "leave the sandbox through a frame of its own making", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "const frame = document.createElement('iframe'); frame.srcdoc = '<p>x'; document.body.append(frame);"
         "await new Promise(done => { frame.onload = done });"
         "return frame.contentWindow.localStorage.getItem('token')"),
    Case("B22", "leave the sandbox through a window of its own making", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "const other = window.open('about:blank'); return other.localStorage.getItem('token')"),
    Case("B23", "weaken the sandbox by a policy of its own", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "return localStorage.getItem('token')",
         headers=(("Content-Security-Policy", "sandbox allow-scripts allow-same-origin"),)),
    Case("B24", "read the token from a page that is a picture", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "return localStorage.getItem('token')", media_type="image/svg+xml"),
    Case("B25", "read the token from a page that is an error", ("sandbox",), SECURITY, f"got: {TOKEN}",
         "return localStorage.getItem('token')", status=500),
)  # fmt: skip


def page_rows() -> list[str]:
    """The table of docs/attacks.md."""
    return [f"| {case.id} | {case.name} | {' '.join(f'`{layer}`' for layer in case.layers)} | succeeds |"
            for case in CASES]  # fmt: skip


def page_of(case: Case, script: str) -> str:
    """The hostile page."""
    run = (
        f"window.found = (async () => {{ {script} }})()"
        ".then(value => 'got: ' + value, error => 'failed: ' + error.name + ': ' + error.message);"
    )
    if case.media_type == "image/svg+xml":
        return f'<svg xmlns="http://www.w3.org/2000/svg"><script><![CDATA[{run}]]></script></svg>'
    return f"<!doctype html><title>hostile</title><body><script>{run}</script>"
