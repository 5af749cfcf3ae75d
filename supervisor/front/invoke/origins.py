"""Whose origin a request is for: the one that functions share with the API, or a function's own.

Without ``functions_domain`` there is one origin.  With it ``NAME.SPACE.DOMAIN`` is a function's, every other
host below the domain is nobody's, and all further hosts are the API's, where functions have their
paths as before.  Names of functions and spaces are host labels as they are (``front.api.models.LABEL``): the
way from one to the other is to write them side by side, and back.
"""

from __future__ import annotations

import re

from supervisor.errors import PlatformError
from supervisor.front.outcome import cookies

Headers = list[tuple[bytes, bytes]]

INVOKE = re.compile(rb"/spaces/([^/]{1,300})/functions/([^/]{1,300})/invoke(/.*)?", re.DOTALL)
LABEL = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

NOSNIFF = (b"x-content-type-options", b"nosniff")
# Of a function's page: no origin of its own, so no storage, no cookies, no reading of what others answer.
SANDBOX = (b"content-security-policy", b"sandbox allow-scripts allow-forms allow-popups")
OF_SHARED: Headers = [NOSNIFF, SANDBOX]
OF_APART: Headers = [NOSNIFF]
# Of the API and of health: nobody frames, opens, embeds or sniffs them.  ``/docs`` has a policy of its own.
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


class Own:
    """A request to a function at its own host: what ``INVOKE``'s match is at the shared one."""

    __slots__ = ("_groups", "domain")

    def __init__(self, space: bytes, name: bytes, tail: bytes, domain: Domain) -> None:
        self._groups = (space, name, tail)
        self.domain = domain

    def groups(self) -> tuple[bytes, bytes, bytes]:
        """Space, name and the raw path."""
        return self._groups


Asked = re.Match[bytes] | Own


class Domain:
    """``functions_domain`` with how far it is from the API (``supervisor.domains.Reach``)."""

    def __init__(self, name: str, reach: str) -> None:
        self._name = name.encode("ascii")
        self._below = b"." + self._name
        # Else the browser sees one site, whose cookies cross: the sandbox stays.
        self.is_apart = reach != "shared"
        # Functions of different spaces can set cookies for each other by script, and only by script.
        self.is_one_site = reach == "site"

    def is_of(self, headers: Headers) -> bool:
        """Whether a request is for the domain or a host below it, a function's or nobody's."""
        host = _host_of(headers)
        return host == self._name or host.endswith(self._below)

    def recognise(self, raw_path: bytes, headers: Headers) -> Asked | None:
        """The function that a request is for, at its own host or at its path; None for all else."""
        host = _host_of(headers)
        if not host.endswith(self._below):
            return None if host == self._name else INVOKE.fullmatch(raw_path)
        labels = host[: -len(self._below)].split(b".")
        if len(labels) != 2 or not all(map(LABEL.fullmatch, labels)) or not raw_path.startswith(b"/"):
            return None
        name, space = labels
        return Own(space, name, raw_path, self)


# The server's, None without the setting: what a call without it pays for all this is one comparison.
served: Domain | None = None


def serve(domain: str | None, reach: str) -> None:
    """From now on there are functions below this domain."""
    global served
    served = Domain(domain, reach) if domain is not None else None


def recognise(raw_path: bytes, headers: Headers) -> Asked | None:
    """The function that a request is for; None for one to anything else."""
    return INVOKE.fullmatch(raw_path) if served is None else served.recognise(raw_path, headers)


def _host_of(headers: Headers) -> bytes:
    """Host without its port, its case and the dot of a complete name; one that is none is nobody's."""
    # From here on the bytes are hostile.
    host = next((value for name, value in headers if name == b"host"), b"")
    return host.partition(b":")[0].strip().lower().removesuffix(b".")


def nobody() -> PlatformError:
    """The 404 of everything below the functions' domain that is no function."""
    return PlatformError(
        404, "there is nothing here: below this domain are functions only, at NAME.SPACE and the domain"
    )


def headers_for(asked: Asked) -> Headers:
    """What every answer on a function's way carries, the function's own and the platform's."""
    return OF_APART if type(asked) is Own and asked.domain.is_apart else OF_SHARED


def scoped(headers: Headers, asked: Asked) -> Headers:
    """A function's headers as far as its own origin, or its own path, reaches (``answer_headers.SCOPED``)."""
    taken: Headers = []
    is_shared = type(asked) is not Own
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"set-cookie":
            space, function, _ = asked.groups()
            path = b"/spaces/%b/functions/%b/invoke" % (space, function) if is_shared else None
            cookie = cookies.kept_to(path, value)
            if cookie is not None:
                taken.append((name, cookie))
        elif lowered == b"www-authenticate" and is_shared and _asks(value):
            continue
        else:
            taken.append((name, value))
    return taken


def _asks(challenge: bytes) -> bool:
    """Whether it may make a browser ask for a password."""
    # Not every browser knows escapes in quotes: where there are some, nothing counts as quoted.
    return _ASKING.search(challenge if b"\\" in challenge else _QUOTED.sub(b"", challenge)) is not None


def refuse_worker(asked: Asked) -> None:
    """PlatformError 403 for a service worker's script where functions share the origin."""
    if type(asked) is not Own:
        raise PlatformError(
            403,
            "a service worker's script is not served here: it would answer for all of this origin, "
            "which functions "
            "share; functions have origins of their own where the operator sets functions_domain",
            {"header": "Service-Worker"},
        )


def cookie_for(asked: Asked, cookie: str) -> str | None:
    """Of a request's ``Cookie`` header what its function may believe to be its own; None if nothing is."""
    if type(asked) is not Own or not asked.domain.is_one_site:
        return cookie
    return cookies.unforged(cookie) or None
