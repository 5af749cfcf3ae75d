"""Cookies of functions: whose each may be, in answers and in requests.  Pure.

A browser sends a cookie to every host and path that its attributes name, and hosts of one domain can set
cookies for each other: that is no boundary between tenants, so here it is made one.
"""

from __future__ import annotations

# Cookies of these names are for the whole host (RFC 6265bis, 4.1.3): none has a path of its own.
OF_THE_HOST = (b"__host-", b"__http-", b"__host-http-")
# What a browser takes under this name, letter by letter, no other host can have set.
UNFORGED = "__Host-"


def kept_to(path: bytes | None, cookie: bytes) -> bytes | None:
    """A ``Set-Cookie`` value for its own host alone, and below ``path`` alone where there is one.

    None for a cookie that cannot be so: it is for the whole host by its name.
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
                # The last one counts, as in a browser; one of the function's own is the author's to choose.
                given = value.strip()
                wanted = given if given.startswith(path + b"/") else path
            case _:
                kept.append(attribute)
    if wanted is not None:
        kept.append(b" Path=" + wanted)
    return b";".join(kept)


def unforged(cookie: str) -> str:
    """Of a ``Cookie`` header what no other host of the domain can have set; "" if that is nothing."""
    kept = [each for each in cookie.split(";") if each.strip().startswith(UNFORGED)]
    return ";".join(kept).strip()
