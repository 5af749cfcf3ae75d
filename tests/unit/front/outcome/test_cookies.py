"""Whose a function's cookies are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.outcome.cookies import kept_to, unforged

PATH = b"/spaces/s/functions/f/invoke"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a=1", b"a=1; Path=" + PATH),
        (b"a=1; Path=/", b"a=1; Path=" + PATH),
        (b"a=1;path = / ;Secure; HttpOnly", b"a=1;Secure; HttpOnly; Path=" + PATH),
        (b"a=1; PATH=/; Path=/docs; pAtH=/spaces", b"a=1; Path=" + PATH),
        (b"a=1; Path=" + PATH + b"/admin", b"a=1; Path=" + PATH + b"/admin"),
        # The last one counts, as in a browser.
        (b"a=1; Path=" + PATH + b"/admin; Path=/", b"a=1; Path=" + PATH),
        (b"a=1; Path=" + PATH + b"2", b"a=1; Path=" + PATH),
        (b"a=1; Path=" + PATH + b"/", b"a=1; Path=" + PATH + b"/"),
        (b"a=1; Path", b"a=1; Path=" + PATH),
        (b"a=1; Domain=example.org; SameSite=Lax", b"a=1; SameSite=Lax; Path=" + PATH),
        (b"a=1;\tdomain\t=.example.org;DOMAIN=x; Domain", b"a=1; Path=" + PATH),
        (b"a=1; Expires=Wed, 09 Jun 2030 10:18:14 GMT; Max-Age=5",
         b"a=1; Expires=Wed, 09 Jun 2030 10:18:14 GMT; Max-Age=5; Path=" + PATH),
        # Only what comes behind the pair is an attribute.
        (b"Path=/", b"Path=/; Path=" + PATH),
        (b"Domain=x; Path=/", b"Domain=x; Path=" + PATH),
        (b"", b"; Path=" + PATH),
        (b"__Secure-a=1; Secure; Path=/", b"__Secure-a=1; Secure; Path=" + PATH),
        # For the whole host by name: a browser takes them with Path=/ only, in any case of letters.
        (b"__Host-a=1; Secure; Path=/", None),
        (b" __hOsT-a=1; Secure; Path=/", None),
        (b"__Http-a=1; Secure; HttpOnly", None),
        (b"__Host-Http-a=1; Secure; HttpOnly; Path=/", None),
        # Without a name browsers send the value, which then looks like one.
        (b"=__Host-a=1; Secure; Path=/", None),
        (b" = __Host-a=1", None),
        (b"__Host-a", None),
    ],
)  # fmt: skip
def test_where_the_origin_is_shared_a_cookie_is_its_functions_path_only(
    sent: bytes, kept: bytes | None
) -> None:
    assert kept_to(PATH, sent) == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a=1; Path=/; Domain=example.org", b"a=1; Path=/"),
        (b"a=1; domain=.fn.example.org; Secure", b"a=1; Secure"),
        (b"__Host-a=1; Secure; Path=/", b"__Host-a=1; Secure; Path=/"),
        (b"a=1", b"a=1"),
    ],
)
def test_at_a_host_of_its_own_a_cookie_is_that_hosts(sent: bytes, kept: bytes) -> None:
    assert kept_to(None, sent) == kept


def as_a_browser_reads(cookie: bytes) -> dict[bytes, bytes]:
    """The attributes that count (RFC 6265, 5.2), names in lower case."""
    _, *attributes = cookie.split(b";")
    found = {}
    for attribute in attributes:
        name, _, value = attribute.partition(b"=")
        found[name.strip(b" \t").lower()] = value.strip(b" \t")
    return found


pieces = st.sampled_from(
    [b"; ", b";", b"=", b" ", b"\t", b"Path", b"path=/", b"Domain", b"domain=x.org",
     b"/spaces/s/functions/f/invoke", b"/x", b",", b'"', b"\xa0", b"a=1", b"__Host-"]
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=500, database=None)
@given(st.lists(pieces | st.binary(max_size=3), max_size=12).map(b"".join), st.sampled_from([PATH, None]))
def test_whatever_a_function_sends_no_browser_gives_it_to_others(cookie: bytes, path: bytes | None) -> None:
    kept = kept_to(path, cookie)
    if kept is None:
        return
    attributes = as_a_browser_reads(kept)
    assert b"domain" not in attributes
    if path is not None:
        assert attributes[b"path"] == path or attributes[b"path"].startswith(path + b"/")


@pytest.mark.parametrize(
    ("sent", "believed"),
    [
        ("a=1", ""),
        ("__Host-a=1", "__Host-a=1"),
        ("a=1; __Host-a=2; b=3; __Host-b=4", "__Host-a=2; __Host-b=4"),
        ("__host-a=1; __HOST-b=2; __Secure-c=3", ""),
        ("a=__Host-b=1", ""),
        ("", ""),
        ("__Host-a=1;", "__Host-a=1"),
    ],
)
def test_of_a_request_what_another_host_can_have_set_is_not_believed(sent: str, believed: str) -> None:
    assert unforged(sent) == believed
