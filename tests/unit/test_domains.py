"""Which origins the option ``cors`` takes, and how far the functions' domain is from the API."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from supervisor.domains import DOMAIN_MAX_CHARS, ORIGINS_MOST, judged
from supervisor.errors import ConfigurationError
from supervisor.function_options import Options
from supervisor.settings.validated import validated

API = "https://cellblock.example.com"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("*", "*"),
        (["*"], "*"),
        ([], []),
        ("", []),
        ("https://a.example", ["https://a.example"]),
        ("https://a.example, http://b.example:8080", ["https://a.example", "http://b.example:8080"]),
        (["HTTPS://A.Example"], ["https://a.example"]),
        # As browsers write them: they leave the scheme's own port out.
        (["https://a.example:443", "http://a.example:80"], ["https://a.example", "http://a.example"]),
        (["https://a.example:80"], ["https://a.example:80"]),
        (["https://a.example", "https://a.example"], ["https://a.example"]),
        (["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173"],
         ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173"]),
        (["null"], ["null"]),
        (["chrome-extension://abcdefghijklmnop"], ["chrome-extension://abcdefghijklmnop"]),
        (["https://xn--grn-ioa.example"], ["https://xn--grn-ioa.example"]),
    ],
)  # fmt: skip
def test_an_origin_is_kept_as_browsers_write_it(given: Any, kept: Any) -> None:
    assert Options(cors=given).named() == {"cors": kept}
    # What was stored and is read again is the same: the same deploy makes no new version.
    assert Options(cors=kept).named() == {"cors": kept}


@pytest.mark.parametrize(
    "given",
    [
        ["https://a.example/"], ["https://a.example/path"], ["https://a.example?q"], ["https://a.example#f"],
        ["https://u@a.example"], ["a.example"], ["//a.example"], ["https://"], ["https://a b"],
        ["https://*.example"], ["https://a.example:0"], ["https://a.example:65536"], ["https://a.example:x"],
        ["https://gr\xfcn.example"], ["https://a..example"], ["https://a.example\r\nX: y"], ["https://a.example\n"],
        [""], [1], [None], [["x"]],
        ["*", "https://a.example"], ["https://a.example", "*"], ["NULL"], "https://a.example,,",
        7, {"a": 1}, True,
        [f"https://{'a' * 300}.example"], [f"https://{number}.example" for number in range(ORIGINS_MOST + 1)],
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        Options(cors=given)


def test_a_refusal_says_how_an_origin_is_written() -> None:
    with pytest.raises(ValidationError, match=r"'a\.example/x' is no origin: write scheme://host"):
        Options(cors=["a.example/x"])


@pytest.mark.parametrize(
    ("domain", "api", "reach", "says"),
    [
        # Another registrable domain than the API's, or an address, which has none.
        ("fn.example.org", API, "site", "__Host-"),
        ("fn.example.org", "https://cellblock.example.org.", "shared", "one site, example.org"),
        ("fn.example.co.uk", "https://example.co.uk", "shared", "one site, example.co.uk"),
        ("a.co.uk", "https://b.co.uk", "site", "__Host-"),
        ("fn.example.com", API, "shared", "one site, example.com"),
        ("fn.cellblock.example.com", API, "shared", "one site, example.com"),
        ("FN.example.com".lower(), API.upper(), "shared", "one site, example.com"),
        ("fn.example.org", "http://10.0.0.1:8080", "site", "__Host-"),
        ("fn.example.org", "http://[::1]:8080", "site", "__Host-"),
        ("fn.corp", "http://api.corp", "site", "__Host-"),
        # On the list, or an unknown top: browsers take that for a suffix.
        ("github.io", "https://cellblock.github.com", "suffix", ""),
        ("localhost", "http://127.0.0.1:8080", "suffix", ""),
        ("functions", "http://api.functions.example", "suffix", ""),
        # Nobody can tell.
        ("fn.example.org", None, "shared", "set public_url"),
        (None, None, "shared", ""),
        (None, API, "shared", ""),
    ],
)
def test_pages_of_functions_are_let_out_of_the_sandbox_only_where_no_cookie_crosses(
    domain: str | None, api: str | None, reach: str, says: str
) -> None:
    found = judged(domain, api)
    assert found.reach == reach
    assert (says in found.warning) if says else not found.warning


@pytest.mark.parametrize(
    "api", ["https://fn.example.org", "https://api.fn.example.org:8443", "http://FN.EXAMPLE.ORG."]
)
def test_an_api_below_the_functions_domain_could_not_be_reached(api: str) -> None:
    with pytest.raises(ConfigurationError, match="functions_domain"):
        judged("fn.example.org", api)


@pytest.mark.parametrize("domain", ["0.1", "fn.example.7", "12"])
def test_below_a_number_browsers_see_no_host(domain: str) -> None:
    with pytest.raises(ConfigurationError, match="functions_domain"):
        judged(domain, API)


@pytest.mark.parametrize(
    "domain",
    ["Fn.example.org", ".example.org", "example.org.", "a..b", "-a.org", "a-.org", "a_b.org", "gr\xfcn.org",
     "*.org", "a.org:80", "https://a.org", "a b", "", "x" * 64 + ".org", ".".join(["abcdefghi"] * 13)],
)  # fmt: skip
def test_a_domain_that_no_function_can_have_a_host_below_is_refused(domain: str) -> None:
    assert len(".".join(["abcdefghi"] * 13)) > DOMAIN_MAX_CHARS
    with pytest.raises(ConfigurationError, match="functions_domain"):
        validated(None, {"functions_domain": domain})


@pytest.mark.parametrize(
    "url", ["cellblock.example.com", "ftp://a.example", "https://", "https://a.example/x", "https://u@a"]
)
def test_an_address_of_the_api_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        validated(None, {"public_url": url})
