"""Keeps each function's cookies to that function, in answers and in requests.  Pure.

A browser sends a cookie to every host and path that its attributes name, and hosts of one domain can set
cookies for each other.  So browsers keep no boundary between tenants, and this module makes one.
"""

from __future__ import annotations

# Cookies with these prefixes are for the whole host (RFC 6265bis, 4.1.3) and can have no path of their own.
OF_THE_HOST = (b"__host-", b"__http-", b"__host-http-")
# No other host can have set a cookie with this prefix, in exactly these letters.
UNFORGED = "__Host-"


def kept_to(path: bytes | None, cookie: bytes) -> bytes | None:
    """A ``Set-Cookie`` value, cut to its own host, and to ``path`` and below if that is given.

    None for a cookie that cannot be cut: by its name it is for the whole host.
    """
    # From here on the bytes are hostile.
    pair, *attributes = cookie.split(b";")
    if path is not None and pair.lstrip(b" \t=").lower().startswith(OF_THE_HOST):
        return None
    wanted = path
    kept = [pair]
    for attribute in attributes:
        name, _, value = attribute.partition(b"=")
        match name.strip().lower():
            case b"domain":
                continue
            case b"path" if path is not None:
                # The last one counts, as in a browser.  An author may choose any path below the function's.
                given = value.strip()
                wanted = given if given.startswith(path + b"/") else path
            case _:
                kept.append(attribute)
    if wanted is not None:
        kept.append(b" Path=" + wanted)
    return b";".join(kept)


def unforged(cookie: str) -> str:
    """The cookies of a ``Cookie`` header that no other host of the domain can have set; perhaps ""."""
    kept = [each for each in cookie.split(";") if each.strip().startswith(UNFORGED)]
    return ";".join(kept).strip()
