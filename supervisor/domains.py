"""Names of hosts as browsers see them: origins, and which hosts are one site.

Browsers let the hosts of one registrable domain (``example.org`` for ``a.fn.example.org``) set cookies for
each other.  The public-suffix list says where a registrable domain begins; ``publicsuffixlist`` brings it.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from supervisor.errors import ConfigurationError, shown

# How far the functions' domain is from the API.  ``shared``: they share a site or may do so, and pages of
# functions stay sandboxed.  ``site``: apart from the API, but all functions are one site.  ``suffix``: each
# space is a site of its own.
Reach = Literal["shared", "site", "suffix"]

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
# A whole name has at most 253 characters; a function's has two labels of 63 and two dots before the domain.
DOMAIN_MAX_CHARS = 253 - 2 * 64

ORIGINS_MOST = 50
ORIGIN_MAX_CHARS = 300
# Browsers' extensions and applications in web views have schemes of their own.
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30})://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Judgement(NamedTuple):
    """How far the functions' domain is from the API, and a warning for the operator or ""."""

    reach: Reach
    warning: str


def judged(functions_domain: str | None, public_url: str | None) -> Judgement:
    """How far the functions' domain is from the API.

    ConfigurationError for a domain that browsers take for an address, or that hides the API.
    """
    if functions_domain is None:
        return Judgement("shared", "")
    if functions_domain.rpartition(".")[2].isdigit():
        raise ConfigurationError(
            f"cannot use setting functions_domain {shown(functions_domain)}: browsers take a name that ends "
            "in a number for an address; choose another domain"
        )
    if public_url is None:
        return Judgement(
            "shared",
            "functions_domain is set and public_url is not, so nobody can tell whether cookies cross from "
            "one to the other: pages of functions stay sandboxed; set public_url",
        )
    # Imported here and below, because they cost a start some ms and most servers lack the setting.
    from urllib.parse import urlsplit

    host = (urlsplit(public_url.lower()).hostname or "").removesuffix(".")
    if host == functions_domain or host.endswith("." + functions_domain):
        raise ConfigurationError(
            f"cannot use setting functions_domain {shown(functions_domain)}: the API's own host, "
            f"{shown(host)} in public_url, is below it, where there are functions only; choose another domain"
        )
    from publicsuffixlist import PublicSuffixList

    suffixes = PublicSuffixList()
    if suffixes.is_public(functions_domain):
        return Judgement("suffix", "")
    site = suffixes.privatesuffix(functions_domain)
    if not _is_address(host) and suffixes.privatesuffix(host) == site:
        return Judgement(
            "shared",
            f"functions_domain {functions_domain} and the API's host {host} are one site, {site}, so "
            "cookies cross: pages of functions stay sandboxed; choose a domain of its own, or have it put on "
            "the public-suffix list",
        )
    return Judgement(
        "site",
        f"functions_domain {functions_domain} is not on the public-suffix list: a page of one "
        f"function can set cookies for all below {site}, so only cookies named "
        "__Host-… reach functions",
    )


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def origins(value: Any) -> Any:
    """The option ``cors`` as it is kept: ``*`` or origins as browsers write them.  ValueError."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value.strip() else []
    if not isinstance(value, list | tuple):
        return value  # pydantic refuses its type
    if len(value) > ORIGINS_MOST:
        raise ValueError(f"it has {len(value)} origins; at most {ORIGINS_MOST}")
    if list(value) == ["*"]:
        return "*"
    return list(dict.fromkeys(map(_origin, value)))


def _origin(value: Any) -> str:
    if value == "null":  # sandboxed pages and files send it: they have no origin
        return "null"
    if value == "*":
        raise ValueError("* stands alone: it admits all")
    found = _ORIGIN.fullmatch(value.lower()) if isinstance(value, str) and value.isascii() else None
    if found is None or len(value) > ORIGIN_MAX_CHARS or int(found["port"] or 0) > 65_535:
        raise ValueError(
            f"{shown(value)} is no origin: write scheme://host or scheme://host:port with nothing after it, "
            "a host beyond ASCII in its xn-- form, null for pages without an origin, or * alone for all"
        )
    # Browsers leave out the default port of the scheme.
    port = found["port"] if found["port"] != _DEFAULT_PORTS.get(found["scheme"]) else None
    return f"{found['scheme']}://{found['host']}" + (f":{port}" if port else "")
