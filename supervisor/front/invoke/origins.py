"""The function that a request is for, and the origin that its answer belongs to in a browser.

Without ``functions_domain`` there is one origin, which all functions share with the API.  With it
``NAME.SPACE.DOMAIN`` is a function's own origin, every other host below the domain is nobody's, and all
further hosts are the API's, where functions have their paths as before.  Names of functions and spaces are
host labels as they are (``front.api.schemas.LABEL``), so a name needs no encoding in a host.

In a path ``NAME@ALIAS`` and ``NAME@7`` name a version.  A host names none: what follows a name there would
have to be part of its label, which has 63 characters in all and may hold any name already.
"""

from __future__ import annotations

import re

from supervisor.errors import PlatformError
from supervisor.front.outcome import cookies
from supervisor.front.outcome.browser_headers import OF_APART, OF_SHARED, Headers

INVOKE = re.compile(rb"/spaces/([^/]{1,300})/functions/([^/]{1,300})/invoke(/.*)?", re.DOTALL)
LABEL = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Asked:
    """The function that a request is for; ``domain`` is None at the origin that all functions share.

    ``called`` is its name as it was written.  ``qualifier`` is what that has after the ``@``: an alias or the
    number of a version; "" asks for the active one.  ``tail`` is the raw path as the function sees it, or
    None.
    """

    __slots__ = ("called", "domain", "name", "qualifier", "space", "tail")

    def __init__(self, space: bytes, name: bytes, tail: bytes | None, domain: Domain | None = None) -> None:
        self.space = space.decode("latin-1")
        self.name = self.called = called = name.decode("latin-1")
        self.qualifier = ""
        if "@" in called or "%" in called:  # of text: in bytes the two looks would take five times as long
            self.name, mark, qualifier = called.replace("%40", "@", 1).partition("@")
            self.qualifier = qualifier or mark  # of ``NAME@``: no alias is called so
        self.tail = tail
        self.domain = domain

    @property
    def browser_headers(self) -> Headers:
        """The headers that every answer from this address carries, the function's and the platform's."""
        return OF_SHARED if self.domain is None else self.domain.browser_headers

    @property
    def cookie_path(self) -> bytes | None:
        """The path that the function's cookies are kept to; None at an origin of its own."""
        if self.domain is not None:
            return None
        return f"/spaces/{self.space}/functions/{self.called}/invoke".encode("latin-1")

    def trusted_cookies(self, cookie: str) -> str | None:
        """The part of a ``Cookie`` header that the function may take for its own; None for no part."""
        if self.domain is None or not self.domain.is_one_site:
            return cookie
        return cookies.unforged(cookie) or None

    def refuse_service_worker(self) -> None:
        """PlatformError 403 for a service worker's script at the shared origin."""
        if self.domain is None:
            raise PlatformError(
                403,
                "a service worker's script is not served here: it would answer for all of this origin, "
                "which functions "
                "share; functions have origins of their own where the operator sets functions_domain",
                {"header": "Service-Worker"},
            )


class Domain:
    """``functions_domain``, and how far it is from the API (``supervisor.domains.Reach``)."""

    def __init__(self, name: str, reach: str) -> None:
        self._name = name.encode("ascii")
        self._below = b"." + self._name
        # With reach "shared" a browser takes both for one site, whose cookies cross: the sandbox stays.
        self.browser_headers = OF_APART if reach != "shared" else OF_SHARED
        # With reach "site" functions of different spaces can set each other's cookies, but only by script.
        self.is_one_site = reach == "site"

    def is_of(self, headers: Headers) -> bool:
        """Whether a request is for the domain or any host below it."""
        host = _host_of(headers)
        return host == self._name or host.endswith(self._below)

    def recognise(self, raw_path: bytes, headers: Headers) -> Asked | None:
        """The function that a request names by its host or by its path; None for any other request."""
        host = _host_of(headers)
        if not host.endswith(self._below):
            return None if host == self._name else recognise_path(raw_path, headers)
        labels = host[: -len(self._below)].split(b".")
        if len(labels) != 2 or not all(map(LABEL.fullmatch, labels)) or not raw_path.startswith(b"/"):
            return None
        name, space = labels
        return Asked(space, name, raw_path, self)


def recognise_path(raw_path: bytes, _headers: Headers) -> Asked | None:
    """The function that a request names by its path; the whole rule of a server without a domain."""
    match = INVOKE.fullmatch(raw_path)
    return None if match is None else Asked(match[1], match[2], match[3])


def _host_of(headers: Headers) -> bytes:
    """The ``Host`` in lower case, without its port and a final dot; b"" if there is none."""
    # From here on the bytes are hostile.
    host = next((value for name, value in headers if name == b"host"), b"")
    return host.partition(b":")[0].strip().lower().removesuffix(b".")


def nobody() -> PlatformError:
    """The 404 of every host below the functions' domain that names no function."""
    return PlatformError(
        404, "there is nothing here: below this domain are functions only, at NAME.SPACE and the domain"
    )
