"""Whose origin a request is for, by its path and its Host alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import PlatformError
from supervisor.front.invoke import origins
from supervisor.front.invoke.origins import Asked, Domain
from supervisor.front.invoke.request import parse
from supervisor.front.outcome.answers import Answer, Unscoped, function_headers
from supervisor.front.outcome.browser_headers import NOSNIFF, SANDBOX, scoped

DOMAIN = Domain("fn.example.org", "suffix")
AT_THE_API = b"/spaces/s/functions/f/invoke/x"
SHARED = Asked(b"s", b"f", b"/x")
OWN = Asked(b"s", b"f", b"/x", DOMAIN)


def parts(found: Asked | None) -> tuple[str, str, bytes | None] | None:
    """Space, name and path of what is asked for; None for no function."""
    return None if found is None else (found.space, found.name, found.tail)


def of(host: bytes, path: bytes = b"/x?") -> tuple[str, str, bytes | None] | None:
    """What a request to this host asks for."""
    return parts(DOMAIN.recognise(path.partition(b"?")[0], [(b"accept", b"*"), (b"host", host)]))


@pytest.mark.parametrize(
    "host",
    [b"f.s.fn.example.org", b"F.S.FN.Example.ORG", b"f.s.fn.example.org:8443", b"f.s.fn.example.org.",
     b"f.s.fn.example.org.:80", b" f.s.fn.example.org"],
)  # fmt: skip
def test_a_host_of_two_labels_before_the_domain_is_a_functions(host: bytes) -> None:
    assert of(host) == ("s", "f", b"/x")
    # All that is there is its own, the API's paths too.
    assert of(host, AT_THE_API) == ("s", "f", AT_THE_API)
    assert of(host, b"/healthz") == ("s", "f", b"/healthz")


@pytest.mark.parametrize(
    "host",
    [b"fn.example.org", b"fn.example.org.", b"FN.example.org:80", b".fn.example.org", b"s.fn.example.org",
     b"a.f.s.fn.example.org", b"..fn.example.org", b"f..fn.example.org", b".s.fn.example.org",
     b"f_1.s.fn.example.org", b"-f.s.fn.example.org", b"f-.s.fn.example.org", b"f.s\xff.fn.example.org",
     b"f@s.fn.example.org", b"f.s .fn.example.org", b"*.s.fn.example.org", b"f%2e.s.fn.example.org",
     b"x" * 64 + b".s.fn.example.org", b"f.s.fn.example.org.."[:-1] + b"fn.example.org"],
)  # fmt: skip
@pytest.mark.parametrize("path", [b"/x", AT_THE_API, b"/healthz", b"/docs"])
def test_every_other_host_of_the_domain_is_nobodys(host: bytes, path: bytes) -> None:
    assert of(host, path) is None
    assert DOMAIN.is_of([(b"host", host)])


@pytest.mark.parametrize(
    "host",
    [b"", b"example.org", b"cellblock.example.com", b"127.0.0.1:8080", b"[::1]:8080", b"xfn.example.org",
     b"f.s.fn.example.org.evil.com", b"fn.example.org.evil.com", b"f.s.fn.example.orgs",
     b"f.s.fn,example.org"],
)  # fmt: skip
def test_every_host_outside_the_domain_is_the_apis(host: bytes) -> None:
    assert of(host, b"/x") is None
    assert of(host, AT_THE_API) == ("s", "f", b"/x")
    assert not DOMAIN.is_of([(b"host", host)])


@pytest.mark.parametrize("path", [b"*", b"http://f.s.fn.example.org/x", b"", b"x"])
def test_what_is_no_path_is_no_functions(path: bytes) -> None:
    assert of(b"f.s.fn.example.org", path) is None


@pytest.mark.parametrize(
    ("written", "name", "qualifier"),
    [
        (b"f", "f", ""),
        (b"f@prod", "f", "prod"),
        (b"f@7", "f", "7"),
        (b"f%40prod", "f", "prod"),
        (b"f@", "f", "@"),
        (b"f%40", "f", "@"),
        (b"f@a@b", "f", "a@b"),
        (b"f%40a%40b", "f", "a%40b"),
        (b"@prod", "", "prod"),
        (b"f%41", "f%41", ""),
        (b"f%2540prod", "f%2540prod", ""),
    ],
)
def test_what_follows_the_at_names_a_version(written: bytes, name: str, qualifier: str) -> None:
    found = origins.recognise_path(b"/spaces/s/functions/%s/invoke/x" % written, [])
    assert found is not None and (found.name, found.qualifier, found.tail) == (name, qualifier, b"/x")
    # Cookies are for the address as the browser has it.
    assert found.cookie_path == b"/spaces/s/functions/%s/invoke" % written


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(labels, labels)
def test_every_name_has_a_host_and_every_host_its_name(name: str, space: str) -> None:
    assert of(f"{name}.{space}.fn.example.org".encode()) == (space, name, b"/x")


def test_without_the_setting_a_host_means_nothing() -> None:
    found = origins.recognise_path(AT_THE_API, [(b"host", b"f.s.fn.example.org")])
    assert parts(found) == ("s", "f", b"/x")
    assert origins.recognise_path(b"/x", [(b"host", b"f.s.fn.example.org")]) is None


@pytest.mark.parametrize(
    ("asked", "has_sandbox"),
    [
        (SHARED, True),
        (OWN, False),
        (Asked(b"s", b"f", b"/", Domain("fn.example.org", "site")), False),
        (Asked(b"s", b"f", b"/", Domain("fn.example.org", "shared")), True),
    ],
)
def test_the_sandbox_goes_only_where_the_origin_is_the_functions_own(asked: Asked, has_sandbox: bool) -> None:
    headers = Answer(200, function_headers((("Content-Security-Policy", "default-src *"),))).complete(
        [], asked
    )
    assert (SANDBOX in headers) == has_sandbox
    assert headers.count(NOSNIFF) == 1
    assert (b"Content-Security-Policy", b"default-src *") in headers  # both count in a browser


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ('Bearer realm="x", error="invalid_token"', True),
        ('DPoP algs="ES256"', True),
        ('Bearer error_description="not Basic"', True),
        ('Basic realm="x"', False),
        ("bAsIc", False),
        ('Bearer realm="x", Basic realm="y"', False),
        ('Digest realm="x", nonce="y"', False),
        ("Negotiate", False),
        ("NTLM", False),
        ('Bearer realm="x\\", Basic realm="y"', False),  # a quote that never ends
    ],
)
def test_no_function_of_a_shared_origin_makes_a_browser_ask_for_a_password(value: str, is_kept: bool) -> None:
    sent = function_headers((("WWW-Authenticate", value), ("X-A", "b")))
    kept = [(b"WWW-Authenticate", value.encode())]
    assert scoped(sent, SHARED.cookie_path) == (kept if is_kept else []) + [(b"X-A", b"b")]
    assert scoped(sent, OWN.cookie_path) == [*kept, (b"X-A", b"b")]


def test_headers_that_reach_further_are_marked_until_they_are_cut() -> None:
    sent = function_headers((("set-cookie", "a=1; Domain=example.org"), ("X-A", "b")))
    assert type(sent) is Unscoped
    assert type(function_headers((("X-A", "b"),))) is list
    assert Answer(200, sent).complete([], SHARED)[0] == (
        b"set-cookie",
        b"a=1; Path=/spaces/s/functions/f/invoke",
    )
    assert Answer(200, sent).complete([], OWN)[0] == (b"set-cookie", b"a=1")


class Request:
    """A request, and what is found in it."""

    path: str
    query: str
    event_headers: list[tuple[str, str]]
    authorization: bytes | None
    timeout: str | None
    content_length: int | None
    has_body: bool

    def __init__(self, asked: Asked, *headers: tuple[bytes, bytes]) -> None:
        self.asked, self.headers = asked, list(headers)
        self.method, self.query_string = "GET", b""


def passed(asked: Asked, *headers: tuple[bytes, bytes]) -> list[tuple[str, str]]:
    """The headers of a request that its function gets."""
    request = Request(asked, *headers)
    parse(request)
    return request.event_headers


def test_the_script_of_a_service_worker_is_served_at_a_host_of_the_functions_own_only() -> None:
    with pytest.raises(PlatformError, match="service worker") as refused:
        passed(SHARED, (b"service-worker", b"script"))
    assert refused.value.status == 403
    assert passed(OWN, (b"service-worker", b"script")) == [("service-worker", "script")]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (SHARED, [("cookie", "a=1; __Host-b=2"), ("accept", "*")]),
        (OWN, [("cookie", "a=1; __Host-b=2"), ("accept", "*")]),
        (Asked(b"s", b"f", b"/", Domain("d", "site")), [("cookie", "__Host-b=2"), ("accept", "*")]),
    ],
)
def test_where_hosts_of_functions_are_one_site_only_what_none_can_forge_is_passed_on(
    asked: Asked, kept: list[tuple[str, str]]
) -> None:
    assert passed(asked, (b"cookie", b"a=1; __Host-b=2"), (b"accept", b"*")) == kept
