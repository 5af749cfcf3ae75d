"""Which headers of a function's answer reach its caller: a table with a reason on each line.  Pure.

A function may send any header that acts on its own answer only.  A header that acts on the whole origin, on
the connection, or on a proxy in between is dropped, or cut to the function's own part.  A header that is not
in the table is kept.  docs/browsers.md is written from here.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip


class Fate(enum.Enum):
    """What is done with a header."""

    DROP = "dropped"
    SCOPE = "scoped"
    KEEP = "kept"


class HeaderRule(NamedTuple):
    """``names`` are in lower case; one that ends in ``*`` is a prefix."""

    fate: Fate
    names: tuple[str, ...]
    why: str


# From here on the bytes are hostile: a tenant chooses the names that are compared with these.
TABLE = (
    HeaderRule(Fate.DROP, tuple(sorted(HOP_BY_HOP)), "is about the connection, which is the platform's"),
    HeaderRule(
        Fate.DROP, ("content-length",), "says where the answer ends, which the platform says of what it sends"
    ),
    HeaderRule(
        Fate.DROP,
        (
            "x-call-id",
            "x-invoked",
            "x-duration-seconds",
            "x-function-version",
            "server-timing",
            "x-cellblock-*",
        ),
        "is the platform's own word",
    ),
    HeaderRule(
        Fate.DROP, ("server", "date", "via", "x-served-by"), "says who answered, which the platform knows"
    ),
    HeaderRule(
        Fate.DROP, ("x-content-type-options",), "is the platform's: each answer of a function has `nosniff`"
    ),
    HeaderRule(
        Fate.SCOPE,
        ("set-cookie",),
        "without `Domain`; where the origin is shared, with the function's own path as `Path`, else "
        "every other function would get it",
    ),
    HeaderRule(Fate.DROP, ("set-cookie2",), "is a cookie to browsers that nobody scopes"),
    HeaderRule(
        Fate.SCOPE,
        ("www-authenticate",),
        "where the origin is shared, without schemes that make a browser ask for a password: it "
        "would send it to other functions too",
    ),
    HeaderRule(
        Fate.DROP,
        ("authentication-info", "optional-www-authenticate"),
        "goes on with a sign-in of the origin",
    ),
    HeaderRule(
        Fate.DROP, ("service-worker-allowed",), "lets a script answer for paths that are not the function's"
    ),
    HeaderRule(
        Fate.DROP, ("clear-site-data",), "deletes what others keep in the browser, cookies of the domain too"
    ),
    HeaderRule(
        Fate.DROP, ("strict-transport-security",), "holds for the host, and for hosts below it, for months"
    ),
    HeaderRule(
        Fate.DROP,
        ("public-key-pins", "public-key-pins-report-only", "expect-ct", "expect-staple"),
        "is about the host's certificate, and holds for months",
    ),
    HeaderRule(Fate.DROP, ("alt-svc", "alt-used"), "sends the origin's later requests to another server"),
    HeaderRule(
        Fate.DROP,
        ("nel", "report-to", "reporting-endpoints"),
        "has the browser report requests of the whole origin to a server of the function's choice",
    ),
    HeaderRule(
        Fate.DROP, ("origin-agent-cluster",), "is settled for an origin by its first page that is opened"
    ),
    HeaderRule(
        Fate.DROP,
        ("accept-ch", "accept-ch-lifetime", "critical-ch"),
        "has the browser send more about its user to the whole origin",
    ),
    HeaderRule(
        Fate.DROP,
        ("use-as-dictionary",),
        "is used for answers of other paths, and named in requests for them",
    ),
    HeaderRule(
        Fate.DROP,
        ("set-login", "activate-storage-access", "sec-session-*", "secure-session-*"),
        "speaks of who is signed in at the origin",
    ),
    HeaderRule(
        Fate.DROP,
        ("observe-browsing-topics", "attribution-reporting-*", "shared-storage-*", "ad-auction-*"),
        "has the browser keep for the whole origin what its user does",
    ),
    HeaderRule(
        Fate.DROP,
        ("x-accel-*", "x-sendfile*", "x-send-file", "x-lighttpd-*", "x-litespeed-*", "x-reproxy-*"),
        "has a proxy send a file of its host or fetch an address in its network, or empty its cache",
    ),
    HeaderRule(
        Fate.DROP,
        ("surrogate-*", "cdn-*", "cloudflare-cdn-*", "edge-*", "cache-tag", "x-varnish*", "xkey"),
        "instructs a cache in between, whose keys and tags all functions share",
    ),
    HeaderRule(
        Fate.DROP,
        ("forwarded", "x-forwarded-*", "x-real-ip", "x-original-*", "x-rewrite-*", "x-envoy-*"),
        "is a word between proxies, some of which obey it in answers",
    ),
    HeaderRule(
        Fate.KEEP,
        ("content-security-policy", "content-security-policy-report-only"),
        "can only forbid more: a browser obeys every policy, and the platform's `sandbox` is one of "
        "its own beside it",
    ),
    HeaderRule(
        Fate.KEEP,
        ("access-control-*",),
        "lets other origins read this answer, and no other; with option `cors` the platform's replace them",
    ),
    HeaderRule(
        Fate.KEEP,
        ("permissions-policy", "feature-policy", "document-policy", "referrer-policy", "x-frame-options"),
        "holds for this page and what it frames",
    ),
    HeaderRule(
        Fate.KEEP,
        (
            "cross-origin-embedder-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "document-isolation-policy",
            "integrity-policy",
            "supports-loading-mode",
        ),
        "shuts this page or this answer off further",
    ),
    HeaderRule(
        Fate.KEEP,
        ("refresh", "location", "link", "speculation-rules"),
        "leads to addresses that a link of this page could lead to",
    ),
    HeaderRule(Fate.KEEP, ("sourcemap", "timing-allow-origin", "x-robots-tag"), "is about this answer alone"),
)
# Proxies read a `_` as a `-`, so one rule covers all such names.
UNDERSCORE = HeaderRule(
    Fate.DROP,
    ("any name with _",),
    "is another name to proxies, which read `-` for `_`: it would go round this table",
)


def _named(fate: Fate) -> frozenset[str]:
    return frozenset(name for rule in TABLE if rule.fate is fate for name in rule.names if name[-1] != "*")


DROPPED, SCOPED = _named(Fate.DROP), _named(Fate.SCOPE)
DROPPED_PREFIXES = tuple(
    name[:-1] for rule in TABLE if rule.fate is Fate.DROP for name in rule.names if name[-1] == "*"
)


def fate_of(lowered: str) -> Fate:
    """What is done with a header; ``lowered`` is its name in lower case."""
    if "_" in lowered or lowered in DROPPED or lowered.startswith(DROPPED_PREFIXES):
        return Fate.DROP
    return Fate.SCOPE if lowered in SCOPED else Fate.KEEP


def page_rows() -> list[str]:
    """The table of docs/browsers.md."""
    return [
        f"| {', '.join(f'`{_spelt(name)}`' for name in rule.names)} | {rule.fate.value} | {rule.why} |"
        for rule in (*TABLE, UNDERSCORE)
    ]


def _spelt(name: str) -> str:
    """As RFCs write it: ``Set-Cookie``."""
    return name if " " in name else "-".join(part[:1].upper() + part[1:] for part in name.split("-"))
