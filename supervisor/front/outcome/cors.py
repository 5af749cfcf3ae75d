"""Option ``cors``: which origins' pages may call a function, as browsers are told.  Pure.

There is never an ``Access-Control-Allow-Credentials``.  It is about what a browser adds by itself, above all
cookies, and would let every admitted page act as the browser's user.  A page with a token sends it in
``Authorization``, which is admitted.

Without the option no answer tells an existing function from a missing one.  With the option, a caller that
names an admitted origin learns that the function exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from supervisor.front.outcome.browser_headers import Headers
from supervisor.front.outcome.refusals import METHODS

ANY = "*"
# A browser believes a preflight this long, so it may not see a change of the option for as long.
PREFLIGHT_SECONDS = 600
VARY = (b"vary", b"Origin")
# The star stands for all headers but Authorization.  Old browsers take it literally, so some are named too.
ALLOW_HEADERS = (
    b"*, Authorization, Content-Type, Idempotency-Key, Prefer, X-Call-Id, X-Canary-Key, X-Cellblock-Logs, "
    b"X-Timeout"
)
EXPOSE_HEADERS = (
    b"*, X-Call-Id, X-Invoked, X-Duration-Seconds, X-Function-Version, Server-Timing, Retry-After, Location, "
    b"WWW-Authenticate, Idempotent-Replay, X-Cellblock-Log-Tail"
)
_REPLACED = b"access-control-"
_PREFLIGHT_METHOD = b"access-control-request-method"
_PRIVATE_NETWORK = (b"access-control-request-private-network", b"true")


class Cors(NamedTuple):
    """One function's option, ready to be compared with an ``Origin``."""

    is_any: bool
    origins: frozenset[bytes]

    def allows(self, origin: bytes | None) -> bool:
        """Whether a page of this origin may call; ``null`` is an origin like others."""
        return origin is not None and (self.is_any or origin in self.origins)

    def headers(self, origin: bytes | None) -> Headers:
        """The headers of every answer; ``Vary`` tells caches where the answer depends on the origin."""
        if self.is_any:
            return [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-expose-headers", EXPOSE_HEADERS),
            ]
        if origin is None or origin not in self.origins:
            return [VARY]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSE_HEADERS),
            VARY,
        ]


def of_option(value: str | Sequence[str] | None) -> Cors | None:
    """The option ``cors`` as it was deployed; None where it admits no origin."""
    if not value:
        return None
    if value == ANY:
        return Cors(True, frozenset())
    return Cors(False, frozenset(origin.encode("ascii") for origin in value))


def origin_of(headers: Headers) -> bytes | None:
    """A request's ``Origin``; None for none, and for more than one."""
    # From here on the bytes are hostile.
    given = [value for name, value in headers if name == b"origin"]
    return given[0] if len(given) == 1 else None


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if it may call."""
    names = [name for name, _ in headers]
    return method == "OPTIONS" and b"origin" in names and _PREFLIGHT_METHOD in names


def preflight(headers: Headers) -> Headers:
    """What the answer to an admitted origin's preflight has beside the headers of every answer."""
    found: Headers = [
        (b"access-control-allow-methods", ", ".join(METHODS).encode()),
        (b"access-control-allow-headers", ALLOW_HEADERS),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
    ]
    # A public page calls a server in a private network: the function's author has admitted the page.
    if _PRIVATE_NETWORK in headers:
        found.append((b"access-control-allow-private-network", b"true"))
    return found


def dressed(answer: Headers, cors: Cors, method: str, request: Headers) -> Headers:
    """An answer's headers, with the platform's CORS headers in place of the function's own."""
    kept = [header for header in answer if not header[0].lower().startswith(_REPLACED)]
    ours = cors.headers(origin_of(request))
    return kept + ours + (preflight(request) if is_preflight(method, request) else [])
