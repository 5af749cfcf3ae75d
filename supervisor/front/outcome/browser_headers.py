"""The headers by which browsers keep functions, the API and each other apart.  Pure."""

from __future__ import annotations

import re

from supervisor.front.outcome import cookies

Headers = list[tuple[bytes, bytes]]

NOSNIFF = (b"x-content-type-options", b"nosniff")
# Gives a function's page no origin: it has no storage and no cookies, and reads no answers of others.
SANDBOX = (b"content-security-policy", b"sandbox allow-scripts allow-forms allow-popups")
# On answers of a function at the shared origin, and at an origin of its own.
OF_SHARED: Headers = [NOSNIFF, SANDBOX]
OF_APART: Headers = [NOSNIFF]
# On answers of the API and of health: no page frames, opens, embeds or sniffs them.  ``/docs`` has its own.
CSP_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
OF_THE_SERVER: Headers = [
    NOSNIFF,
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
OF_HEALTH: Headers = [*OF_THE_SERVER, CSP_NOTHING]
# Schemes that make a browser ask its user for a password, or send the one of its host.
_ASKING = re.compile(rb"\b(?:basic|digest|negotiate|ntlm|nego2|kerberos)\b", re.IGNORECASE)
_QUOTED = re.compile(rb'"[^"]*"')


def scoped(headers: Headers, cookie_path: bytes | None) -> Headers:
    """A function's headers, cut to what reaches its own origin only (``header_policy.SCOPED``).

    ``cookie_path`` is the function's path at the shared origin, None at an origin of its own.
    """
    taken: Headers = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"set-cookie":
            cookie = cookies.kept_to(cookie_path, value)
            if cookie is not None:
                taken.append((name, cookie))
        elif lowered == b"www-authenticate" and cookie_path is not None and _asks(value):
            continue
        else:
            taken.append((name, value))
    return taken


def _asks(challenge: bytes) -> bool:
    """Whether a challenge may make a browser ask for a password."""
    # Not every browser knows escapes in quotes: where there are some, nothing counts as quoted.
    return _ASKING.search(challenge if b"\\" in challenge else _QUOTED.sub(b"", challenge)) is not None
